"""The model over decisions on functions that are known, with noise and drift."""

import numpy as np
import pytest

import searchspace
from controller.features import PAIR, Features
from controller.looks import Looks, trend
from controller.surrogate import _PENALTIES, Surrogate, _cross_validated
from searchspace.decisions import Decision, Decisions


def _rank(values):
    order = np.empty(len(values))
    order[np.argsort(values)] = np.arange(len(values))
    return order


def spearman(a, b):
    return np.corrcoef(_rank(a), _rank(b))[0, 1]


def _looks(toy, count, noise=0.03, drift=True, seed=0):
    rng = np.random.default_rng(seed)
    choices = toy.decisions.sample(rng, count)
    progress = np.arange(count) / count
    quality = toy.quality(choices)
    if drift:  # training: all architectures rise together, and differ little at first
        quality = 0.1 + (1 - np.exp(-4 * progress)) * (quality - 0.1)
    return Looks(choices, quality + noise * rng.normal(size=count), progress if drift else None)


def test_trend_is_a_partition_of_unity():
    basis = trend(np.linspace(0, 1, 57))
    np.testing.assert_allclose(basis.sum(axis=1), 1)
    assert (basis >= 0).all() and basis[0, 0] == 1 and basis[-1, -1] == 1


@pytest.mark.parametrize("drift", [False, True])
def test_ranks_better_than_shrunken_means(toy, drift):
    looks = _looks(toy, 600, drift=drift)
    model = Surrogate.fit(toy.decisions, looks)
    seen, mean = looks.shrunken()
    truth = toy.quality(seen)
    by_model, by_mean = spearman(model.predict(seen), truth), spearman(mean, truth)
    assert by_model > 0.9 > by_mean
    # The best of what it ranks first is nearly the best of all, seen or not.
    assert toy.quality(toy.every[model.predict(toy.every).argsort()[-20:]]).max() > toy.quality(toy.every).max() - 0.02


def test_progress_moves_the_level_not_the_order(toy):
    model = Surrogate.fit(toy.decisions, _looks(toy, 1500, noise=0.005))
    late, early = model.predict(toy.every, 1.0), model.predict(toy.every, 0.1)
    assert late.mean() == pytest.approx(toy.quality(toy.every).mean(), abs=0.03)
    assert late.mean() - early.mean() > 0.1
    np.testing.assert_allclose(late - early, late[0] - early[0])


def test_without_drift_it_is_calibrated(toy):
    model = Surrogate.fit(toy.decisions, _looks(toy, 1500, drift=False))
    error = model.predict(toy.every) - toy.quality(toy.every)
    assert np.sqrt((error**2).mean()) < 0.015


def test_primal_and_dual_agree_with_the_textbook(toy):
    looks = _looks(toy, 50)
    few, many = looks, Looks(np.tile(looks.choices, (3, 1)), np.tile(looks.quality, 3), np.tile(looks.progress, 3))
    features = Features(toy.decisions)
    assert len(few) < features.count < len(many)
    # Three copies of everything at three times the penalty are the same problem.
    dual = Surrogate.fit(toy.decisions, few, penalty=2.0)
    primal = Surrogate.fit(toy.decisions, many, penalty=6.0)
    np.testing.assert_allclose(primal.predict(toy.every), dual.predict(toy.every), atol=1e-5)
    # Textbook: penalised least squares with the trend as unpenalised columns.
    weight = looks.weights() / looks.weights().max()
    design = np.hstack([features(looks.choices), trend(looks.progress)])
    penalty = np.diag([2.0] * features.count + [1e-6] * 9)
    solution = np.linalg.solve(design.T @ (design * weight[:, None]) + penalty, design.T @ (weight * looks.quality))
    expected = features(toy.every) @ solution[:-9] + solution[-1]
    np.testing.assert_allclose(dual.predict(toy.every), expected, atol=1e-5)


