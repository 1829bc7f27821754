"""Everything that decides a family, resolved: the configuration that a run folder stores and a resume compares."""

from __future__ import annotations

from typing import Any

from scaling.members import check_scaled_by, parse_members
from scaling.proposals import SAMPLERS
from searchspace import Budget
from searchspace.settings import check_names, setting
from training.names import OPTIMIZERS
from training.run_settings import RunSettings, clip_text

RANDOM = "random"
TRIAL_EXPONENTS = (-1, 1)
"""Of the spaces that a trial takes its networks from."""
RUNG_GROWTH = 2
"""Factor of clips from rung to rung: after 1,000 clips of the built-in data networks are at chance still."""
MEMBERS_BY = ("scaled", "search")


class ScaleConfig(RunSettings):
    """Settings of a family."""

    base: str = setting(
        default="movinet",
        form="RUN|ARCH|SPACE",
        otherwise="the newest finished search, else the space movinet",
        help="what is scaled: a run, an architecture, or a space",
    )
    coeffs: str = setting(
        default=RANDOM,
        form="HOW",
        help="random: search them; depth, width, resolution, frame rate such as 1.36,1.18,1.16,1.24; or a family, by "
        "its folder or coefficients.json",
    )
    trials: int = setting(default=32, low=1, high=10_000, unit="trials", help="coefficient vectors tried")
    members: str = setting(
        default="A0:A5", reads=parse_members, form="A0:A5", help="a range or a list of names; A2 is the base"
    )
    target_ratio: float | None = setting(
        default=None,
        low=1.1,
        high=10,
        otherwise="2, or the product of given coefficients",
        help="expected cost of a member over that of the one before",
    )
    targets: str | None = setting(
        default=None,
        form="AMOUNTS",
        otherwise="base x ratio^exponent",
        help="published (the published networks' ratios to A2), or amounts such as 150M,300M",
    )
    sampler: str = setting(default="random", words=SAMPLERS, help="who proposes coefficients")
    asynchronous: bool = setting(
        default=False, help="promote trials as they end (ASHA); which ones then depends on how fast each was"
    )
    clips: int = setting(
        default=4000, low=2, high=1_000_000_000, unit="clips", help="training clips of a network on the last rung"
    )
    first_clips: int = setting(
        default=2000,
        low=2,
        high=1_000_000_000,
        unit="clips",
        help="on the first rung, at least; clips double from rung to rung",
    )
    reduction: int = setting(default=4, low=2, high=100, help="one in so many trials goes on from a rung to the next")
    picture_clips: int | None = setting(
        default=None,
        low=2,
        high=1_000_000_000,
        unit="clips",
        otherwise="those of the first rung, and no members larger than a trial's",
        help="train all members and single dimensions on so many clips for the picture",
    )
    architectures: int = setting(
        default=1, low=1, high=100, unit="networks", help="networks that a trial takes from each of its two spaces"
    )
    members_by: str = setting(
        default="scaled", words=MEMBERS_BY, help="scaled: the base mapped into each space; search: a search in each"
    )
    steps: int = setting(default=1000, low=1, high=100_000_000, help="of each search of --members-by search")
    budget: str = setting(
        default="600MFLOPs",
        reads=lambda text: check_scaled_by(Budget.parse(text)).text,
        form="AMOUNT",
        help="cost of the base where it is made of a space",
    )
    clip: str | None = setting(
        default=None,
        reads=clip_text,
        form="TxHxW@FPS",
        otherwise="the base's own",
        help="clip of the base, at which costs are counted",
    )
    search_resolution: int | None = setting(
        default=None,
        low=8,
        high=4096,
        unit="pixels",
        otherwise="the largest that costs at most 45 MMACs",
        help="shorter side of the base's training clips, others in proportion",
    )
    batch: int = setting(default=16, low=2, high=4096, unit="clips", help="clips a training step")
    optimizer: str = setting(default="sgd", words=OPTIMIZERS, help="of all trainings")
    learning_rate: float = setting(default=0.04, low=0, high=100, help="peak")
    threads: int = setting(default=1, low=1, high=1024, help="of torch, a training")

    @classmethod
    def resolve(cls, **given: Any) -> ScaleConfig:
        """Builds a configuration from what differs from the defaults; names the nearest of an unknown setting."""
        check_names(cls, given)
        return cls(**given)

    @property
    def exponents(self) -> tuple[int, ...]:
        """Of the members."""
        return parse_members(self.members)

    @property
    def searched(self) -> bool:
        """Whether the coefficients are found by trials."""
        return self.coeffs == RANDOM

    @property
    def rungs(self) -> tuple[int, ...]:
        """Training clips of each rung, ascending; the last is `clips`."""
        rungs = [self.clips]
        while rungs[0] // RUNG_GROWTH >= self.first_clips:
            rungs.insert(0, rungs[0] // RUNG_GROWTH)
        return tuple(rungs)

    @property
    def drawn(self) -> tuple[int, tuple[int, ...]]:
        """Clips and exponents of the members that are trained for the picture.

        By default those beside the chosen trial's own: the base and what is smaller; larger ones would take longer than
        the search.
        """
        if self.picture_clips is not None:
            return self.picture_clips, tuple(sorted({0, *self.exponents}))
        least = min(TRIAL_EXPONENTS)
        return self.rungs[0], tuple(sorted({0, *(exponent for exponent in self.exponents if exponent < least)}))
