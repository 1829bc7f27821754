"""Decisions as data: who acts, canonical rows, sampling, text."""

from __future__ import annotations

import numpy as np
import pytest

import searchspace
from searchspace import Decision, Decisions
from tests.searchspace.util import USERS, every, random_space, read


def _table() -> Decisions:
    return Decisions.of(
        [
            Decision("depth", (1, 3, 4)),
            Decision("a", ("x", "y")),
            Decision("b", ("p", "q", "r"), parent="depth", at_least=1),
            Decision("c", (0.5, 1.0), parent="depth", at_least=2),
        ]
    )


def test_paths_values_conditions() -> None:
    table = _table()
    assert table.paths == ("depth", "a", "b", "c") and len(table) == 4
    assert table.values[2] == ("p", "q", "r")
    np.testing.assert_array_equal(table.sizes, [3, 2, 3, 2])
    assert table.conditions == (None, None, (0, 1), (0, 2))
    assert table.index("b") == 2
    with pytest.raises(ValueError, match=r"decision 'dept' is not in this space; did you mean 'depth'\?"):
        table.index("dept")


def test_activity_and_canonical_rows() -> None:
    table = _table()
    rows = np.array([[0, 1, 2, 1], [1, 1, 2, 1], [2, 1, 2, 1]], dtype=np.int8)
    np.testing.assert_array_equal(
        table.active(rows), [[True, True, False, False], [True, True, True, False], [True, True, True, True]]
    )
    canonical = table.canonical(rows)
    np.testing.assert_array_equal(canonical, [[0, 1, 0, 0], [1, 1, 2, 0], [2, 1, 2, 1]])
    assert canonical.dtype == np.int8
    np.testing.assert_array_equal(table.canonical(canonical), canonical)
    np.testing.assert_array_equal(table.active(rows[1]), table.active(rows)[1])
    np.testing.assert_array_equal(table.canonical(rows[1]), canonical[1])


def test_activity_of_a_space_is_its_depth() -> None:
    """Counted without conditions: a layer's three decisions act exactly when its block is deep enough."""
    for space in (searchspace.load("movinet"), read(USERS)):
        decisions = space.decisions
        rng = np.random.default_rng(0)
        rows = rng.integers(0, decisions.sizes, (100, len(decisions))).astype(np.int8)
        active = decisions.active(rows)
        for row, mask in zip(rows, active, strict=True):
            for path, acts in zip(decisions.paths, mask, strict=True):
                if "/layers/" not in path:
                    assert acts
                    continue
                _, block, _, layer, _ = path.split("/")
                depth = decisions.index(f"blocks/{block}/depth")
                assert acts == (int(layer) < decisions.values[depth][row[depth]])


def test_depths_that_skip_values() -> None:
    """Depths 2, 3, 5: layers 0 and 1 always act, layer 2 from the second choice, 3 and 4 with the third alone."""
    decisions = read(USERS).decisions
    depth = decisions.index("blocks/1/depth")
    assert decisions.values[depth] == (2, 3, 5), "ascending, however they were written"
    found = [decisions.conditions[decisions.index(f"blocks/1/layers/{i}/se")] for i in range(5)]
    assert found == [None, None, (depth, 1), (depth, 2), (depth, 2)]
    with pytest.raises(ValueError):
        decisions.index("blocks/1/layers/5/se")


def test_order_and_names_of_the_movinet_space() -> None:
    paths = searchspace.load("movinet").decisions.paths
    wanted = []
    for block in range(5):
        wanted += [f"blocks/{block}/width", f"blocks/{block}/depth"]
        wanted += [f"blocks/{block}/layers/{i}/{what}" for i in range(10) for what in ("kernel", "expansion", "se")]
    assert paths == (*wanted, "head/width") and len(paths) == 161


# ---------------------------------------------------------------------------------------------------------- sampling


def _chi_square(counts: np.ndarray, probabilities: np.ndarray) -> float:
    expected = counts.sum() * probabilities
    return float(((counts - expected) ** 2 / expected).sum())


