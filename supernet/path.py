"""One way through a supernet."""

from __future__ import annotations

import dataclasses

from searchspace import Architecture


@dataclasses.dataclass(frozen=True)
class Path:
    """An architecture, and where all choices of a decision run side by side instead.

    Attributes:
        architecture: what runs.
        averaged: entries (block, layer, "kernel"): the outputs of all kernels of that block are averaged, each after
            its own BatchNorm and activation; (block, layer, "se"): the mean of the layer with and without
            squeeze-excitation, for which the architecture must have it.
    """

    architecture: Architecture
    averaged: frozenset[tuple[int, int, str]] = frozenset()
