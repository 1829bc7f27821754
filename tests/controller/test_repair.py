"""Windows, neighbours and repairs, against enumeration."""

import numpy as np
import pytest

import searchspace
from controller.neighbours import changes, neighbours
from controller.policy import Policy
from controller.repair import enumerate_all, repair, repair_nearby, repair_to, try_repair
from controller.window import Window
from searchspace import tabulate
from searchspace.decisions import Decision, Decisions


def test_window_and_caps(toy):
    window = Window.around("macs", toy.cost, 20_000, 0.03, 0.01)
    cost = toy.cost(toy.every)
    inside = window.contains(toy.every)
    assert (inside == ((cost >= 19_400) & (cost <= 20_200))).all()
    capped = window.capped("width", lambda c: c[:, 0], 1)
    assert (capped.contains(toy.every) == (inside & (toy.every[:, 0] <= 1))).all()
    assert capped.contains(toy.every).sum() < inside.sum()
    with pytest.raises(ValueError, match="window"):
        Window.around("macs", toy.cost, -1.0, 0.03, 0.01)


def test_neighbours_are_all_single_changes(toy):
    for row in toy.every[::173]:
        found = neighbours(toy.decisions, row)
        assert (found == toy.decisions.canonical(found)).all()
        assert len(np.unique(found, axis=0)) == len(found)
        assert (changes(toy.decisions, np.repeat(row[None], len(found), 0), found) == 1).all()
        active = toy.decisions.active(row)
        assert len(found) == int(((toy.decisions.sizes - 1) * active).sum())


def test_an_added_layer_copies_the_one_before(toy):
    d = toy.decisions
    row = d.canonical(np.array([1, 0, 2, 1, 0, 0, 0, 0], dtype=np.int8))
    deep = next(r for r in neighbours(d, row) if r[1] == 2)
    assert deep.tolist() == [1, 2, 2, 1, 2, 1, 2, 1]


def test_pairs_by_enumeration():
    flat = Decisions.of(Decision("kernel", (0, 1, 2), layer=i) for i in range(4))
    row = np.array([0, 1, 2, 0], dtype=np.int8)
    every = np.indices((3,) * 4, dtype=np.int8).reshape(4, -1).T
    distance = (every != row).sum(axis=1)
    found = neighbours(flat, row, pairs=True)
    assert {r.tobytes() for r in found} == {r.tobytes() for r in every[(distance == 1) | (distance == 2)]}
    assert len(found) == 8 + 24


def test_repair_reaches_the_window_by_few_changes(toy):
    window = Window.around("macs", toy.cost, 20_000, 0.03, 0.01)
    result = repair(toy.decisions, toy.every, window)
    assert window.contains(result.choices).all()
    assert (result.changes == changes(toy.decisions, toy.every, result.choices)).all()
    already = window.contains(toy.every)
    assert (result.choices[already] == toy.every[already]).all() and not result.changes[already].any()
    # One change suffices exactly where a neighbour lies inside.
    for index in range(0, len(toy.every), 37):
        if not already[index]:
            single = len(neighbours(toy.decisions, toy.every[index], window)) > 0
            assert (result.changes[index] == 1) == single
    again = repair(toy.decisions, toy.every, window)
    assert (again.choices == result.choices).all()


def test_repair_changes_what_the_policy_is_least_sure_of(toy):
    policy = Policy(toy.decisions)
    policy.logits[:, 2] = 3.0  # likes everything large
    policy.logits[3, :] = [0.0, 0.1, 0.2]  # and hardly cares for the first expansion
    dearest = policy.argmax()
    target = toy.cost(dearest[None])[0] * 0.92
    window = Window.around("macs", toy.cost, target, 0.06, 0.06)
    fixed = repair(toy.decisions, dearest[None], window, prefer=policy.preference).choices[0]
    assert np.flatnonzero(fixed != dearest).tolist() == [3]


def test_impossible_windows_are_said_to_be(toy):
    with pytest.raises(ValueError, match=r"macs 99000\.\.101000.*closest: macs 45280"):
        repair(toy.decisions, toy.every[:3], Window.around("macs", toy.cost, 100_000, 0.01, 0.01))
    far = try_repair(toy.decisions, toy.every[:3], Window.around("macs", toy.cost, 100_000, 0.01, 0.01))
    assert not far.inside.any()
    assert (toy.cost(far.choices) == toy.cost(toy.every).max()).all()


