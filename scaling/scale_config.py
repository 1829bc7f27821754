"""Everything that decides a family, resolved: the configuration that a run folder stores and a resume compares."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from scaling.members import check_scaled_by, parse_members
from scaling.proposals import SAMPLERS
from searchspace import Budget
from searchspace.schema import Fields, nearest
from training.run import DATA_TEXTS, check_settings, check_texts, settled

RANDOM = "random"
TRIAL_EXPONENTS = (-1, 1)
"""Of the spaces that a trial takes its networks from."""
RUNG_GROWTH = 2
"""Factor of clips from rung to rung: after 1,000 clips of the built-in data networks are at chance still."""
MEMBERS_BY = ("scaled", "search")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScaleConfig:
    """Settings of a family.

    Attributes:
        base: what is scaled: a run, an architecture or a space, as `scaling.family_base.find_base` reads it.
        coeffs: `random` to search them; or `1.36,1.18,1.16,1.24`, or the path of a family or its coefficients.json.
        trials: coefficient vectors tried.
        members: `A0:A5` or a list of names.
        target_ratio: factor of the expected cost a step; None for 2, or for the product of given coefficients.
        targets: None for base x ratio^exponent, `published`, or amounts such as `150M,300M`.
        sampler: of the proportions: `random`, `tpe` or `nsga2`.
        asynchronous: trials are promoted as they come (ASHA) and not rung by rung.
        clips: training clips of a network that reaches the last rung.
        first_clips: of the first rung, at least; clips double from rung to rung.
        reduction: one over the share of trials that goes on from a rung to the next.
        picture_clips: of the networks of the picture, all members and scalings of single dimensions; None for those of
            the first rung, and no members larger than a trial's.
        architectures: networks that a trial takes from each of its two spaces.
        members_by: `scaled`, the base in each space, or `search`, a search in each.
        steps: of those searches.
        budget: cost of the base where it comes from a space.
        clip: shape at which costs are counted; None for the base's own.
        search_resolution: shorter side of the base's training clips; None for the largest that costs at most 45 MMACs.
        data: folder of videos or annotation file, or None for the built-in motion data.
        videos: folder of the clips of an annotation file; None for its own.
        group: regular expression whose first group names the person or recording of a file.
        seed: of everything random.
        batch: clips a training step.
        optimizer: `sgd`, `adamw` or `rmsprop`.
        learning_rate: peak.
        threads: of torch, for each training.
    """

    base: str = "movinet"
    coeffs: str = RANDOM
    trials: int = 32
    members: str = "A0:A5"
    target_ratio: float | None = None
    targets: str | None = None
    sampler: str = "random"
    asynchronous: bool = False
    clips: int = 4000
    first_clips: int = 2000
    reduction: int = 4
    picture_clips: int | None = None
    architectures: int = 1
    members_by: str = "scaled"
    steps: int = 1000
    budget: str = "600MFLOPs"
    clip: str | None = None
    search_resolution: int | None = None
    data: str | None = None
    videos: str | None = None
    group: str | None = None
    seed: int = 0
    batch: int = 16
    optimizer: str = "sgd"
    learning_rate: float = 0.04
    threads: int = 1

    def __post_init__(self) -> None:
        for key, value in settled(vars(self)).items():
            object.__setattr__(self, key, value)
        fields = Fields(dataclasses.asdict(self), "setting")
        fields.free_text("base", "a run, an architecture or a space")
        fields.free_text("coeffs", "random, four numbers, or the path of a family")
        check_texts(fields, {"targets": "published, or amounts such as '150M,300M'", **DATA_TEXTS})
        fields.integer("trials", 1, 10_000)
        parse_members(self.members)
        if self.target_ratio is not None:
            fields.number("target_ratio", 1.1, 10)
        fields.one_of("sampler", SAMPLERS)
        fields.boolean("asynchronous")
        fields.integer("clips", 2, 1_000_000_000)
        fields.integer("first_clips", 2, 1_000_000_000)
        fields.integer("reduction", 2, 100)
        if self.picture_clips is not None:
            fields.integer("picture_clips", 2, 1_000_000_000)
        fields.integer("architectures", 1, 100)
        fields.one_of("members_by", MEMBERS_BY)
        fields.integer("steps", 1, 100_000_000)
        check_scaled_by(Budget.parse(self.budget))
        if self.search_resolution is not None:
            fields.integer("search_resolution", 8, 4096)
        fields.integer("seed", 0, 2**31 - 1)
        fields.integer("batch", 2, 4096)
        fields.one_of("optimizer", ["sgd", "adamw", "rmsprop"])
        fields.number("learning_rate", 0, 100)
        fields.integer("threads", 1, 1024)

    @classmethod
    def resolve(cls, /, **given: Any) -> ScaleConfig:
        """Builds a configuration from what differs from the defaults; names the nearest of an unknown setting."""
        known = [field.name for field in dataclasses.fields(cls)]
        for key in given:
            if key not in known:
                raise ValueError(f"unknown setting {key!r}{nearest(key, known)}; known: {', '.join(known)}")
        return cls(**given)

    @classmethod
    def stored(cls, data: Mapping[str, Any]) -> ScaleConfig:
        """Reads what `to_dict` gave; raises `ValueError` where this version has other settings."""
        check_settings([field.name for field in dataclasses.fields(cls)], data)
        return cls(**data)

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

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for config.json."""
        return dataclasses.asdict(self)
