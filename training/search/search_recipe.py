"""Recipes of `nas search`: how a search goes about it, whatever it looks for, on whatever data and machine.

They are small YAML files in `training/recipes/search`, or the user's own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from controller.rewards import KINDS
from controller.searchers import SEARCHERS
from controller.start import STARTS
from searchspace import Kernel
from searchspace.layer_specs import MAX_LAYERS
from searchspace.schema import Fields
from searchspace.settings import Settings, check_names, given_in, setting
from supernet.sharing import KERNELS
from supernet.warmup import FRACTIONS
from training import recipe_files
from training.names import OPTIMIZERS

KIND = "search"
"""Folder of these recipes, and the command that takes them."""


class SearchRecipe(Settings):
    """How a search goes about it. What has no default stands in every recipe of ours."""

    searcher: str = setting("who chooses", default="reinforce", words=SEARCHERS)
    paths: int = setting("architectures a step, each with its own micro-batch (K)", 1, 256, "architectures")
    micro_batch: int = setting("clips that one architecture trains on in a step", 2, 4096, "clips")
    look_clips: int = setting("held-out clips that one architecture is scored on in a step", 2, 65536, "clips")
    warmup: str = setting("how the shared weights begin, see supernet/warmup.py", words=FRACTIONS)
    warmup_fraction: float = setting("share of the steps over which warm-up fades out", 0, 1)
    boot_kernel: str = setting(
        "kernel of the central network that boot starts from", default="3x3x3", reads=Kernel.parse, form="TxHxW"
    )
    boot_depth: int = setting("layers a block of that central network", 1, MAX_LAYERS, "layers", default=2)
    delay: float = setting("share of the steps before the controller learns; at least `warmup_fraction`", 0, 1)
    kernels: str = setting("how depthwise kernels share weights, see supernet/sharing.py", words=KERNELS)
    residual: float = setting("starting value of the residual scalars", 0, 2)
    optimizer: str = setting("of the shared weights", words=OPTIMIZERS)
    learning_rate: float = setting(
        "peak; linear warm-up over `rate_warmup` of the steps, then cosine down to `rate_floor` of it", 0, 100
    )
    rate_warmup: float = setting("share of the steps", 0, 1)
    rate_floor: float = setting("share of the peak", 0, 1)
    weight_decay: float = setting("coefficient of the L2 term of active kernels", 0, 1)
    clip_norm: float = setting("largest gradient norm; 0 for no clipping", 0, 1e6)
    label_smoothing: float = setting("of the training loss", 0, 0.9, default=0.1)
    start: str = setting("where the policy starts: with the largest entropy at the budget, or uniform", words=STARTS)
    reward: str = setting("of accuracy against cost, see controller/rewards.py", default="absolute", words=KINDS)
    beta: float = setting("weight of the cost in the reward, negative", -100, 0, default=-0.1)
    window: float = setting(
        "samples further than this share from the target are rejected; 0 for none", 0, 1, default=0.0
    )
    controller_rate: float = setting(
        "sum of the controller's rates over the steps after the delay; 0 freezes the policy", 0, 1e5
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.delay < self.warmup_fraction:
            raise ValueError(
                f"delay {self.delay} is shorter than warm-up {self.warmup_fraction}: the controller would be paid for "
                f"architectures that warm-up replaced; set delay={self.warmup_fraction} or more"
            )

    @classmethod
    def load(cls, name_or_path: str) -> SearchRecipe:
        """A recipe with every value in it; what a user's file leaves out is as in `short`."""
        return cls(**{**read("short"), **read(name_or_path)})

    def changed(self, settings: Mapping[str, Any]) -> SearchRecipe:
        """The recipe with some values changed; raises `ValueError` for an unknown name (names the nearest) or value."""
        check_names(type(self), settings)
        return dataclasses.replace(self, **settings)


def read(name_or_path: str) -> dict[str, Any]:
    """What a recipe of ours, by name, or a user's file says; a file need not name everything.

    Raises:
        ValueError: no such recipe or file, or a setting that is unknown or no setting of a recipe.
    """
    given = given_in(SearchRecipe, recipe_files.read(KIND, name_or_path), name_or_path)
    fields = Fields(given, SearchRecipe.where)
    try:
        return {name: SearchRecipe.declared[name].check(fields) for name in given}
    except ValueError as error:
        raise ValueError(f"{name_or_path}: {error}") from None
