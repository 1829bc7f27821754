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
from searchspace.architecture import MAX_LAYERS
from searchspace.schema import Fields
from searchspace.settings import Settings, check_names, setting
from supernet.sharing import KERNELS
from supernet.warmup import FRACTIONS
from training import recipe_files
from training.names import OPTIMIZERS

KIND = "search"
"""Folder of these recipes, and the command that takes them."""


class SearchRecipe(Settings):
    """How a search goes about it. What has no default stands in every recipe of ours."""

    searcher: str = setting(default="reinforce", words=SEARCHERS, help="who chooses")
    paths: int = setting(
        low=1, high=256, unit="architectures", help="architectures a step, each with its own micro-batch (K)"
    )
    micro_batch: int = setting(low=2, high=4096, unit="clips", help="clips that one architecture trains on in a step")
    look_clips: int = setting(
        low=2, high=65536, unit="clips", help="held-out clips that one architecture is scored on in a step"
    )
    warmup: str = setting(words=FRACTIONS, help="how the shared weights begin, see supernet/warmup.py")
    warmup_fraction: float = setting(low=0, high=1, help="share of the steps over which warm-up fades out")
    boot_kernel: str = setting(
        default="3x3x3", reads=Kernel.parse, form="TxHxW", help="kernel of the central network that boot starts from"
    )
    boot_depth: int = setting(
        default=2, low=1, high=MAX_LAYERS, unit="layers", help="layers a block of that central network"
    )
    delay: float = setting(
        low=0, high=1, help="share of the steps before the controller learns; at least `warmup_fraction`"
    )
    kernels: str = setting(words=KERNELS, help="how depthwise kernels share weights, see supernet/sharing.py")
    residual: float = setting(low=0, high=2, help="starting value of the residual scalars")
    optimizer: str = setting(words=OPTIMIZERS, help="of the shared weights")
    learning_rate: float = setting(
        low=0,
        high=100,
        help="peak; linear warm-up over `rate_warmup` of the steps, then cosine down to `rate_floor` of it",
    )
    rate_warmup: float = setting(low=0, high=1, help="share of the steps")
    rate_floor: float = setting(low=0, high=1, help="share of the peak")
    weight_decay: float = setting(low=0, high=1, help="coefficient of the L2 term of active kernels")
    clip_norm: float = setting(low=0, high=1e6, help="largest gradient norm; 0 for no clipping")
    label_smoothing: float = setting(default=0.1, low=0, high=0.9, help="of the training loss")
    start: str = setting(
        words=STARTS, help="where the policy starts: with the largest entropy at the budget, or uniform"
    )
    reward: str = setting(default="absolute", words=KINDS, help="of accuracy against cost, see controller/rewards.py")
    beta: float = setting(default=-0.1, low=-100, high=0, help="weight of the cost in the reward, negative")
    window: float = setting(
        default=0.0, low=0, high=1, help="samples further than this share from the target are rejected; 0 for none"
    )
    controller_rate: float = setting(
        low=0, high=1e5, help="sum of the controller's rates over the steps after the delay; 0 freezes the policy"
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
    data = recipe_files.read(KIND, name_or_path)
    fields = Fields(data, name_or_path)
    found = {name: fields.raw(name, None) for name in SearchRecipe.declared}
    fields.done()
    return {name: value for name, value in found.items() if fields.has(name)}
