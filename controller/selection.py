"""How the winner is chosen, which matters more than how the looks were drawn.

The bare argmax of a factorised policy may cost what nobody asked for, and one noisy look cannot tell good
architectures apart. So candidates are collected from four sides, all inside the budget's window, and scored on the
final weights and the same samples: first in halving, then against their neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from controller.arrays import Choices, Floats, Key, Score, first_of_each, generator
from controller.halving import Evaluate, Evaluation, Halving, Plan, Rung, halve, rank
from controller.looks import Looks
from controller.neighbours import changes, expand, neighbours
from controller.policy import Policy
from controller.reachable import reachable
from controller.repair import Repaired, describe, enumerate_all, try_repair
from controller.searcher import Searcher, draw, rejection
from controller.surrogate import Surrogate
from controller.window import Window
from searchspace.decisions import Decisions

BELOW, ABOVE = 0.03, 0.01
"""A winner costs at most this part less and more than the target."""

_DRAWN = 512
_CLIMBERS = 16
_CLIMBS = 3
# Pairs of changes are tried only where single ones are so few that their square stays small.
_FEW = 64


@dataclass(frozen=True)
class Pool:
    """Candidates inside the window, without duplicates.

    Attributes:
        choices: [N, D].
        origins: where each came from: `argmax`, `seen`, `policy` or `model`.
        argmax: the searcher's own favourite before repair, [D].
        changes: number of decisions that the repair changed in it.
    """

    choices: Choices
    origins: tuple[str, ...]
    argmax: Choices
    changes: int


@dataclass(frozen=True)
class Improvement:
    """What a local search found.

    Attributes:
        choices: the best architecture, [D].
        moves: how often a neighbour was better.
        scored: all that was scored, with the starting point first.
    """

    choices: Choices
    moves: int
    scored: tuple[tuple[Choices, Evaluation], ...]


@dataclass(frozen=True)
class Selection:
    """The winner and how it came about.

    Attributes:
        choices: the winner, [D].
        evaluation: its score on the last rung.
        origin: where it came from, `local` when the local search found it.
        pool, halving, local: the steps.
    """

    choices: Choices
    evaluation: Evaluation
    origin: str
    pool: Pool
    halving: Halving
    local: Improvement


def propose(
    searcher: Searcher, looks: Looks, window: Window, count: int, model: Surrogate | None, key: Key | None = None
) -> Pool:
    """Collects candidates: the argmax (repaired), a quarter of the best ones seen, a quarter of samples of the policy,
    and what the model ranks best.

    Args:
        searcher: after the search.
        looks: all it told.
        window: what a winner may cost, caps included.
        count: how many candidates; fewer where the window holds fewer.
        model: fitted to the looks; None leaves its share to the others.
        key: what makes two encodings one network.

    Raises:
        ValueError: the window cannot be reached.
    """
    policy = searcher.policy
    rng = generator(searcher.seed, "selection")
    favourite = searcher.favourite()
    argmax = _repaired(searcher, favourite, window)
    seen = _best_seen(looks, window)
    try:
        sampled = draw(policy, rng, max(1, count // 2), window)
    except ValueError:  # the policy has gone where no repair leads back from
        sampled = argmax.choices
    ranked = (
        sampled[:0]
        if model is None
        else _best_predicted(searcher, rng, window, model, np.concatenate([argmax.choices, seen, sampled]), count)
    )
    # The order of the queue says who gives way when the pool is full: shares first, then what is left over of each.
    share = max(1, count // 4)
    queue = [
        ("argmax", argmax.choices),
        ("model", ranked[: max(1, count - 1 - 2 * share)]),
        ("seen", seen[:share]),
        ("policy", sampled[:share]),
        ("model", ranked),
        ("seen", seen),
        ("policy", sampled),
    ]
    choices = np.concatenate([rows for _, rows in queue])
    origins = np.repeat([name for name, _ in queue], [len(rows) for _, rows in queue])
    kept = first_of_each(choices, key)[:count]
    return Pool(choices[kept], tuple(str(o) for o in origins[kept]), favourite, int(argmax.changes[0]))


def improve(
    decisions: Decisions,
    choices: Choices,
    score: Evaluate,
    rung: Rung,
    window: Window,
    predicted: Score | None = None,
    key: Key | None = None,
) -> Improvement:
    """Local search inside the window: moves to the first neighbour that is better on the rung's samples.

    Args:
        decisions: the space.
        choices: where to start, canonical [D], inside the window.
        score: see `Evaluate`.
        rung: at most `candidates` neighbours are scored, each on `samples`.
        window: what may be reached.
        predicted: which neighbours to score first.
        key: what makes two encodings one network.
    """

    def name(row: Choices) -> str | bytes:
        return row.tobytes() if key is None else key(row)

    best, best_evaluation, moves = choices, score(choices, rung), 0
    scored = [(best, best_evaluation)]
    known = {name(best)}
    queue = _around(decisions, best, window, predicted)
    while queue and len(scored) <= rung.candidates:
        row = queue.pop(0)
        if name(row) in known:
            continue
        known.add(name(row))
        evaluation = score(row, rung)
        scored.append((row, evaluation))
        if rank(evaluation) < rank(best_evaluation):
            best, best_evaluation, moves = row, evaluation, moves + 1
            queue = _around(decisions, best, window, predicted)
    return Improvement(best, moves, tuple(scored))


def select(
    searcher: Searcher,
    looks: Looks,
    window: Window,
    plan: Plan,
    score: Evaluate,
    model: Surrogate | None = None,
    key: Key | None = None,
) -> Selection:
    """The whole choice of the winner: candidates, halving, local search, and the last rung decides between the two.

    Args:
        searcher: after the search.
        looks: all it told.
        window: what a winner may cost.
        plan: sizes.
        score: see `Evaluate`; called in an order that depends on its answers alone, so a caller that keeps them can
            resume.
        model: fitted to the looks.
        key: what makes two encodings one network.
    """
    pool = propose(searcher, looks, window, plan.rungs[0].candidates, model, key)
    halving = halve(pool.choices, score, plan.rungs)
    winner, evaluation = halving.history[-1][1][0]
    choices, origin = pool.choices[winner], pool.origins[winner]
    local = improve(
        searcher.decisions, choices, score, plan.local, window, None if model is None else model.predict, key
    )
    if local.moves:
        # Better on the local search's samples may be luck there; the last rung's samples decide.
        again = score(local.choices, plan.rungs[-1])
        if rank(again) < rank(evaluation):
            choices, evaluation, origin = local.choices, again, "local"
    return Selection(choices, evaluation, origin, pool, halving, local)


def _repaired(searcher: Searcher, favourite: Choices, window: Window) -> Repaired:
    """The favourite brought into the window; where that fails, the nearest of what was known to be there at first."""
    decisions = searcher.decisions
    found = try_repair(decisions, favourite[None], window, prefer=searcher.policy.preference)
    if found.inside[0]:
        return found
    known = reachable(decisions, window, searcher.start.probabilities(), searcher.seed)
    if not len(known):
        cost = float(window.limits[0].cost(found.choices)[0])
        raise ValueError(f"no architecture within {describe(window)} was found, the closest costs {cost:.6g}")
    moved = changes(decisions, np.broadcast_to(favourite, known.shape), known)
    nearest = [int(moved.argmin())]
    return Repaired(known[nearest], moved[nearest], np.ones(1, dtype=bool))


def _best_seen(looks: Looks, window: Window) -> Choices:
    if not len(looks):
        return looks.choices
    choices, mean = looks.shrunken()
    inside = window.contains(choices)
    return choices[inside][np.argsort(-mean[inside], kind="stable")]


def _best_predicted(
    searcher: Searcher, rng: np.random.Generator, window: Window, model: Surrogate, known: Choices, count: int
) -> Choices:
    """What the model ranks best among everything (small spaces), or among samples, what is known and neighbours."""
    decisions = searcher.decisions
    every = enumerate_all(decisions)
    if every is not None:
        return _sorted(every[window.contains(every)], model.predict)[0][:count]

    def samples(policy: Policy) -> Choices:
        return rejection(policy, rng, _DRAWN // 4, window, _DRAWN)[0][:_DRAWN]

    found = np.concatenate([known, samples(searcher.policy), samples(searcher.start)])
    for _ in range(_CLIMBS):
        found, _ = _sorted(found[first_of_each(found)], model.predict)
        around, _ = expand(decisions, found[:_CLIMBERS])
        found = np.concatenate([found, around[window.contains(around)]])
    return _sorted(found[first_of_each(found)], model.predict)[0][:count]


def _around(decisions: Decisions, choices: Choices, window: Window, predicted: Score | None) -> list[Choices]:
    few = len(expand(decisions, choices[None])[0]) <= _FEW
    found = neighbours(decisions, choices, window, pairs=few)
    return list(found if predicted is None else _sorted(found, predicted)[0])


def _sorted(choices: Choices, score: Score) -> tuple[Choices, Floats]:
    values = np.asarray(score(choices), dtype=np.float64) if len(choices) else np.zeros(0)
    order = np.argsort(-values, kind="stable")
    return choices[order], values[order]
