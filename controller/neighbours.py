"""Architectures that differ in one decision, or in two.

A choice that activates further decisions (a deeper block) must also say what these are: a layer that is added copies
the one before it in its block. A decision without such a predecessor takes its first value.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from controller.arrays import Choices
from controller.window import Window
from searchspace.decisions import Decisions


@functools.lru_cache(maxsize=16)
def _donors(decisions: Decisions) -> tuple[int | None, ...]:
    """For each decision of a layer that of the same kind in the layer before."""
    return tuple(
        None if item.layer is None else decisions.find(item.kind, item.block, item.layer - 1)
        for item in decisions.items
    )


def expand(decisions: Decisions, choices: Choices) -> tuple[Choices, NDArray[np.intp]]:
    """All one-decision changes of several architectures.

    Args:
        decisions: the space.
        choices: canonical, [N, D].

    Returns:
        Canonical neighbours [M, D], in the order of decisions, and the row of `choices` that each one comes from [M].
    """
    active = decisions.active(choices)
    parents = {condition[0] for condition in decisions.conditions if condition is not None}
    donors = _donors(decisions)
    owners: list[NDArray[np.intp]] = []
    blocks: list[Choices] = []
    for index, size in enumerate(decisions.sizes):
        rows = np.flatnonzero(active[:, index])
        if size < 2 or not len(rows):
            continue
        # All other values of this decision at once: [rows, size - 1].
        values = np.arange(size - 1) + (np.arange(size - 1) >= choices[rows, index, None])
        owner = np.repeat(rows, size - 1)
        block = choices[owner]
        block[:, index] = values.ravel()
        if index in parents:
            added = decisions.active(block) & ~active[owner]
            for child in np.flatnonzero(added.any(axis=0)):
                donor = donors[child]
                if donor is not None:
                    block[added[:, child], child] = block[added[:, child], donor]
            block = decisions.canonical(block)
        owners.append(owner)
        blocks.append(block)
    if not blocks:
        return np.zeros((0, len(decisions)), dtype=np.int8), np.zeros(0, dtype=np.intp)
    return np.concatenate(blocks), np.concatenate(owners)


def neighbours(decisions: Decisions, choices: Choices, window: Window | None = None, *, pairs: bool = False) -> Choices:
    """The distinct architectures that one change (or, with `pairs`, one or two) makes of one, in a fixed order.

    Args:
        decisions: the space.
        choices: canonical, [D].
        window: only those inside it.
        pairs: also two changes; grows with the square, for small spaces.
    """
    found, _ = expand(decisions, choices[None])
    if pairs:
        found = np.concatenate([found, expand(decisions, found)[0]])
        found = found[(found != choices).any(axis=1)]
        found = found[np.sort(np.unique(found, axis=0, return_index=True)[1])]
    return found if window is None or not len(found) else found[window.contains(found)]


def changes(decisions: Decisions, before: Choices, after: Choices) -> NDArray[np.int64]:
    """Number of decisions active on both sides that differ, [N]; a changed depth counts once, not its layers."""
    both = decisions.active(before) & decisions.active(after)
    return np.asarray(((before != after) & both).sum(axis=-1), dtype=np.int64)
