"""Does each member of a family gain on the one before it? Means over seeds, beside what chance does to them."""

from __future__ import annotations

import dataclasses
import itertools
import math
import statistics
from collections.abc import Sequence

from searchspace.commands import command

CEILING = 0.98
"""Above this accuracy a step has little left to gain."""


@dataclasses.dataclass(frozen=True)
class MeasuredMember:
    """A trained member.

    Attributes:
        name: of the member.
        accuracies: one a seed, in [0, 1].
        losses: training loss at the end, one a seed, in nats; empty where it is not known.
        tested: clips that each accuracy was measured on; 0 where that is not known.
        classes: of the data; 0 where that is not known.
    """

    name: str
    accuracies: tuple[float, ...]
    losses: tuple[float, ...] = ()
    tested: int = 0
    classes: int = 0

    @property
    def mean(self) -> float:
        """Of the accuracies."""
        return statistics.fmean(self.accuracies)

    @property
    def error(self) -> float:
        """Standard error of the mean over seeds; NaN for one seed.

        At least that of counting right answers among the test clips: two or three seeds may agree by accident.
        """
        count = len(self.accuracies)
        if count < 2:
            return math.nan
        counting = math.sqrt(self.mean * (1 - self.mean) / self.tested) if self.tested else 0.0
        return max(statistics.stdev(self.accuracies), counting) / math.sqrt(count)

    @property
    def at_chance(self) -> bool:
        """Whether guessing does as well, within two standard errors."""
        return self.classes > 0 and self.mean - 2 * self.error <= 1 / self.classes


@dataclasses.dataclass(frozen=True)
class MemberGain:
    """From a member to the next larger one.

    Attributes:
        small, large: the two.
    """

    small: MeasuredMember
    large: MeasuredMember

    @property
    def gain(self) -> float:
        """Difference of the means, in [-1, 1]."""
        return self.large.mean - self.small.mean

    @property
    def error(self) -> float:
        """Standard error of the gain, of independent means; NaN where either has one seed."""
        return math.hypot(self.small.error, self.large.error)

    @property
    def shown(self) -> bool:
        """Whether the gain exceeds its standard error, and the larger member does better than guessing."""
        return self.gain > self.error and not self.large.at_chance

    def __str__(self) -> str:
        error = "unknown" if math.isnan(self.error) else f"{100 * self.error:.1f}"
        head = f"step {self.small.name} -> {self.large.name}: {100 * self.gain:+.1f} points, standard error {error}: "
        return head + ("shown" if self.shown else f"not shown, because {self._why()}")

    def _why(self) -> str:
        if math.isnan(self.error):
            return f"one seed tells nothing about chance; train three: {command('retrain', 'FAMILY', seeds=3)}"
        if self.large.at_chance:
            return f"{self.large.name} stands at chance ({100 / self.large.classes:.1f}%); it needs longer training"
        left = f"{self.small.name} leaves {100 * (1 - self.small.mean):.1f} points to gain"
        if self.small.mean > CEILING:
            return f"{left}; harder data tells more"
        if self.gain > 0:
            return f"the gain is within its standard error, and {left}; more seeds or harder data would tell"
        text = f"{self.large.name} is not better than {self.small.name} after this training"
        if not (self.small.losses and self.large.losses):
            return text
        small, large = statistics.fmean(self.small.losses), statistics.fmean(self.large.losses)
        losses = f"its training loss ended at {large:.2f}, the other's at {small:.2f}"
        if large >= small:
            return f"{text}: {losses}, so it needs longer training"
        return f"{text}: {losses}, so it fits its clips better and needs more of them, or more augmentation"


def member_gains(measured: Sequence[MeasuredMember]) -> list[MemberGain]:
    """Gains between neighbouring members, in the order given."""
    return [MemberGain(small, large) for small, large in itertools.pairwise(measured)]
