"""Proposals are functions of (seed, trial, earlier results), whoever asks and how often."""

import numpy as np
import pytest

from scaling.proposals import SAMPLERS, Observation, batch_size, propose

HISTORY = [Observation((0.1 * i, 0.5, 0.9 - 0.05 * i, 0.2), (0.3 + 0.05 * i, 0.4 + 0.01 * i)) for i in range(1, 9)]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_same_again_and_others_for_other_trials(sampler: str) -> None:
    first = propose(sampler, 0, 8, HISTORY)
    assert first == propose(sampler, 0, 8, HISTORY)
    others = {propose(sampler, 0, trial, HISTORY) for trial in range(8, 14)} | {propose(sampler, 1, 8, HISTORY)}
    assert len(others) > 4
    for weights in (first, *others):
        assert len(weights) == 4 and all(0.05 <= weight <= 1 for weight in weights)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_without_results_each_sampler_explores(sampler: str) -> None:
    assert len({propose(sampler, 0, trial, []) for trial in range(6)}) == 6


def test_random_ignores_results_and_fills_the_cube() -> None:
    assert propose("random", 0, 8, HISTORY) == propose("random", 0, 8, [])
    rows = np.array([propose("random", 0, trial, []) for trial in range(400)])
    assert rows.mean(axis=0) == pytest.approx(np.full(4, 0.525), abs=0.05)


def test_tpe_goes_where_results_are_good() -> None:
    """Accuracy rises with the first weight: proposals after forty results lie above the uniform mean."""
    rng = np.random.default_rng(0)
    rows = rng.uniform(0.05, 1, (40, 4))
    history = [Observation(tuple(row), (row[0], row[0])) for row in rows.tolist()]
    found = np.mean([propose("tpe", 0, trial, history)[0] for trial in range(40, 50)])
    assert found > 0.7


def test_batches() -> None:
    assert [batch_size(sampler, 32) for sampler in SAMPLERS] == [32, 8, 8]
    assert batch_size("tpe", 5) == 4
