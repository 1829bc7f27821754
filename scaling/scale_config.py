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
        "what is scaled: a run, an architecture, or a space",
        default="movinet",
        form="RUN|ARCH|SPACE",
        otherwise="the newest finished search, else the space movinet",
    )
    coeffs: str = setting(
        "random: search them; depth, width, resolution and frame rate, such as 1.36,1.18,1.16,1.24; or "
        "the folder or coefficients.json of a family",
        default=RANDOM,
        form="HOW",
    )
    trials: int = setting("coefficient vectors tried", 1, 10_000, "trials", default=32)
    members: str = setting(
        "a range or a list of names; A2 is the base", default="A0:A5", reads=parse_members, form="A0:A5"
    )
    target_ratio: float | None = setting(
        "cost of a member over that of the one before",
        1.1,
        10,
        default=None,
        otherwise="2, or that of given coefficients",
    )
    targets: str | None = setting(
        "published (the published networks' ratios to A2), or amounts such as 150M,300M",
        default=None,
        form="AMOUNTS",
        otherwise="base x ratio^exponent",
    )
    sampler: str = setting("who proposes coefficients", default="random", words=SAMPLERS)
    asynchronous: bool = setting(
        "promote trials as they end (ASHA); which ones then depends on how fast each was", default=False
    )
    clips: int = setting("training clips of a network on the last rung", 2, 10**9, "clips", default=4000)
    first_clips: int = setting(
        "on the first rung, at least; clips double from rung to rung", 2, 10**9, "clips", default=2000
    )
    reduction: int = setting("one in so many trials goes on from a rung to the next", 2, 100, default=4)
    picture_clips: int | None = setting(
        "train all members and single dimensions on so many clips for the picture",
        2,
        10**9,
        "clips",
        default=None,
        otherwise="those of the first rung, and no members larger than a trial's",
    )
    architectures: int = setting(
        "networks that a trial takes from each of its two spaces", 1, 100, "networks", default=1
    )
    members_by: str = setting(
        "scaled: the base mapped into each space; search: a search in each", default="scaled", words=MEMBERS_BY
    )
    steps: int = setting("of each search of --members-by search", 1, 10**8, default=1000)
    budget: str = setting(
        "cost of the base where it is made of a space",
        default="600MFLOPs",
        reads=lambda text: check_scaled_by(Budget.parse(text)).text,
        form="AMOUNT",
    )
    clip: str | None = setting(
        "clip of the base, at which costs are counted",
        default=None,
        reads=clip_text,
        form="TxHxW@FPS",
        otherwise="the base's own",
    )
    search_resolution: int | None = setting(
        "shorter side of the base's clips in training", 8, 4096, "pixels", default=None, otherwise="at 45 MMACs"
    )
    batch: int = setting("clips a training step", 2, 4096, "clips", default=16)
    optimizer: str = setting("of all trainings", default="sgd", words=OPTIMIZERS)
    learning_rate: float = setting("peak", 0, 100, default=0.04)
    threads: int = setting("of torch, a training", 1, 1024, default=1)

    @classmethod
    def resolve(cls, /, **given: Any) -> ScaleConfig:
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
