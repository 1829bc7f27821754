"""Budgets that can be met and those that cannot, against a list of every network of a small space."""

import dataclasses
import itertools
import re

import numpy as np
import pytest

import searchspace
from searchspace import Architecture, Budget, Clip, cost, format_quantity, parse_yaml, read_space, tabulate
from tests.training.small import SPACE, settings
from training.search.budget_bounds import check_budgets
from training.search.run_search import search
from training.search.search_config import SearchConfig
from training.search.search_problem import build

TINY = """
name: tiny
clip: 4x32x32@5
classes: 10
stem: {width: 8, kernel: 1x3x3}
choices: {multipliers: [1], depth: [1, 2], kernel: [1x3x3, 3x3x3], expansion: [2], se: [false]}
blocks:
  - {width: 8, stride: 2}
  - {width: 16, stride: 2}
head: {width: 32, multipliers: [1], hidden: 64}
"""
ONE = TINY.replace("depth: [1, 2], kernel: [1x3x3, 3x3x3]", "depth: [2], kernel: [3x3x3]")


def space(text: str):
    return read_space(parse_yaml(text, "f"), "f")


def every(of) -> list[Architecture]:
    """All networks, by the walk's own product."""
    rows = itertools.product(*(range(int(size)) for size in of.decisions.sizes))
    found = {of.architecture(of.decisions.canonical(np.array(row, dtype=np.int8))) for row in rows}
    return list(found)


def check(of, *budgets: str):
    return check_budgets(of, of.clip, [Budget.parse(text) for text in budgets], seed=0)


@pytest.mark.parametrize("budget", [*range(600_000, 1_020_000, 7_000)])
def test_a_target_is_refused_exactly_where_no_network_lies_in_its_window(budget: int) -> None:
    costs = np.array([cost(network).macs for network in every(space(TINY))])
    inside = (costs >= 0.97 * budget) & (costs <= 1.01 * budget)
    if inside.any():
        assert check(space(TINY), str(budget)).limits == (budget,)
        return
    with pytest.raises(ValueError) as caught:
        check(space(TINY), str(budget))
    told = str(caught.value)
    if costs.min() <= 1.01 * budget and costs.max() >= 0.97 * budget:
        for side in (costs[costs < budget].max(), costs[costs > budget].min()):
            amount = format_quantity("macs", float(side))
            assert amount in told
            number = amount.split(" mult")[0].replace(" ", "")
            assert len(check(space(TINY), number).limits) == 1  # as it was printed, it can be typed
    else:
        assert "the cheapest costs" in told and "\n" not in told


def test_caps_that_exclude_the_target_say_what_there_is() -> None:
    networks = [cost(network) for network in every(space(TINY))]
    near = [one.params for one in networks if 0.97 * 700_000 <= one.macs <= 1.01 * 700_000]
    within = [one.macs for one in networks if one.params <= min(near) - 1]
    with pytest.raises(ValueError, match="exclude each other in space 'tiny'") as caught:
        check(space(TINY), "700k", f"{min(near) - 1}params")
    below = max((macs for macs in within if macs < 0.97 * 700_000), default=None)
    for quantity, value in (("params", min(near)), ("macs", below)):
        if value is not None:
            assert format_quantity(quantity, float(value)) in str(caught.value)
    assert check(space(TINY), "700k", f"{min(near)}params").limits == (700_000, min(near))


@pytest.mark.parametrize("text", [TINY, ONE, SPACE])
@pytest.mark.parametrize("quantity", ["macs", "params", "activation_bytes"])
def test_the_ends_of_a_space_are_budgets_as_they_are_printed(text: str, quantity: str) -> None:
    found = space(text)
    for value in tabulate(found).bounds(quantity):
        number = re.sub(r" (multiply|para).*| ", "", format_quantity(quantity, float(value)))
        unit = {"params": "params"}.get(quantity, "")
        assert check(found, number + unit).limits[0] == pytest.approx(value, rel=6e-4)
    low = tabulate(found).bounds("params")[0]
    text_of_cap = format_quantity("params", float(low)).replace(" parameters", "params").replace(" ", "")
    cheapest = tabulate(found).macs(tabulate(found).extreme("params", False)[None])[0]
    caps = check(found, str(cheapest), text_of_cap).limits[1]
    assert low <= caps <= low * 1.001


