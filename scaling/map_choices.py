"""The same network in another scaling of its space."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from controller.repair import Repaired, repair_nearby
from controller.window import Window
from searchspace import LAYER_CHOICES, BlockSpace, Choices, LayerChoice, Space
from searchspace.layer_choices import EXPANSION
from searchspace.space import HEAD


def map_choices(choices: Choices, source: Space, target: Space, depth_ratio: float) -> Choices:
    """Takes architectures of one scaling of a space into another one.

    Widths and expansions go to the value of the same rank, or where rounding has merged some to the one nearest in
    proportion to their block's base width, so that their order stays; depths to the one nearest to `depth_ratio` times
    as many layers; kernels and squeeze-excitation stay. A block that shrinks keeps its first layers; one that grows
    repeats its layers in order, but for the first, which carries the stride. Growing and shrinking back gives the same
    network.

    Args:
        choices: of `source`, int8 [N, D].
        source, target: scalings of one space.
        depth_ratio: depth coefficient to the power of the difference of exponents.

    Returns:
        Canonical choices of `target`, int8 [N, D'].

    Raises:
        ValueError: the spaces have different numbers of blocks.
    """
    if len(source.blocks) != len(target.blocks):
        raise ValueError(
            f"spaces {source.name!r} and {target.name!r} have {len(source.blocks)} and {len(target.blocks)} blocks; "
            "only scalings of one space can be mapped into each other"
        )
    rows = np.arange(len(choices))
    at, to = source.decisions.at, target.decisions.at
    mapped = np.zeros((len(choices), len(target.decisions)), dtype=np.int8)
    for b, (old, new) in enumerate(zip(source.blocks, target.blocks, strict=True)):
        widths = _channels(old.widths, old.base, new.widths, new.base)
        depths = _table(old.depths, new.depths, lambda value, other: abs(other - value * depth_ratio))
        depth = choices[:, at("depth", b)]
        mapped[:, to("width", b)] = widths[choices[:, at("width", b)]]
        mapped[:, to("depth", b)] = depths[depth]
        had = np.array(old.depths)[depth]
        for choice in LAYER_CHOICES:
            table = _layer_table(choice, old, new)
            places = np.array([at(choice.kind, b, index) for index in range(old.depths[-1])])
            for index in range(new.depths[-1]):
                origin = np.where(index < had, index, 1 + (index - 1) % np.maximum(1, had - 1))
                origin = np.minimum(origin, had - 1)  # of a single layer every other is a copy
                mapped[:, to(choice.kind, b, index)] = table[choices[rows, places[origin]]]
    heads = _channels(source.heads, source.heads[0], target.heads, target.heads[0])
    mapped[:, to(HEAD)] = heads[choices[:, at(HEAD)]]
    return target.decisions.canonical(mapped)


def _layer_table(choice: LayerChoice, old: BlockSpace, new: BlockSpace) -> NDArray[np.int64]:
    values, others = old.values(choice), new.values(choice)
    if choice.are_channels:
        return _channels(values, old.base, others, new.base)
    return _table(values, others, choice.distance)


def bring_to(space: Space, choices: Choices, window: Window) -> Repaired:
    """Repairs networks to a cost so that they stay what scaling made of them, where that is possible.

    Depths and widths are what coefficients say, and kernels what was searched, so expansions move first, by a value or
    two of their lists; then all decisions do, by one, two, four; at last by any number (our choice).

    Args:
        space: of the networks.
        choices: of `space`, int8 [N, D].
        window: the cost.

    Returns:
        Choices of the same space; `inside` says which rows met the cost.
    """
    expansions = np.array([item.kind == EXPANSION.kind for item in space.decisions.items], dtype=np.int64)
    return repair_nearby(space.decisions, choices, window, [expansions, 2 * expansions, 1, 2, 4, None])


def _channels(old: Sequence[int], old_base: float, new: Sequence[int], new_base: float) -> NDArray[np.int64]:
    """By rank where rounding merged nothing, else by proportion to the base width."""
    if len(old) == len(new):
        return np.arange(len(old))
    return _table(old, new, lambda value, other: abs(math.log(value / old_base) - math.log(other / new_base)))


def _table(old: Sequence[Any], new: Sequence[Any], distance: Callable[[Any, Any], float]) -> NDArray[np.int64]:
    """For each old value the index of the nearest new one; ties go to the first."""
    return np.array([int(np.argmin([distance(value, other) for other in new])) for value in old])
