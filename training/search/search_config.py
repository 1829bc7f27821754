"""Everything that decides a search, resolved: the configuration that a run folder stores and a resume compares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import searchspace
from searchspace import Clip
from searchspace.naming import absolute, located
from searchspace.schema import Fields, nearest, show
from searchspace.settings import check_names, setting
from training import recipe_files
from training import run as runs
from training.machine.precision import SEARCH, resolved
from training.names import FORMULATIONS
from training.retrain.chosen_clip import fitting
from training.run_settings import MachineSettings, RunSettings, budget_text, clip_text
from training.search import search_recipe
from training.search.search_recipe import SearchRecipe

LONG_STEPS = 10_000
"""From this many steps on, `recipe="auto"` means TuNAS's own settings."""

NAMES = recipe_files.names(search_recipe.KIND)
"""Recipes that come with the project."""


class SearchConfig(MachineSettings, RunSettings, SearchRecipe):
    """Settings of a search; `resolve` fills what a recipe decides."""

    budgets: tuple[str, ...] = setting(
        "cost of the network: 600MFLOPs, 0.6G, 75MFLOPs/frame, 3Mparams, 64MB, 4MBstate; the first is the target, "
        "the next are caps",
        default=("600MFLOPs",),
        reads=budget_text,
        form="AMOUNT",
    )
    space: str = setting("name of a built-in space, or path of a YAML file", default="movinet", form="SPACE")
    stream: bool = setting("search the space's causal (2+1)D form, whose networks run frame by frame", default=False)
    clip: str = setting(
        "clip at which budgets are counted",
        default="8x128x128@5",
        reads=clip_text,
        form="TxHxW@FPS",
        otherwise="the space's own, of movinet 8x128x128@5, on videos spread over the median one",
    )
    search_resolution: int = setting(
        "shorter side of the clips that the supernet trains on; at most that of the clip", 8, 4096, "pixels", default=32
    )
    steps: int = setting("optimiser steps of the shared weights", 1, 100_000_000, default=1000)
    recipe: str = setting(
        f"{', '.join(NAMES)}, or a .yaml file; decides what is not given, nas config shows it",
        form="RECIPE",
        otherwise=f"tunas from {LONG_STEPS:,} steps on, else short",
    )
    checkpoint_every: int = setting(
        "steps between checkpoints", 1, 1_000_000, "steps", otherwise="twenty times, at most 500"
    )
    precision: str = setting("of the maps; auto: bfloat16 where it pays", default="float32", words=SEARCH, auto=True)
    formulation: str = setting(
        "reference: plain library calls in place of what is fast on a CPU", default="fast", words=FORMULATIONS
    )
    checkpointing: bool = setting(
        "compute layers again in the backward pass, for less memory (networks/checkpointing.py)", default=False
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.budgets:
            raise ValueError("no budget given; write one, such as 600MFLOPs")
        clip = Clip.parse(self.clip)
        Fields(vars(self), self.where).integer("search_resolution", 8, min(clip.height, clip.width))
        if (self.device, self.precision, self.formulation) == ("cpu", "bfloat16", "reference"):
            raise ValueError(
                "formulation reference in precision bfloat16: on a CPU torch's own bfloat16 gradient of temporal "
                "depthwise kernels is not the same twice (torch 2.13); use precision float32, or formulation fast"
            )

    @classmethod
    def resolve(cls, /, **given: Any) -> SearchConfig:
        """Builds a configuration: what is given, then what the recipe decides, then the defaults.

        Raises:
            ValueError: an unknown setting (names the nearest), or a value that is not allowed.
        """
        check_names(cls, given)
        given = cls.settled(given)
        recipe, steps = given.get("recipe", "auto"), given.get("steps", cls.steps)
        auto = "tunas" if isinstance(steps, int) and steps >= LONG_STEPS else "short"
        recipe = auto if recipe == "auto" else recipe
        if recipe not in NAMES and not recipe_files.is_file(recipe):
            near = nearest(recipe, NAMES) if isinstance(recipe, str) else ""
            known = ", ".join(NAMES)
            raise ValueError(f"recipe {show(recipe)} is not known{near}; allowed: auto, {known}, or a .yaml file")
        base = search_recipe.read(auto if recipe_files.is_file(recipe) else recipe)
        settings = {**base, **given, "recipe": recipe}
        if "checkpoint_every" not in given:
            settings["checkpoint_every"] = max(1, min(500, steps // 20)) if isinstance(steps, int) else 1
        if "delay" not in given and isinstance(settings["warmup_fraction"], int | float):
            settings["delay"] = max(settings["delay"], settings["warmup_fraction"])
        if "clip" not in given and isinstance(settings.get("space", cls.space), str):
            space = settings.get("space", cls.space)
            settings["clip"] = str(clip_of(space, settings.get("data"), settings.get("videos"))[0])
        if "search_resolution" not in given and "clip" in settings:
            clip = Clip.parse(settings["clip"])
            settings["search_resolution"] = min(cls.search_resolution, clip.height, clip.width)
        return cls(**settings)

    @classmethod
    def settled(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """The same settings as a configuration has them, for a resume to compare.

        What this machine decides (`precision="auto"`) is as it decides it, and the settings of a user's recipe stand
        beside its path, for the file may have changed.
        """
        settings = runs.settled(given)
        if isinstance(settings.get("budgets"), str):
            settings["budgets"] = [settings["budgets"]]
        if recipe_files.is_file(settings.get("recipe")):
            settings["recipe"] = absolute(settings["recipe"])
            if not SearchRecipe.declared.keys() <= settings.keys():
                settings = {**search_recipe.read(settings["recipe"]), **settings}
        if settings.get("precision") == "auto":
            resolution = settings.get("search_resolution", cls.search_resolution)
            settings["precision"] = resolved("auto", resolution, settings.get("device", cls.device))
        return settings

    @property
    def long(self) -> bool:
        """Whether it is a search of days, whose end is worth a longer re-scoring."""
        return self.steps >= LONG_STEPS if recipe_files.is_file(self.recipe) else self.recipe != "short"

    @property
    def train_clip(self) -> Clip:
        """The clip that the supernet trains on."""
        return Clip.parse(self.clip).at(self.search_resolution)


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