def test_samples_follow_their_probabilities() -> None:
    """Chi-square of every decision where it acts, at a level that one decision in a million exceeds."""
    space = read(USERS)
    decisions = space.decisions
    rng = np.random.default_rng(1)
    limit = {1: 24.0, 2: 27.7}  # degrees of freedom: quantile of 1 - 1e-6
    for probabilities in (None, [rng.dirichlet(np.full(size, 3.0)) for size in decisions.sizes]):
        rows = decisions.sample(rng, 20_000, probabilities)
        assert rows.dtype == np.int8 and rows.shape == (20_000, len(decisions))
        np.testing.assert_array_equal(rows, decisions.canonical(rows))
        active = decisions.active(rows)
        for d, vector in enumerate(decisions.uniform() if probabilities is None else probabilities):
            counts = np.bincount(rows[active[:, d], d], minlength=len(vector))
            assert len(counts) == len(vector)
            if len(vector) > 1:
                assert _chi_square(counts, vector) < limit[len(vector) - 1]


def test_the_test_of_samples_has_teeth() -> None:
    rows = read(USERS).decisions.sample(np.random.default_rng(1), 20_000)
    counts = np.bincount(rows[:, 0], minlength=3)
    assert _chi_square(counts, np.array([0.36, 0.32, 0.32])) > 27.7


def test_decisions_are_independent() -> None:
    decisions = searchspace.load("movinet").decisions
    rows = decisions.sample(np.random.default_rng(2), 20_000)
    always = [d for d, condition in enumerate(decisions.conditions) if condition is None]
    correlation = np.corrcoef(rows[:, always].T) - np.eye(len(always))
    assert np.abs(correlation).max() < 5.5 / np.sqrt(20_000)


def test_impossible_and_certain_choices() -> None:
    table = _table()
    certain = [np.array([0.0, 0.0, 1.0]), np.array([1.0, 0.0]), np.array([0.0, 1.0, 0.0]), np.array([0.0, 1.0])]
    rows = table.sample(np.random.default_rng(3), 5000, certain)
    assert (rows == [2, 0, 1, 1]).all()


def test_one_seed_one_sample() -> None:
    decisions = read(USERS).decisions
    first, second, other = (decisions.sample(np.random.default_rng(seed), 50) for seed in (4, 4, 5))
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()
    assert decisions.sample(np.random.default_rng(4), 0).shape == (0, len(decisions))


# -------------------------------------------------------------------------------------------------------------- text


def test_encode_and_decode() -> None:
    wide = Decisions.of([Decision("many", tuple(range(100)))])
    two = Decisions.of([*wide.items, Decision("few", (1, 2))])
    for decisions in (searchspace.load("movinet").decisions, read(USERS).decisions, _table(), wide, two):
        for row in decisions.sample(np.random.default_rng(5), 100):
            text = decisions.encode(row)
            again = decisions.decode(text)
            assert again.dtype == np.int8
            np.testing.assert_array_equal(again, row)
    assert _table().encode(np.array([2, 1, 0, 1], dtype=np.int8)) == "2101"
    assert two.encode(np.array([40, 1], dtype=np.int8)) == "40,1"
    assert len(searchspace.load("movinet").decisions.encode(np.zeros(161, dtype=np.int8))) == 161


@pytest.mark.parametrize("text", ["", "210", "21011", "3101", "2-01", "2 01", "2,1,0,1", "zzzz"])
def test_text_that_is_no_row(text: str) -> None:
    with pytest.raises(ValueError, match="choices"):
        _table().decode(text)


def test_every_row_of_a_small_space_has_its_own_text() -> None:
    space = random_space(np.random.default_rng(6), most=2000)
    rows = every(space)
    assert len({space.decisions.encode(row) for row in rows}) == space.encodings() == len(rows)


@pytest.mark.parametrize(
    "items",
    [
        [Decision("a", (1,)), Decision("a", (1,))],
        [Decision("a", ())],
        [Decision("a", (1,), parent="b"), Decision("b", (1,))],
        [Decision("a", tuple(range(128)))],
    ],
)
def test_invariants(items: list[Decision]) -> None:
    with pytest.raises(AssertionError):
        Decisions.of(items)
