"""What a search decides in each layer, one row a choice.

Spaces, tables of costs, warm-up, the mapping between scalings, neighbours and pictures walk `LAYER_CHOICES` and know
no choice by its place. A further choice is a row here, what it changes in `Layer` (architecture.py), what that costs
(cost.py), how the network computes it (networks/) and how the supernet slices it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from searchspace.channels import read_channels
from searchspace.form import Form
from searchspace.layer_specs import MAX_EXPAND, Layer, read_kernels
from searchspace.schema import Fields


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerChoice:
    """One thing that is chosen in every layer.

    Attributes:
        kind: key in the space's YAML file, and end of the decision's path.
        words: its name for people.
        read: values that a file offers: (where they stand, what stands there, the block, the block's base width) to
            distinct values in their order; raises `ValueError` for any other.
        of: a layer's value.
        distance: between two values; the nearest one stands for a value that a space does not offer.
        are_channels: values are channels, which follow the width of their block when a space is scaled.
        averaged: the warm-up of TuNAS runs all values side by side (see `supernet.path`); else the last one runs.
    """

    kind: str
    words: str
    read: Callable[[Fields, list[Any], Fields, float], tuple[Any, ...]]
    of: Callable[[Layer], Any]
    distance: Callable[[Any, Any], float]
    are_channels: bool = False
    averaged: bool = False


def _read_kernels(source: Fields, values: list[Any], block: Fields, base: float) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(read_kernels(source, values)))


def _read_expansions(source: Fields, values: list[Any], block: Fields, base: float) -> tuple[Any, ...]:
    return read_channels(source, "expansion", values, block, base, MAX_EXPAND)


def _read_squeezes(source: Fields, values: list[Any], block: Fields, base: float) -> tuple[Any, ...]:
    for value in values:
        if type(value) is not bool:
            raise source.refuse("se", value, "true and false")
    return tuple(sorted(set(values)))


KERNEL = LayerChoice(
    kind="kernel",
    words="kernel",
    read=_read_kernels,
    of=lambda layer: layer.kernel,
    distance=lambda value, other: float(value.distance(other)),
    averaged=True,
)
EXPANSION = LayerChoice(
    kind="expansion",
    words="expansion",
    read=_read_expansions,
    of=lambda layer: layer.expand,
    distance=lambda value, other: float(abs(value - other)),
    are_channels=True,
)
SQUEEZE = LayerChoice(
    kind="se",
    words="squeeze-excitation",
    read=_read_squeezes,
    of=lambda layer: layer.squeeze > 0,
    distance=lambda value, other: float(value != other),
    averaged=True,
)
LAYER_CHOICES: tuple[LayerChoice, ...] = (KERNEL, EXPANSION, SQUEEZE)


def layer_of(values: Sequence[Any], stride: int, form: Form) -> Layer:
    """The layer of one value of each of `LAYER_CHOICES`, in their order."""
    chosen = dict(zip((choice.kind for choice in LAYER_CHOICES), values, strict=True))
    expand = chosen[EXPANSION.kind]
    squeeze = form.squeeze_width(expand) if chosen[SQUEEZE.kind] else 0
    return Layer(chosen[KERNEL.kind], stride, expand, squeeze)
