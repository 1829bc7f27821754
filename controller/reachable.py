"""Whether a space holds networks of some cost at all: what there is to know before anything is trained.

A small space is looked through as a whole, so the answer is certain. Of a large one, samples are repaired, and where
that fails networks within the caps climb to the target by single changes: what neither reaches is probably not there.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from controller.arrays import Choices, Floats, generator
from controller.neighbours import expand
from controller.repair import enumerate_all, try_repair
from controller.window import Window
from searchspace.decisions import Decisions

_SAMPLES = 8
_ROUNDS, _CLIMBERS = 24, 4
_MOST = 2.0**62


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
    rng = generator(seed, "reachable")
    uniform = decisions.sample(rng, _SAMPLES)
    rows = uniform if start is None else np.concatenate([decisions.sample(rng, _SAMPLES, start), uniform])
    found = try_repair(decisions, rows, window)
    if found.inside.any():
        return found.choices[found.inside]
    climbed = np.concatenate(
        [
            _climbed(decisions, _with(window, 0.0, float(np.max(window.limits[0].high))), uniform, 1),
            _climbed(decisions, _with(window, float(np.min(window.limits[0].low)), _MOST), uniform, -1),
        ]
    )
    return climbed[window.contains(climbed)]


def nearest_costs(decisions: Decisions, window: Window, seed: int) -> tuple[float | None, float | None]:
    """The costs in the first limit's quantity that are nearest below and above it, of networks within the others.

    Args:
        decisions, window, seed: see `reachable`.

    Returns:
        None on a side where there is no network. Of a large space what was found, which may not be the very nearest.
    """
    first, every = window.limits[0], enumerate_all(decisions)
    below = _with(window, 0.0, math.nextafter(float(np.min(first.low)), -math.inf))
    above = _with(window, math.nextafter(float(np.max(first.high)), math.inf), _MOST)
    found = []
    for beside, sign in ((below, 1), (above, -1)):
        if every is not None:
            rows = every[beside.contains(every)]
        else:
            uniform = decisions.sample(generator(seed, "reachable"), _SAMPLES)
            rows = _climbed(decisions, beside, uniform, sign)
        found.append(sign * float(np.max(sign * first.cost(rows))) if len(rows) else None)
    return found[0], found[1]


def _with(window: Window, low: float, high: float) -> Window:
    """The window with another range for its first limit."""
    return Window((dataclasses.replace(window.limits[0], low=low, high=high), *window.limits[1:]))


def _climbed(decisions: Decisions, window: Window, rows: Choices, sign: int) -> Choices:
    """Networks inside a window whose first cost is as large (sign 1) or as small (-1) as single changes lead to."""
    repaired = try_repair(decisions, rows, window, rounds=_ROUNDS)
    found, cost = repaired.choices[repaired.inside], window.limits[0].cost
    for _ in range(_ROUNDS if len(found) else 0):
        around = expand(decisions, found)[0]
        every = np.concatenate([found, around[window.contains(around)]])
        better = every[np.argsort(-sign * cost(every), kind="stable")][:_CLIMBERS]
        if len(better) == len(found) and (better == found).all():
            break
        found = better
    return found
