"""Whether a space holds networks of some cost at all: what there is to know before anything is trained.

A small space is looked through as a whole, so the answer is certain. Of a large one, samples are repaired: what they do
not reach is probably not there, and the selection of a winner, which repairs as well, would not reach it either.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np

from controller.arrays import Choices, Floats, generator
from controller.repair import enumerate_all, try_repair
from controller.window import Limit, Window
from searchspace.decisions import Decisions

_SAMPLES = 16
_STEPS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""How far beside a window, relative to its edge, the nearest cost of a large space is looked for."""


def reachable(decisions: Decisions, window: Window, start: Sequence[Floats] | None, seed: int) -> Choices:
    """Networks inside a window, int8 [N, D]: all of a small space, some of a large one, none where none was found.

    Args:
        decisions: the space.
        window: what they may cost.
        start: distribution that half of the samples are drawn from; the others are uniform, and all without it.
        seed: of the samples.
    """
    every = enumerate_all(decisions)
    if every is not None:
        return every[window.contains(every)]
    found = try_repair(decisions, _samples(decisions, start, seed), window)
    return found.choices[found.inside]


def nearest_costs(
    decisions: Decisions, window: Window, start: Sequence[Floats] | None, seed: int
) -> tuple[float | None, float | None]:
    """The costs in the first limit's quantity that are nearest below and above it, of networks within the others.

    Args:
        decisions, window, start, seed: see `reachable`.

    Returns:
        None on a side where there is no network, or in a large space where none was found.
    """
    first, others = window.limits[0], window.limits[1:]
    low, high = float(np.min(first.low)), float(np.max(first.high))
    below, above = functools.partial(np.nextafter, low), functools.partial(np.nextafter, high)

    def found(lowest: float, highest: float) -> Floats:
        sides = Window((Limit(first.name, first.cost, lowest, highest), *others))
        rows = reachable(decisions, sides, start, seed)
        return np.asarray(first.cost(rows), dtype=np.float64) if len(rows) else np.zeros(0)

    if enumerate_all(decisions) is not None:
        under, over = found(0.0, float(below(-math.inf))), found(float(above(math.inf)), 2.0**62)
    else:
        under = over = np.zeros(0)
        for step in _STEPS:
            under = under if len(under) else found(max(0.0, low * (1 - step)), float(below(-math.inf)))
            over = over if len(over) else found(float(above(math.inf)), high * (1 + step))
    return (float(under.max()) if len(under) else None), (float(over.min()) if len(over) else None)


def _samples(decisions: Decisions, start: Sequence[Floats] | None, seed: int) -> Choices:
    rng = generator(seed, "reachable")
    uniform = decisions.sample(rng, _SAMPLES)
    return uniform if start is None else np.concatenate([decisions.sample(rng, _SAMPLES, start), uniform])