def test_a_reach_holds_decisions_near_where_they_started(toy):
    window = Window.around("macs", toy.cost, 20_000, 0.03, 0.01)
    reach = np.arange(len(toy.decisions)) % 2  # every other decision by one value, the rest not at all
    found = try_repair(toy.decisions, toy.every, window, reach=reach)
    moved = np.abs(found.choices.astype(int) - toy.every)
    both = toy.decisions.active(found.choices) & toy.decisions.active(toy.every)
    assert ((moved <= reach) | ~both).all()
    assert 0 < found.inside.sum() < len(toy.every)
    free = repair(toy.decisions, toy.every, window)
    assert (np.abs(free.choices.astype(int) - toy.every)[both] > 1).any()  # what a reach is for


def test_the_first_reach_that_suffices_is_taken(toy):
    targets = np.linspace(16_000, 24_000, len(toy.every))  # one a row
    window = Window.around("macs", toy.cost, targets, 0.03, 0.01)
    reaches = (np.arange(len(toy.decisions)) % 2, 1, None)
    result = repair_nearby(toy.decisions, toy.every, window, reaches)
    assert result.inside.all()
    assert (result.changes == changes(toy.decisions, toy.every, result.choices)).all()
    waiting = np.ones(len(toy.every), dtype=bool)
    for reach in reaches:
        alone = try_repair(toy.decisions, toy.every, window, reach=reach)
        here = waiting & alone.inside
        assert here.any() or reach is None
        assert (result.choices[here] == alone.choices[here]).all()
        waiting &= ~alone.inside
    assert not waiting.any()


def test_leaves_a_local_minimum():
    """From (0, 0) at cost 10 no single change comes nearer to 7, two do."""
    table = np.array([[10, 20, 20], [20, 7, 20], [20, 20, 20]])
    flat = Decisions.of([Decision("a", (0, 1, 2)), Decision("b", (0, 1, 2))])
    window = Window.around("cost", lambda c: table[c[:, 0], c[:, 1]], 7.0, 0.0, 0.0)
    assert repair(flat, np.zeros((1, 2), dtype=np.int8), window).choices.tolist() == [[1, 1]]


def test_one_target_a_row_on_movinet():
    space = searchspace.load("movinet")
    cost = tabulate(space, space.clip).macs
    rng = np.random.default_rng(0)
    rows = space.decisions.sample(rng, 64)
    targets = rng.uniform(300e6, 1500e6, size=64)
    result = repair_to(space.decisions, rows, "macs", cost, targets)
    assert result.inside.all()
    np.testing.assert_allclose(cost(result.choices), targets, rtol=0.0051)
    assert np.median(result.changes) <= 3


def test_a_small_space_is_listed_as_a_whole():
    d = Decisions.of(
        [Decision("depth", (1, 2)), Decision("a", (0, 1, 2)), Decision("b", (0, 1), parent="depth", at_least=1)]
    )
    assert len(enumerate_all(d)) == 3 + 6
    assert enumerate_all(searchspace.load("movinet").decisions) is None
    many = Decisions.of([Decision(f"d{i}", (0,)) for i in range(100)] + [Decision("a", (0, 1))])
    assert enumerate_all(many).tolist() == [[0] * 101, [0] * 100 + [1]]  # more decisions than an array has axes


def test_in_a_small_space_only_what_is_not_there_is_not_found():
    """Costs without any order, of which greedy changes go astray: every window that holds one is reached."""
    rng = np.random.default_rng(0)
    decisions = Decisions.of([Decision(name, tuple(range(8))) for name in "abc"])
    table = rng.permutation(512).reshape(8, 8, 8) + 1000

    def cost(rows):
        return table[rows[:, 0], rows[:, 1], rows[:, 2]]

    start = decisions.sample(rng, 40)
    targets = rng.integers(1000, 1512, 40).astype(float)
    found = try_repair(decisions, start, Window.around("cost", cost, targets, 0.0, 0.0))
    assert found.inside.all() and (cost(found.choices) == targets).all()
    for target in (1005.0, 1250.0):
        alike = try_repair(decisions, start, Window.around("cost", cost, target, 0.0, 0.0))
        assert alike.inside.all() and (cost(alike.choices) == target).all()
    assert not try_repair(decisions, start, Window.around("cost", cost, 1000.5, 0.0, 0.0)).inside.any()