def test_features_are_what_they_say(toy):
    d = toy.decisions
    features = Features(d)
    row = np.array([2, 1, 1, 0, 2, 1, 0, 0], dtype=np.int8)  # two layers
    x = features(row[None])[0]
    one_hots = x[: d.sizes.sum()].reshape(8, 3)
    np.testing.assert_array_equal(one_hots.argmax(axis=1)[:6], row[:6])
    assert not one_hots[6:].any()
    named = {(d.paths[i], d.paths[j]) for i, j in features.pairs}
    assert ("blocks/0/width", "blocks/0/depth") in named
    assert ("blocks/0/layers/1/kernel", "blocks/0/layers/1/expansion") in named
    assert len(named) == 4
    pairs = x[24 : 24 + 4 * 9] / np.float32(PAIR)
    assert pairs.sum() == 3  # the block and two layers
    assert pairs[2 * 3 + 1] == 1  # width 2, depth 1
    pooled = x[24 + 36 : -1].reshape(2, 3) * np.sqrt(3)
    np.testing.assert_allclose(sorted(pooled.tolist()), [[0, 1, 1], [1, 1, 0]], atol=1e-6)
    assert x[-1] == pytest.approx(6 / np.sqrt(8))


def test_flat_tables_pair_all_decisions_while_they_are_few():
    flat = Decisions.of(Decision("kernel", (0, 1, 2), layer=i) for i in range(8))
    features = Features(flat)
    assert features.pairs == [(i, j) for i in range(8) for j in range(i + 1, 8)]
    assert features.count == 24 + 28 * 9 + 3 + 1
    long = Decisions.of(Decision("kernel", (0, 1, 2), layer=i) for i in range(30))
    assert Features(long).pairs == [(i, i + 1) for i in range(29)]


def test_movinet_fits():
    """More features than looks; a planted effect of early 3-D kernels is found from 800 noisy looks."""
    space = searchspace.load("movinet")
    d = space.decisions
    rng = np.random.default_rng(0)

    def quality(choices):
        kernels = [choices[:, d.index(f"blocks/{b}/layers/0/kernel")] for b in range(2)]
        return 0.5 + 0.1 * sum((k >= 5).astype(float) for k in kernels)

    choices = d.sample(rng, 800)
    looks = Looks(choices, quality(choices) + 0.05 * rng.normal(size=800), np.linspace(0.3, 1, 800))
    assert Features(d).count > 4000
    fresh = d.sample(rng, 2000)
    assert spearman(Surrogate.fit(d, looks).predict(fresh), quality(fresh)) > 0.6


def test_shrunken_means_by_hand():
    choices = np.array([[0], [0], [1], [1]], dtype=np.int8)
    seen, mean = Looks(choices, np.array([1.0, 3.0, 5.0, 7.0])).shrunken()
    # Noise 2, total variance 5, between 3: k = 2/3; two looks keep 2 / (2 + 2/3) = 3/4 of -2 and 2.
    np.testing.assert_array_equal(seen, [[0], [1]])
    np.testing.assert_allclose(mean, [-1.5, 1.5], rtol=1e-4)


def test_too_few_looks(toy):
    with pytest.raises(ValueError, match="1 looks"):
        Surrogate.fit(toy.decisions, Looks(toy.every[:1], np.zeros(1)))


def test_chunks_agree(toy, monkeypatch):
    looks = _looks(toy, 500)
    whole = Surrogate.fit(toy.decisions, looks, penalty=3.0)
    monkeypatch.setattr("controller.surrogate._ROWS", 64)
    np.testing.assert_allclose(
        Surrogate.fit(toy.decisions, looks, penalty=3.0).coefficients, whole.coefficients, atol=1e-8
    )


@pytest.mark.parametrize("rows", [60, 400])
def test_cross_validation_is_the_same_from_either_side(rows):
    """Generalised cross-validation by its definition, n |y - Hy|^2 / tr(I - H)^2, with more and with fewer columns."""
    rng = np.random.default_rng(rows)
    matrix = rng.normal(size=(rows, 120)) / 10
    target = matrix @ rng.normal(size=120) + rng.normal(size=rows)

    def error(penalty):
        hat = matrix @ np.linalg.solve(matrix.T @ matrix + penalty * np.eye(120), matrix.T)
        return ((target - hat @ target) ** 2).sum() / np.trace(np.eye(rows) - hat) ** 2

    assert _cross_validated(matrix, target, 0.0) == min(_PENALTIES, key=error)
