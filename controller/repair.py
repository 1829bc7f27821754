"""Bring architectures into a window of costs by few greedy changes."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from controller.arrays import Choices, Cost, Flags, Floats, Score
from controller.neighbours import changes, expand
from controller.window import Window
from searchspace.decisions import Decisions

# A space of at most so many encodings is looked through as a whole.
_ENUMERABLE = 50_000
# A change that lands in the window is found within a few rounds in all but contrived spaces.
_ROUNDS = 64
# Within a reach, which may hold nothing that fits, a row is given up after so many changes that come no nearer.
_PATIENCE = 6
# Rows whose neighbours are held in memory at once: 64 x some 400 neighbours x 161 decisions is 4 MB.
_CHUNK = 64

Reach: TypeAlias = int | NDArray[np.int64]
"""How many values of its list each decision may be moved: one number for all, or one a decision [D]."""


@functools.lru_cache(maxsize=4)
def enumerate_all(decisions: Decisions) -> Choices | None:
    """Every architecture of a small space, canonical and distinct; None where there are more than 50,000 encodings."""
    if math.prod(int(size) for size in decisions.sizes) > _ENUMERABLE:
        return None
    rows = np.zeros((1, len(decisions)), dtype=np.int8)
    for index, size in enumerate(decisions.sizes):
        rows = np.repeat(rows, size, axis=0)
        rows[:, index] = np.tile(np.arange(size), len(rows) // int(size))
    every = np.unique(decisions.canonical(rows), axis=0)
    every.flags.writeable = False
    return every


@dataclass(frozen=True)
class Repaired:
    """What a repair did.

    Attributes:
        choices: [N, D]; rows that could not be repaired stand at the closest architecture that was met.
        changes: number of decisions changed in each row, [N].
        inside: whether each row ended inside the window, [N].
    """

    choices: Choices
    changes: NDArray[np.int64]
    inside: Flags


def try_repair(
    decisions: Decisions,
    choices: Choices,
    window: Window,
    *,
    prefer: Score | None = None,
    reach: Reach | None = None,
    rounds: int = _ROUNDS,
) -> Repaired:
    """Like `repair`, but says in `inside` what failed instead of raising.

    In a small space, and without a `reach`, a row fails only where no architecture lies inside its window.

    Args:
        decisions, choices, window, prefer: see `repair`.
        reach: how many values of its list a decision may be moved from where it started, one number or [D];
            None for any number.
        rounds: changes that are tried of each row, one after the other.
    """
    start = decisions.canonical(choices)
    current = start.copy()
    outside, _ = window.measure(current, np.arange(len(current)))
    best, best_outside = current.copy(), outside.copy()
    visited: list[set[bytes]] = [set() for _ in current]
    vain = np.zeros(len(current), dtype=np.int64)
    for _ in range(rounds):
        rows = np.flatnonzero((best_outside > 0) & (vain < (rounds if reach is None else _PATIENCE)))
        if not len(rows):
            break
        for chunk in (rows[i : i + _CHUNK] for i in range(0, len(rows), _CHUNK)):
            for row in chunk:
                visited[row].add(current[row].tobytes())
            found, owner = expand(decisions, current[chunk])
            if reach is not None:
                near = (_moves(decisions, start[chunk[owner]], found) <= reach).all(axis=1)
                found, owner = found[near], owner[near]
            order, outside = _ranked(found, chunk[owner], window, prefer)
            ends = np.cumsum(np.bincount(owner, minlength=len(chunk)))[:-1]
            for row, members in zip(chunk, np.split(order, ends), strict=True):
                # The best change even when it is no progress, but never back: this leaves local minima.
                step = next((m for m in members if found[m].tobytes() not in visited[row]), None)
                vain[row] += 1
                if step is None:
                    continue
                current[row] = found[step]
                if outside[step] < best_outside[row]:
                    best[row], best_outside[row], vain[row] = found[step], outside[step], 0
    if reach is None:
        _look_through(decisions, start, window, best, best_outside)
    return Repaired(best, changes(decisions, start, best), best_outside == 0)


def _look_through(decisions: Decisions, start: Choices, window: Window, best: Choices, outside: Floats) -> None:
    """Of a small space, puts in place of each row that failed the architecture inside its window with the fewest
    changes, nearest to the middle of those."""
    rows = np.flatnonzero(outside > 0)
    every = enumerate_all(decisions) if len(rows) else None
    if every is None:
        return
    one = np.zeros(len(every), dtype=np.intp)
    measured = None if window.per_row else window.measure(every)
    for row in rows:
        out, middle = measured or window.of(np.array([row])).measure(every, one)
        inside = np.flatnonzero(out == 0)
        if len(inside):
            moved = changes(decisions, np.broadcast_to(start[row], every[inside].shape), every[inside])
            best[row], outside[row] = every[inside[np.lexsort((middle[inside], moved))[0]]], 0.0


def repair(decisions: Decisions, choices: Choices, window: Window, *, prefer: Score | None = None) -> Repaired:
    """Changes one decision after the other until every row lies inside the window.

    Each change is the one that brings the row nearest to the window. Among changes that reach it, the one that
    `prefer` scores highest wins, then the one nearest to the middle of the first limit, then the first: deterministic.

    Args:
        decisions: the space.
        choices: [N, D].
        window: where to go; bounds per row are allowed.
        prefer: for example `Policy.preference`, so that what the policy is least sure of changes.

    Raises:
        ValueError: a row does not reach the window within a bounded number of changes.
    """
    result = try_repair(decisions, choices, window, prefer=prefer)
    if not result.inside.all():
        row = int(np.flatnonzero(~result.inside)[0])
        got = [f"{limit.name} {float(limit.cost(result.choices[row : row + 1])[0]):.6g}" for limit in window.limits]
        raise ValueError(
            f"no architecture within {describe(window, row)} found near the given one; closest: {', '.join(got)}: "
            "widen the window or change the budget"
        )
    return result


def repair_nearby(decisions: Decisions, choices: Choices, window: Window, reaches: Sequence[Reach | None]) -> Repaired:
    """Like `try_repair`, within the first of several reaches that suffices, row by row.

    Args:
        decisions, choices, window: see `repair`.
        reaches: see `try_repair`, narrow ones first.
    """
    start = decisions.canonical(choices)
    best, inside = start.copy(), np.zeros(len(start), dtype=bool)
    for reach in reaches:
        rows = np.flatnonzero(~inside)
        found = try_repair(decisions, start[rows], window.of(rows), reach=reach)
        best[rows], inside[rows] = found.choices, found.inside
    return Repaired(best, changes(decisions, start, best), inside)


def describe(window: Window, row: int = 0) -> str:
    """The limits of one row, for messages."""

    def pick(bound: float | Floats) -> float:
        return float(np.ravel(bound)[row if np.ndim(bound) else 0])

    return ", ".join(f"{limit.name} {pick(limit.low):.6g}..{pick(limit.high):.6g}" for limit in window.limits)


def _moves(decisions: Decisions, before: Choices, after: Choices) -> NDArray[np.int64]:
    """By how many values of its list each decision was moved, 0 where it is not active on both sides, [N, D]."""
    both = decisions.active(before) & decisions.active(after)
    return np.where(both, np.abs(after.astype(np.int64) - before), 0)


def _ranked(
    found: Choices, rows: NDArray[np.intp], window: Window, prefer: Score | None
) -> tuple[NDArray[np.intp], Floats]:
    """Order of the neighbours, grouped by row and best first, and how far outside each one is."""
    outside, middle = window.measure(found, rows)
    liked = np.zeros(len(found)) if prefer is None else np.where(outside == 0, prefer(found), 0.0)
    return np.lexsort((middle, -liked, outside, rows)), outside


def repair_to(
    decisions: Decisions, choices: Choices, name: str, cost: Cost, targets: NDArray[Any], within: float = 0.005
) -> Repaired:
    """Brings each row to a cost of its own, [N]: for comparisons at equal cost. See `Repaired.inside` for failures."""
    return try_repair(decisions, choices, Window.around(name, cost, targets, within, within))
