"""Is the choice of coefficients supported by what the trials showed?"""

from __future__ import annotations

import dataclasses
import math
import statistics

from scaling.trial_schedule import Known, TrialSchedule
from training.seeds import generator

NOT_SUPPORTED = "choice not supported"
WEAK = 0.05
DRAWS = 100_000


@dataclasses.dataclass(frozen=True)
class CoefficientSupport:
    """The spread of trials against that of seeds, on one rung.

    Attributes:
        clips: training clips of that rung.
        trials: how many trials stand on it.
        trial_spread: standard deviation of their mean accuracies; NaN for fewer than two.
        seed_spread: standard deviation between two seeds of one trial, pooled over those run twice; NaN without any.
        repeated: trials that were run twice.
    """

    clips: int
    trials: int
    trial_spread: float
    seed_spread: float
    repeated: int = 0

    @property
    def supported(self) -> bool:
        """Whether trials differ by more than seeds do; where either is unknown they do not."""
        return self.trial_spread > self.seed_spread

    @property
    def ratio(self) -> float:
        """Variance between trials over that between seeds: an F of `trials` - 1 and `repeated` degrees of freedom."""
        if not self.seed_spread:
            return math.inf if self.trial_spread else 0.0
        return (self.trial_spread / self.seed_spread) ** 2

    @property
    def by_chance(self) -> float:
        """How often trials that differ in nothing show as large a ratio, by 100,000 draws.

        The spread between trials holds that between seeds, so that without any difference the ratio is about 1, and
        above it in half of all searches. NaN where there is nothing to compare.
        """
        if math.isnan(self.ratio):
            return math.nan
        rng = generator(0, "ratio of variances")
        trials, seeds = (rng.chisquare(count, DRAWS) / count for count in (self.trials - 1, self.repeated))
        return float((trials >= self.ratio * seeds).mean())

    def __str__(self) -> str:
        if math.isnan(self.trial_spread) or math.isnan(self.seed_spread):
            return (
                f"{NOT_SUPPORTED}: {self.trials} trial(s) of {self.clips:,} clips tell nothing about how trials differ"
            )
        numbers = (
            f"the spread between trials is {100 * self.trial_spread:.1f} points, between seeds "
            f"{100 * self.seed_spread:.1f} ({self.trials} trials of {self.clips:,} clips a network, {self.repeated} of "
            f"them twice; F {self.ratio:.1f}, which chance alone reaches in {self.by_chance:.0%} of searches)"
        )
        if self.supported:
            return f"choice supported{', but weakly' if self.by_chance > WEAK else ''}: {numbers}"
        return f"{NOT_SUPPORTED}: {numbers}; any of them may be as good: give more --clips, --architectures or --trials"


def judge_coefficients(schedule: TrialSchedule, known: Known) -> CoefficientSupport:
    """Compares the spreads on the rung of the trials that were run with a second seed."""
    again = [task for task in schedule.reruns(known) if task in known and not known[task].failed]
    clips = again[0].clips if again else schedule.rungs[0]
    here = [task for task in schedule.survivors(known) if task.clips == clips]
    first = [known[task].objective for task in here]
    gaps = [known[task].objective - known[task._replace(seed=0)].objective for task in again]
    return CoefficientSupport(
        clips=clips,
        trials=len(first),
        trial_spread=statistics.stdev(first) if len(first) > 1 else math.nan,
        repeated=len(gaps),
        seed_spread=math.sqrt(sum(gap**2 for gap in gaps) / (2 * len(gaps))) if gaps else math.nan,
    )
