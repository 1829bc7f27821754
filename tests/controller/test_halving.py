"""Successive halving: sizes, order, history."""

import math

import numpy as np
import pytest

from controller.halving import Evaluation, Rung, halve, plan, within


def test_sizes_at_the_usual_length():
    assert plan(1000, 32, usual_steps=1000).rungs == ((64, 64), (16, 256), (4, 2000))
    assert plan(1000, 32, usual_steps=1000).local == (32, 256)
    assert plan(1000, 64, usual_steps=1000).rungs == ((16, 64), (4, 256), (1, 2000))
    assert plan(1000, 64, usual_steps=1000).local == (8, 256)
    assert plan(100_000, 64, usual_steps=1000).rungs == ((64, 64), (16, 256), (4, 2000))


def test_tiny_searches_score_little():
    tiny = plan(10, 32, usual_steps=1000)
    assert tiny.rungs == ((4, 64),)
    assert tiny.samples <= 6 * 64
    sizes = [plan(steps, 32, usual_steps=1000).samples for steps in (1, 10, 100, 500, 1000, 5000)]
    assert sizes == sorted(sizes) and sizes[-1] == sizes[-2]


def test_rungs_never_ask_for_more_than_there_is():
    small = plan(1000, 32, available=70, usual_steps=1000)
    assert small.rungs == ((64, 64), (16, 70)) and small.local == (32, 70)
    assert plan(1000, 32, available=30, usual_steps=1000).rungs == ((64, 30),)
    with pytest.raises(ValueError, match="0 available"):
        plan(1000, 32, available=0)


@pytest.mark.parametrize("candidates", [1, 2, 3, 4, 7, 64, 200])
def test_a_total_is_spent_and_never_exceeded(candidates):
    """At most: each rung tops up what the one before had, neighbours are new, the best of them goes to the end."""
    batch = 512
    sizes = within(2_000_000, candidates, batch)
    spent, before = 0, 0
    for rung in sizes.rungs:
        assert rung.samples % batch == 0 and rung.samples > before
        spent += rung.candidates * (rung.samples - before)
        before = rung.samples
    neighbours = sizes.local.candidates * sizes.local.samples + max(0, before - sizes.local.samples)
    assert 0.5 * 2_000_000 < spent + neighbours <= 2_000_000
    assert [rung.candidates for rung in sizes.rungs] == [max(1, candidates >> i) for i in range(len(sizes.rungs))]
    assert sizes.rungs[-1].candidates < 4


def test_a_total_that_is_too_small_says_what_is_needed():
    with pytest.raises(ValueError, match="921,600"):
        within(900_000, 200, 512)
    assert within(921_600, 200, 512).rungs[0] == (200, 512)
    with pytest.raises(ValueError, match="must be 1 or more"):
        within(1000, 0)


def _candidates(count):
    return np.arange(count, dtype=np.int8)[:, None]


def test_every_rung_keeps_the_best_of_the_one_before():
    calls = []

    def score(row, rung):
        calls.append((int(row[0]), rung.samples))
        # 3 looks best on few samples and is not.
        loss = abs(int(row[0]) - 5) if rung.samples > 10 or row[0] != 3 else -1
        return Evaluation(float(loss), 0.5, rung.samples)

    result = halve(_candidates(8), score, [Rung(8, 10), Rung(4, 20), Rung(2, 30)])
    assert result.winner == 5
    assert [[index for index, _ in scored] for _, scored in result.history] == [
        [3, 5, 4, 6, 7, 2, 1, 0],
        [5, 4, 6, 3],
        [5, 4],
    ]
    assert calls == [(i, 10) for i in range(8)] + [(i, 20) for i in (3, 5, 4, 6)] + [(i, 30) for i in (5, 4)]


def test_ties_and_broken_losses():
    losses = [math.nan, 1.0, 1.0, 1.0]
    accuracy = [1.0, 0.5, 0.7, 0.7]
    result = halve(_candidates(4), lambda row, rung: Evaluation(losses[row[0]], accuracy[row[0]], 1), [Rung(4, 1)])
    assert [index for index, _ in result.history[0][1]] == [2, 3, 1, 0]


def test_first_rung_takes_the_first_candidates():
    result = halve(_candidates(9), lambda row, rung: Evaluation(-float(row[0]), 0, 1), [Rung(3, 1)])
    assert result.winner == 2 and len(result.history[0][1]) == 3
    with pytest.raises(ValueError, match="0 candidates"):
        halve(_candidates(0), lambda row, rung: Evaluation(0, 0, 1), [Rung(3, 1)])
