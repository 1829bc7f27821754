"""Candidates, local search and the winner, where the truth is known."""

import numpy as np
import pytest

import searchspace
from controller.adam import Schedule
from controller.halving import Evaluation, Plan, Rung
from controller.looks import Looks
from controller.reinforce import Reinforce
from controller.searchers import SEARCHERS, create
from controller.selection import improve, propose, select
from controller.surrogate import Surrogate
from controller.window import Window
from searchspace import tabulate

PLAN = Plan((Rung(24, 64), Rung(8, 256), Rung(3, 2000)), Rung(16, 256))


def _window(toy, target=20_000):
    return Window.around("macs", toy.cost, target, 0.03, 0.01)


def _searched(toy, name="reinforce", steps=60):
    searcher = create(name, toy.decisions, seed=0, schedule=Schedule(steps, total=20))
    rows, qualities, progress = [], [], []
    for step in range(steps):
        choices = searcher.ask(4)
        quality = toy.quality(choices) + 0.05 * np.random.default_rng(step).normal(size=4)
        searcher.tell(choices, quality, quality - 0.1 * np.abs(toy.cost(choices) / 20_000 - 1), progress=step / steps)
        rows.append(choices)
        qualities.append(quality)
        progress.append(np.full(4, step / steps))
    return searcher, Looks(np.concatenate(rows), np.concatenate(qualities), np.concatenate(progress))


def _score(toy):
    def score(row, rung):
        noise = np.random.default_rng([*row.tolist(), rung.samples]).normal() / np.sqrt(rung.samples)
        accuracy = float(toy.quality(row[None])[0] + 0.3 * noise)
        return Evaluation(1 - accuracy, accuracy, rung.samples)

    return score


@pytest.mark.parametrize("name", SEARCHERS)
def test_pool_lies_in_the_window_without_duplicates(toy, name):
    searcher, looks = _searched(toy, name)
    window = _window(toy).capped("kernels", lambda c: c[:, 2], 1)
    pool = propose(searcher, looks, window, 24, Surrogate.fit(toy.decisions, looks))
    assert window.contains(pool.choices).all()
    assert len(np.unique(pool.choices, axis=0)) == len(pool.choices) == 24 == len(pool.origins)
    # What was seen, or a policy samples that is sure, may all be what the model or the argmax brought before.
    assert {"argmax", "model"} <= set(pool.origins) <= {"argmax", "model", "seen", "policy"}
    seen, mean = looks.shrunken()
    best = seen[window.contains(seen)][mean[window.contains(seen)].argmax()]
    assert (pool.choices == best).all(axis=1).any()
    assert pool.origins[0] == "argmax"
    assert (pool.argmax == searcher.favourite()).all()


def test_pool_is_what_there_is_in_a_narrow_window(toy):
    searcher, looks = _searched(toy)
    window = _window(toy)
    inside = window.contains(toy.every).sum()
    pool = propose(searcher, looks, window, 5000, Surrogate.fit(toy.decisions, looks))
    assert len(pool.choices) == inside  # a small space is ranked as a whole


def test_twins_count_once(toy):
    searcher, looks = _searched(toy)
    pool = propose(searcher, looks, _window(toy), 24, None, key=lambda row: str(row[0]))
    assert len(pool.choices) == len(np.unique(pool.choices[:, 0]))


def test_winner_is_near_the_best_of_the_window(toy):
    searcher, looks = _searched(toy)
    model, window = Surrogate.fit(toy.decisions, looks), _window(toy)
    first = select(searcher, looks, window, PLAN, _score(toy), model)
    inside = toy.every[window.contains(toy.every)]
    truth = np.sort(toy.quality(inside))[::-1]
    assert truth[0] - toy.quality(first.choices[None])[0] < 0.01 < truth.std()
    again = select(searcher, looks, window, PLAN, _score(toy), model)
    assert (again.choices == first.choices).all() and again.local.moves == first.local.moves
    assert first.evaluation.samples == 2000
    scored = sum(len(entries) for _, entries in first.halving.history)
    assert scored == 24 + 8 + 3 and len(first.local.scored) <= 17


def test_works_without_looks_or_model(toy):
    searcher = Reinforce(toy.decisions, seed=0, schedule=Schedule(10))
    empty = Looks(toy.every[:0], np.zeros(0))
    result = select(searcher, empty, _window(toy), PLAN, _score(toy))
    assert _window(toy).contains(result.choices[None]).all()


def test_unreachable_windows_are_errors(toy):
    searcher, looks = _searched(toy)
    with pytest.raises(ValueError, match="closest"):
        propose(searcher, looks, _window(toy, 10**6), 4, None)


def test_local_search_is_bounded_and_asks_the_model_first(toy):
    window = _window(toy)
    start = toy.every[window.contains(toy.every)][0]
    order = []

    def score(row, rung):
        order.append(row)
        return Evaluation(-float(toy.quality(row[None])[0]), 0.0, rung.samples)

    result = improve(toy.decisions, start, score, Rung(10, 1), window, toy.quality)
    assert len(order) == len(result.scored) <= 11
    assert window.contains(np.array(order)).all()
    assert result.moves > 0 and toy.quality(result.choices[None])[0] > toy.quality(start[None])[0]
    assert len({row.tobytes() for row in order}) == len(order)
    # With the true quality as model the first neighbour scored is the best one: it must be a move.
    assert result.scored[1][1].loss < result.scored[0][1].loss


def test_local_luck_is_checked_on_the_last_rung(toy):
    """Neighbours that shine on the local samples only do not win."""
    searcher, looks = _searched(toy)

    def score(row, rung):
        loss = 1 - float(toy.quality(row[None])[0])
        if rung == PLAN.local:
            loss = float(row.sum())  # nonsense
        return Evaluation(loss, 0.0, rung.samples)

    result = select(searcher, looks, _window(toy), PLAN, score)
    if result.origin != "local":
        assert (result.choices == result.pool.choices[result.halving.winner]).all()
    assert 1 - result.evaluation.loss == pytest.approx(toy.quality(result.choices[None])[0])
    best = min(e.loss for _, e in result.halving.history[-1][1])
    assert result.evaluation.loss <= best


def test_movinet_pool():
    """The whole pool of a large space, ranked by a model of a planted effect."""
    space = searchspace.load("movinet")
    d, cost = space.decisions, tabulate(space, space.clip).macs
    searcher = create("reinforce", d, seed=0, schedule=Schedule(100))
    rng = np.random.default_rng(0)
    choices = d.sample(rng, 300)
    effect = (choices[:, d.index("blocks/0/layers/0/kernel")] >= 5).astype(float)
    looks = Looks(choices, 0.5 + 0.2 * effect + 0.02 * rng.normal(size=300), np.linspace(0, 1, 300))
    window = Window.around("macs", cost, 600e6, 0.03, 0.01)
    pool = propose(searcher, looks, window, 64, Surrogate.fit(d, looks))
    assert len(pool.choices) == 64 and window.contains(pool.choices).all()
    by_model = pool.choices[[o == "model" for o in pool.origins]]
    assert (by_model[:, d.index("blocks/0/layers/0/kernel")] >= 5).all()