def test_the_dearest_of_movinet() -> None:
    movinet = searchspace.load("movinet")
    found = check(movinet, "3.4G")
    assert tabulate(movinet).bounds("macs")[1] < 3.4e9 and found.limits == (3.4e9,)
    start = movinet.decisions.sample(np.random.default_rng(0), 50, found.start())
    assert tabulate(movinet).macs(start).mean() > 3.3e9


def test_nearest_costs_of_a_space_too_large_to_list() -> None:
    """The fewest parameters of movinet are 2,200,365, of a network of far less than 600 M."""
    with pytest.raises(
        ValueError, match=r"networks of 582\.0 M .* to 606\.0 M .* were found with \d\.\d+ M parameters"
    ) as no:
        check(searchspace.load("movinet"), "600M", "2.21Mparams")
    (nearest,) = re.findall(r"the nearest cost ([\d.]+) M", str(no.value))
    assert check(searchspace.load("movinet"), f"{nearest}M", "2.21Mparams").limits


def test_a_window_of_samples_is_checked_too(tmp_path) -> None:
    path = tmp_path / "one.yaml"
    path.write_text(ONE)
    macs = cost(space(ONE).architecture(np.zeros(len(space(ONE).decisions), dtype=np.int8))).macs
    config = SearchConfig.resolve(space=str(path), budgets=[f"{round(macs / 0.99)}"], window=0.005)
    with pytest.raises(ValueError, match=r"window 0\.005: no network of space 'tiny' is that near"):
        build(config)
    build(dataclasses.replace(config, window=0.011))


def test_the_clip_of_the_space_file_is_the_search_s(tmp_path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(TINY.replace("4x32x32@5", "6x24x16@10"))
    config = SearchConfig.resolve(space=str(path), budgets=["1M"])
    assert (config.clip, config.search_resolution) == ("6x24x16@10", 16)
    given = SearchConfig.resolve(space=str(path), budgets=["1M"], clip="8x64x64")
    assert (given.clip, given.search_resolution) == ("8x64x64@5", 32)
    assert SearchConfig.resolve().clip == "8x128x128@5"
    problem = build(SearchConfig.resolve(space=str(path), budgets=["2M"], clip="8x32x32"))
    assert problem.space.clip == Clip(8, 32, 32)
    again = read_space(parse_yaml(problem.space.to_yaml(), "f"), "f")
    assert again == problem.space and again.source == problem.space.source


@pytest.mark.parametrize("budgets", [["{exact}"], ["{printed}"], ["{above}", "{params}params"]])
@pytest.mark.parametrize("searcher", ["reinforce", "random", "evolution"])
def test_a_space_of_one_network_can_be_searched(tmp_path, monkeypatch, searcher, budgets) -> None:
    monkeypatch.setitem(__import__("video.motion").motion.DEFAULT_SIZES, "val", 16)
    path = tmp_path / "one.yaml"
    path.write_text(ONE)
    one = space(ONE).with_classes(18)
    counted = cost(one.architecture(np.zeros(len(one.decisions), dtype=np.int8)))
    amounts = {
        "exact": str(counted.macs),
        "printed": format_quantity("macs", counted.macs).split(" mult")[0].replace(" ", ""),
        "above": str(round(counted.macs / 0.975)),
        "params": format_quantity("params", counted.params).replace(" parameters", "").replace(" ", ""),
    }
    given = settings(tmp_path, space=str(path), budgets=[text.format(**amounts) for text in budgets])
    result = search({**given, "searcher": searcher, "steps": 2}, runs=tmp_path / "runs")
    assert result.summary["winner"]["macs"] == counted.macs
    assert result.summary["controls"]["policy_minus_uniform_accuracy"]["mean"] == 0.0


def test_a_budget_that_nothing_meets_leaves_no_run(tmp_path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    given = settings(tmp_path, space=str(path), budgets=["620k"])
    with pytest.raises(ValueError, match=r"620k: no network of space 'tiny' .* the nearest cost 5\d\d\.\d k .* and 6"):
        search(given, runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
