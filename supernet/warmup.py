"""Warm-up: how the first part of a search trains shared weights before it may trust what a path shows.

Each strategy takes the choices that the controller sampled for the K micro-batches of a step and says what runs
instead, and which decisions it replaced: these carry no information for the controller.

- *tunas* (arXiv 2008.06120): with probability p = 1 - progress / fraction, for each decision and micro-batch on its
  own, all kernels run and their outputs are averaged, likewise with and without squeeze-excitation; widths and
  expansions become the largest, and depths the deepest (our choice: TuNAS skips layers by an averaged decision).
- *sandwich* (after slimmable networks): while it lasts, one micro-batch runs the largest network, one the smallest,
  the others what was sampled. With fewer than three micro-batches a step the roles are drawn.
- *boot*: with probability p as above each decision becomes that of one cheap central network, so that one network
  learns first and the others grow out of it. Measured to be what lets searches of minutes learn.
- *uniform*: nothing is replaced.
"""

from __future__ import annotations

import dataclasses
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from searchspace import Choices, Kernel, Space
from searchspace.layer_choices import EXPANSION, KERNEL, LAYER_CHOICES, SQUEEZE
from supernet.path import Path

Strategy: TypeAlias = Literal["tunas", "sandwich", "uniform", "boot"]
Mask: TypeAlias = npt.NDArray[np.bool_]
FRACTIONS: dict[str, float] = {"tunas": 0.25, "sandwich": 0.25, "uniform": 0.0, "boot": 0.35}


@dataclasses.dataclass(frozen=True)
class Centre:
    """The central network of boot; each decision takes the nearest value that the space offers.

    Attributes:
        width: times a block's base width.
        expansion: times a block's base width.
        depth: layers a block.
        kernel: of every layer.
        se: squeeze-excitation.
    """

    width: float = 1.0
    expansion: float = 2.0
    depth: int = 2
    kernel: Kernel = Kernel(3, 3, 3)  # noqa: RUF009 - immutable
    se: bool = True

    def choices(self, space: Space) -> Choices:
        """Its choice of every decision, int8 [D], also in layers beyond its depth; the middle one of any other kind."""
        distances = {choice.kind: choice.distance for choice in LAYER_CHOICES}
        row = []
        for item in space.decisions.items:
            base = 1.0 if item.block is None else space.blocks[item.block].base
            wanted = {
                "width": self.width * base,
                "depth": self.depth,
                KERNEL.kind: self.kernel,
                EXPANSION.kind: self.expansion * base,
                SQUEEZE.kind: self.se,
            }
            if item.kind not in wanted:
                row.append(len(item.values) // 2)
                continue
            distance = distances.get(item.kind, EXPANSION.distance)  # widths and depths are numbers, too
            row.append(int(np.argmin([distance(value, wanted[item.kind]) for value in item.values])))
        return np.array(row, dtype=np.int8)


class Warmup:
    """One strategy on one space.

    Args:
        space: whose decisions are replaced.
        strategy: see the top of this file.
        fraction: part of all steps that it lasts; by default 0.25 for tunas and sandwich, 0.35 for boot.
        centre: of boot.

    Raises:
        ValueError: an unknown strategy, or a fraction outside [0, 1].
    """

    def __init__(
        self, space: Space, strategy: Strategy, fraction: float | None = None, centre: Centre | None = None
    ) -> None:
        if strategy not in FRACTIONS:
            raise ValueError(f"warm-up {strategy!r}: allowed are {', '.join(FRACTIONS)}")
        self.space, self.strategy = space, strategy
        self.fraction = FRACTIONS[strategy] if fraction is None else fraction
        if not 0 <= self.fraction <= 1:
            raise ValueError(f"warm-up fraction {self.fraction:g}: must be from 0 to 1")
        decisions = space.decisions
        averaged = {choice.kind for choice in LAYER_CHOICES if choice.averaged}
        # A single choice cannot be averaged.
        self._averages = np.array([item.kind in averaged for item in decisions.items]) & (decisions.sizes > 1)
        self._largest = (decisions.sizes - 1).astype(np.int8)
        self._centre = (centre or Centre()).choices(space)

    def probability(self, progress: float) -> float:
        """The probability that a decision is replaced at this part of all steps, 1 at the start and 0 at the end."""
        return max(0.0, 1.0 - progress / self.fraction) if self.fraction > 0 else 0.0

    def __call__(self, choices: Choices, progress: float, rng: np.random.Generator) -> tuple[list[Path], Mask]:
        """What runs instead of sampled choices.

        Args:
            choices: int8 [K, D], canonical.
            progress: part of all steps that is done, in [0, 1].
            rng: the source of randomness; the number of draws depends on the shape of `choices` alone.

        Returns:
            K paths, and bool [K, D]: decisions that were replaced, or act in only one of sample and path.
        """
        sampled = self.space.decisions.active(choices)
        # Where a depth grows, the decisions of further layers start to act: uniform, as in a fresh policy.
        drawn = (rng.random(choices.shape) * self.space.decisions.sizes).astype(np.int8)
        row = np.where(sampled, choices, drawn)
        hit = rng.random(choices.shape) < self.probability(progress)
        roles = rng.permutation(3)
        averaged = np.zeros_like(hit)
        if self.strategy == "tunas":
            averaged = hit & self._averages
            row = np.where(hit, self._largest, row)  # the largest choice of se is on, of kernels any
        elif self.strategy == "boot":
            row = np.where(hit, self._centre, row)
        elif self.strategy == "sandwich":
            hit = self._sandwich(row, progress, roles)
        else:
            hit = np.zeros_like(hit)
        active = self.space.decisions.active(row)
        row = self.space.decisions.canonical(row)
        paths = [
            Path(self.space.architecture(chosen), frozenset(self._place(int(i)) for i in np.flatnonzero(mean)))
            for chosen, mean in zip(row, averaged & active, strict=True)
        ]
        return paths, hit | (active != sampled)

    def _place(self, decision: int) -> tuple[int, int, str]:
        item = self.space.decisions.items[decision]
        assert item.block is not None and item.layer is not None, f"{item.path} is averaged, and belongs to no layer"
        return item.block, item.layer, item.kind

    def _sandwich(self, row: Choices, progress: float, roles: npt.NDArray[np.int64]) -> Mask:
        """Overwrites rows with the largest and the smallest network."""
        hit = np.zeros(row.shape, dtype=bool)
        if progress >= self.fraction:
            return hit
        order = [int(role) for role in roles] if len(row) < 3 else [0, 1]
        for k, role in enumerate(order[: len(row)]):
            if role < 2:
                row[k] = self._largest if role == 0 else 0
                hit[k] = True
        return hit
