"""Everything that decides a search, resolved: the configuration that a run folder stores and a resume compares."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import searchspace
from controller.searchers import SEARCHERS
from searchspace import Budget, Clip, Kernel
from searchspace.layer_specs import MAX_LAYERS
from searchspace.naming import located
from searchspace.schema import Fields, nearest, show
from training import run as runs
from training.clips import fitting
from training.precision import resolved

LONG_STEPS = 10_000
"""From this many steps on, `recipe="auto"` means TuNAS's own settings."""

RECIPES: dict[str, dict[str, Any]] = {
    # What learns in minutes: nested kernels, one network first and the others growing out of it, the policy started
    # at the budget (benchmarks/README.md has the measurements).
    "short": {
        "paths": 1,
        "micro_batch": 16,
        "look_clips": 64,
        "warmup": "boot",
        "warmup_fraction": 0.35,
        "delay": 0.35,
        "kernels": "nested",
        "residual": 0.5,
        "optimizer": "sgd",
        "learning_rate": 0.04,
        "rate_warmup": 0.02,
        "rate_floor": 0.15,
        "weight_decay": 5e-4,
        "clip_norm": 5.0,
        "start": "budget",
        "controller_rate": 60.0,
    },
    # TuNAS (Bender et al., CVPR 2020, and its released code): weight rate 2.64 for 4,096 items a step, scaled down
    # linearly; controller rates that sum to 381. The residual scalar is our choice, TuNAS's networks have none.
    "tunas": {
        "paths": 8,
        "micro_batch": 16,
        "look_clips": 64,
        "warmup": "tunas",
        "warmup_fraction": 0.25,
        "delay": 0.25,
        "kernels": "separate",
        "residual": 0.5,
        "optimizer": "rmsprop",
        "learning_rate": 2.64 * 8 * 16 / 4096,
        "rate_warmup": 0.025,
        "rate_floor": 0.0,
        "weight_decay": 4e-5,
        "clip_norm": 0.0,
        "start": "uniform",
        "controller_rate": 381.0,
    },
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """Settings of a search; `resolve` fills what a recipe decides.

    Attributes:
        budgets: the first is the target, further ones are caps.
        space: name of a built-in space or path of a YAML file.
        stream: search its causal (2+1)D form, whose networks run frame by frame.
        clip: shape at which budgets are counted; `resolve` takes that of `clip_of` where none is given.
        search_resolution: shorter side in pixels at which the supernet trains; at most that of the clip.
        data: folder of videos or annotation file, or None for the built-in motion data.
        videos: folder of the clips of an annotation file; None for its own.
        group: regular expression whose first group names the person or recording of a file.
        steps: optimiser steps of the supernet.
        searcher: who chooses, by its name in `controller.searchers`.
        seed: of everything random.
        recipe: `short` or `tunas`; decides every setting below that was not given.
        paths: architectures a step, each with its own micro-batch (K).
        micro_batch: clips that one architecture trains on in a step.
        look_clips: held-out clips that one architecture is scored on in a step.
        warmup: `boot`, `tunas`, `sandwich` or `uniform`.
        warmup_fraction: share of the steps over which warm-up fades out.
        boot_kernel, boot_depth: of the central network that boot starts from.
        delay: share of the steps before the controller learns; at least `warmup_fraction`.
        kernels: `nested` or `separate` depthwise weights.
        residual: starting value of the residual scalars.
        optimizer: `sgd`, `adamw` or `rmsprop`.
        learning_rate: peak; linear warm-up over `rate_warmup` of the steps, then cosine down to `rate_floor` of it.
        rate_warmup: share of the steps.
        rate_floor: share of the peak.
        weight_decay: coefficient of the L2 term of active kernels.
        clip_norm: largest gradient norm; 0 for no clipping.
        label_smoothing: of the training loss.
        start: `budget` (largest entropy at the budget) or `uniform`.
        reward: `absolute`, `soft` or `hard`.
        beta: weight of the cost in the reward, negative.
        window: samples further than this share from the target are rejected; 0 for none.
        controller_rate: sum of the controller's rates over the steps after the delay; 0 freezes the policy.
        checkpoint_every: steps between checkpoints.
        device: `cpu` or `cuda`.
        precision: of the maps, `float32` or `bfloat16`; `auto` is resolved, see `training.precision`.
        formulation: `fast`, or `reference` for plain library calls; see `networks.formulation`.
        checkpointing: compute layers again in the backward pass, for less memory; see `networks.checkpointing`.
        threads: of torch.
        workers: processes that decode videos.
    """

    budgets: tuple[str, ...] = ("600MFLOPs",)
    space: str = "movinet"
    stream: bool = False
    clip: str = "8x128x128@5"
    search_resolution: int = 32
    data: str | None = None
    videos: str | None = None
    group: str | None = None
    steps: int = 1000
    searcher: str = "reinforce"
    seed: int = 0
    recipe: str
    paths: int
    micro_batch: int
    look_clips: int
    warmup: str
    warmup_fraction: float
    delay: float
    boot_kernel: str = "3x3x3"
    boot_depth: int = 2
    kernels: str
    residual: float
    optimizer: str
    learning_rate: float
    rate_warmup: float
    rate_floor: float
    weight_decay: float
    clip_norm: float
    label_smoothing: float = 0.1
    start: str
    reward: str = "absolute"
    beta: float = -0.1
    window: float = 0.0
    controller_rate: float
    checkpoint_every: int
    device: str = "cpu"
    precision: str = "float32"
    formulation: str = "fast"
    checkpointing: bool = False
    threads: int = 2
    workers: int = 0

    def __post_init__(self) -> None:
        for key, value in runs.settled(vars(self)).items():
            object.__setattr__(self, key, value)
        fields = Fields(dataclasses.asdict(self), "setting")
        fields.free_text("space", "the name of a space, or the path of its YAML file")
        runs.check_texts(fields, runs.DATA_TEXTS)
        if not isinstance(self.budgets, tuple):
            raise fields.refuse("budgets", self.budgets, "a list of amounts, such as ['600MFLOPs']")
        if not self.budgets:
            raise ValueError("no budget given; write one, such as 600MFLOPs")
        for budget in self.budgets:
            Budget.parse(budget)
        clip = Clip.parse(self.clip)
        fields.integer("search_resolution", 8, min(clip.height, clip.width))
        fields.boolean("stream")
        fields.boolean("checkpointing")
        fields.integer("steps", 1, 100_000_000)
        fields.integer("seed", 0, 2**31 - 1)
        fields.integer("paths", 1, 256)
        fields.integer("micro_batch", 2, 4096)
        fields.integer("look_clips", 2, 65536)
        fields.integer("checkpoint_every", 1, 1_000_000)
        fields.integer("threads", 1, 1024)
        fields.integer("workers", 0, 256)
        fields.number("warmup_fraction", 0, 1)
        fields.number("delay", 0, 1)
        Kernel.parse(self.boot_kernel)
        fields.integer("boot_depth", 1, MAX_LAYERS)
        fields.number("residual", 0, 2)
        fields.number("learning_rate", 0, 100)
        fields.number("rate_warmup", 0, 1)
        fields.number("rate_floor", 0, 1)
        fields.number("weight_decay", 0, 1)
        fields.number("clip_norm", 0, 1e6)
        fields.number("label_smoothing", 0, 0.9)
        fields.number("beta", -100, 0)
        fields.number("window", 0, 1)
        fields.number("controller_rate", 0, 1e5)
        fields.one_of("searcher", SEARCHERS)
        fields.one_of("recipe", ["auto", *RECIPES])
        fields.one_of("warmup", ["boot", "tunas", "sandwich", "uniform"])
        fields.one_of("kernels", ["nested", "separate"])
        fields.one_of("optimizer", ["sgd", "adamw", "rmsprop"])
        fields.one_of("start", ["budget", "uniform"])
        fields.one_of("reward", ["absolute", "soft", "hard"])
        fields.one_of("device", ["cpu", "cuda"])
        fields.one_of("precision", ["float32", "bfloat16"])
        fields.one_of("formulation", ["fast", "reference"])
        if (self.device, self.precision, self.formulation) == ("cpu", "bfloat16", "reference"):
            raise ValueError(
                "formulation reference in precision bfloat16: on a CPU torch's own bfloat16 gradient of temporal "
                "depthwise kernels is not the same twice (torch 2.13); use precision float32, or formulation fast"
            )
        if self.delay < self.warmup_fraction:
            raise ValueError(
                f"delay {self.delay} is shorter than warm-up {self.warmup_fraction}: the controller would be paid for "
                f"architectures that warm-up replaced; set delay={self.warmup_fraction} or more"
            )

    @classmethod
    def resolve(cls, /, **given: Any) -> SearchConfig:
        """Builds a configuration: what is given, then what the recipe decides, then the defaults.

        Raises:
            ValueError: an unknown setting (names the nearest), or a value that is not allowed.
        """
        known = {field.name: field for field in dataclasses.fields(cls)}
        for key in given:
            if key not in known:
                raise ValueError(f"unknown setting {key!r}{nearest(key, known)}; known: {', '.join(known)}")
        recipe = given.get("recipe", "auto")
        if recipe == "auto":
            steps = given.get("steps", cls.steps)
            recipe = "tunas" if isinstance(steps, int) and steps >= LONG_STEPS else "short"
        if not isinstance(recipe, str) or recipe not in RECIPES:
            raise ValueError(f"recipe {show(recipe)} is not known; allowed: auto, {', '.join(RECIPES)}")
        settings = {**RECIPES[recipe], **given, "recipe": recipe}
        steps = settings.get("steps", cls.steps)
        if "checkpoint_every" not in given:
            settings["checkpoint_every"] = max(1, min(500, steps // 20)) if isinstance(steps, int) else 1
        if "delay" not in given and isinstance(settings["warmup_fraction"], int | float):
            settings["delay"] = max(settings["delay"], settings["warmup_fraction"])
        settings = runs.settled(settings)
        if "clip" not in given and isinstance(settings.get("space", cls.space), str):
            space = settings.get("space", cls.space)
            settings["clip"] = str(clip_of(space, settings.get("data"), settings.get("videos"))[0])
        if "search_resolution" not in given and "clip" in settings:
            clip = Clip.parse(settings["clip"])
            settings["search_resolution"] = min(cls.search_resolution, clip.height, clip.width)
        settings = cls.settled(settings)
        if isinstance(settings.get("budgets"), list):
            settings["budgets"] = tuple(settings["budgets"])
        return cls(**settings)

    @classmethod
    def settled(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """The same settings, with what this machine decides (`precision="auto"`) as it decides it."""
        settings = runs.settled(given)
        if isinstance(settings.get("budgets"), str):
            settings["budgets"] = [settings["budgets"]]
        if settings.get("precision") == "auto":
            resolution = settings.get("search_resolution", cls.search_resolution)
            settings["precision"] = resolved("auto", resolution, settings.get("device", cls.device))
        return settings

    @classmethod
    def stored(cls, data: Mapping[str, Any]) -> SearchConfig:
        """Reads what `to_dict` gave.

        Raises:
            ValueError: other settings than this version has, or a value that is not allowed.
        """
        runs.check_settings([field.name for field in dataclasses.fields(cls)], data)
        budgets = data["budgets"]
        return cls(**{**data, "budgets": tuple(budgets) if isinstance(budgets, list) else budgets})

    @property
    def train_clip(self) -> Clip:
        """The clip that the supernet trains on."""
        return Clip.parse(self.clip).at(self.search_resolution)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for config.json."""
        return {**dataclasses.asdict(self), "budgets": list(self.budgets)}


def clip_of(space: str, data: object, videos: object) -> tuple[Clip, str]:
    """The clip of a search whose user names none, and a line that says why, or "".

    Args:
        space: that is searched. The clip that a file states is taken as it is; that of a built-in space, at 5 frames a
            second, is spread over the median video.
        data, videos: settings of the search.
    """
    clip = searchspace.load(space).clip
    if space not in searchspace.names() or not isinstance(data, str) or not located(data).exists():
        return clip, ""
    return fitting(clip, data, videos if isinstance(videos, str) else None)
