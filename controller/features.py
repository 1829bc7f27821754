"""Architectures as rows of numbers for a linear model.

* One-hots of every active decision.
* Products of the one-hots of pairs of decisions: where some decisions depend on others, those of one owner (kernel x
  expansion x squeeze-excitation of a layer, width x depth of a block); in a flat table all pairs, or where these are
  too many adjacent ones.
* Counts over layers: how many active layers of a block, and of the network, chose each value. They say nothing that
  the one-hots do not, but under a ridge penalty what many layers share is learned from few looks.
* The number of active decisions.
"""

from __future__ import annotations

import itertools
from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from controller.arrays import Choices
from searchspace.decisions import Decisions

PAIR = 0.4
"""Scale of the products (our choice, from planted effects on the MoViNet space): a penalty shrinks them more."""


# Products of a flat table at most: the fit takes a time that grows with their cube.
_MOST = 1500


class Features:
    """The features of one space.

    Attributes:
        count: F.
    """

    def __init__(self, decisions: Decisions) -> None:
        self.decisions = decisions
        sizes = decisions.sizes
        self._offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.intp)
        self.pairs = _pairs(decisions)
        at = int(sizes.sum())
        self._pair_offsets = []
        for i, j in self.pairs:
            self._pair_offsets.append(at)
            at += int(sizes[i] * sizes[j])
        self._pools: list[tuple[int, list[int]]] = []
        for members in _pools(decisions):
            self._pools.append((at, members))
            at += int(sizes[members[0]])
        self.count = at + 1

    def __call__(self, choices: Choices) -> NDArray[np.float32]:
        """Features [N, F] of canonical choices [N, D]."""
        count = len(choices)
        rows = np.arange(count)
        index = choices.astype(np.intp)
        active = self.decisions.active(choices)
        result = np.zeros((count, self.count), dtype=np.float32)
        result[rows[:, None], self._offsets + index] = active
        for (i, j), at in zip(self.pairs, self._pair_offsets, strict=True):
            result[rows, at + index[:, i] * self.decisions.sizes[j] + index[:, j]] = PAIR * active[:, i] * active[:, j]
        for at, members in self._pools:
            for member in members:
                result[rows, at + index[:, member]] += active[:, member] / np.sqrt(len(members))
        result[:, -1] = active.sum(axis=1) / np.sqrt(len(self.decisions))
        return result


def _pairs(decisions: Decisions) -> list[tuple[int, int]]:
    if all(condition is None for condition in decisions.conditions):
        every = list(itertools.combinations(range(len(decisions)), 2))
        products = sum(int(decisions.sizes[i] * decisions.sizes[j]) for i, j in every)
        return every if products <= _MOST else [(i, i + 1) for i in range(len(decisions) - 1)]
    owners: dict[tuple[int | None, int | None], list[int]] = defaultdict(list)
    for index, item in enumerate(decisions.items):
        if item.block is not None or item.layer is not None:
            owners[item.block, item.layer].append(index)
    return [pair for members in owners.values() for pair in itertools.combinations(members, 2)]


def _pools(decisions: Decisions) -> list[list[int]]:
    """Decisions of one kind in all blocks, and in all layers of one block, where they have equally many choices."""
    groups: dict[tuple[str, bool, int | None, int], list[int]] = defaultdict(list)
    for index, item in enumerate(decisions.items):
        size, of_layers = int(decisions.sizes[index]), item.layer is not None
        if of_layers or item.block is not None:
            groups[item.kind, of_layers, None, size].append(index)
        if of_layers and item.block is not None:
            groups[item.kind, of_layers, item.block, size].append(index)
    distinct = {tuple(members): None for members in groups.values() if len(members) > 1}
    return [list(members) for members in distinct]
