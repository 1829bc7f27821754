"""Scaled spaces: what each dimension becomes, and that a step multiplies the expected cost by what was asked."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import searchspace
from scaling.coefficients import DIMENSIONS, PUBLISHED, Coefficients, published_scaling
from scaling.spaces import expected_macs, measure, normalise, scale
from searchspace import tabulate
from searchspace.space import read_space

SPACE = searchspace.load("movinet")
ONE = Coefficients(1, 1, 1, 1)


def test_the_product_counts_width_and_resolution_twice() -> None:
    assert Coefficients(1.36, 1.18, 1.16, 1.24).product == pytest.approx(1.36 * 1.18**2 * 1.16**2 * 1.24)
    assert Coefficients.parse("1.36, 1.18,1.16,1.24") == Coefficients(1.36, 1.18, 1.16, 1.24)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1.36,1.18,1.16", "write depth, width, resolution and frame rate"),
        ("a,b,c,d", "write depth"),
        ("0.9,1.2,1.2,1.2", "coefficient of depth is 0.9"),
        ("1.2,1.2,nan,1.2", "coefficient of resolution is nan"),
        ("1,1,1,1", "scale nothing"),
    ],
)
def test_coefficients_that_cannot_be(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Coefficients.parse(text)


@given(st.lists(st.floats(0.01, 1), min_size=4, max_size=4), st.floats(1.01, 4))
def test_sharing_out_keeps_growth_and_proportions(weights: list[float], growth: float) -> None:
    found = Coefficients.shared_out(weights, growth)
    assert found.product == pytest.approx(growth)
    logs = np.log(found.values()) * [1, 2, 2, 1]
    assert logs / logs.sum() == pytest.approx(np.array(weights) / sum(weights))


def test_each_dimension_alone() -> None:
    deeper = scale(SPACE, Coefficients(1.5, 1, 1, 1), 1)
    assert deeper.blocks[0].depths == (2, 3, 5, 6, 8, 9, 11, 12, 14, 15)
    assert (deeper.clip, deeper.heads) == (SPACE.clip, SPACE.heads)
    wider = scale(SPACE, Coefficients(1, 1.2, 1, 1), 1)
    assert wider.blocks[0].widths == (24, 32, 40)  # 28.8 x 0.75, 1, 1.25 = 21.6, 28.8, 36
    assert wider.blocks[4].widths == (176, 232, 288)  # 230.4 x ... = 172.8, 230.4, 288
    assert (wider.stem.width, wider.heads) == (16, (464, 616, 768))  # 19.2 is nearer to 16
    assert wider.blocks[0].depths == SPACE.blocks[0].depths
    finer = scale(SPACE, Coefficients(1, 1, 1.2, 1), 1)
    assert str(finer.clip) == "8x152x152@5"  # 153.6 on a grid of 8
    faster = scale(SPACE, Coefficients(1, 1, 1, 1.3), 1)
    assert str(faster.clip) == "10x128x128@6.25"  # 10.4 frames over the same 1.6 seconds
    assert faster.clip.seconds == pytest.approx(SPACE.clip.seconds)


def test_exponent_zero_changes_nothing_but_the_name() -> None:
    same = scale(SPACE, Coefficients(1.36, 1.18, 1.16, 1.24), 0, "base")
    assert (same.decisions, same.clip, same.stem, same.heads) == (
        SPACE.decisions,
        SPACE.clip,
        SPACE.stem,
        SPACE.heads,
    )


def test_a_scaled_space_is_a_space_file_like_any_other(tmp_path: Path) -> None:
    space = scale(SPACE, Coefficients(1.36, 1.18, 1.16, 1.24), -2)
    (tmp_path / "A0.yaml").write_text(space.to_yaml())
    assert searchspace.load(tmp_path / "A0.yaml") == space


def test_the_grid_stands_in_the_space() -> None:
    source = {**SPACE.source, "grid": {"resolution": 32, "frames": 4}}
    coarse = read_space(source, "coarse")
    assert str(scale(coarse, Coefficients(1, 1, 1.16, 1.3), 1).clip) == "12x160x160@7.5"
    without = {key: value for key, value in SPACE.source.items() if key != "grid"}
    assert read_space(without, "without").grid == SPACE.grid
    with pytest.raises(ValueError, match=r"grid.frames is 0"):
        read_space({**source, "grid": {"frames": 0}}, "wrong")


def test_what_leaves_a_space_is_refused() -> None:
    with pytest.raises(ValueError, match="blocks of 80 layers; allowed: at most 64"):
        scale(SPACE, Coefficients(2, 1, 1, 1), 3)
    with pytest.raises(ValueError, match="8192 pixels"):
        scale(SPACE, Coefficients(1, 1, 4, 1), 3)


def test_expected_cost_agrees_with_the_closed_form() -> None:
    """The tables give the mean over uniform choices exactly; 2,000 samples lie within four standard errors of it."""
    exact, _ = tabulate(SPACE).expected("macs", SPACE.decisions.uniform())
    costs = tabulate(SPACE).macs(SPACE.decisions.sample(np.random.default_rng(1), 2000))
    assert abs(expected_macs(SPACE) - exact) < 4 * costs.std() / math.sqrt(2000)
    assert expected_macs(SPACE) == expected_macs(scale(SPACE, ONE, 0))


@pytest.mark.parametrize("weights", [(1, 1, 1, 1), (0.3, 1, 0.2, 0.1)])
@pytest.mark.parametrize("ratio", [2, 2.88])
def test_a_step_multiplies_the_expected_cost(weights: tuple[float, ...], ratio: float) -> None:
    found = normalise(SPACE, weights, ratio, range(-1, 3))
    assert found.growth == pytest.approx(ratio, rel=0.05)
    spaces = [scale(SPACE, found.coefficients, exponent) for exponent in (-1, 2)]
    exact = [tabulate(space).expected("macs", space.decisions.uniform())[0] for space in spaces]
    assert (exact[1] / exact[0]) ** (1 / 3) == pytest.approx(found.growth, rel=0.02)
    formula = Coefficients.shared_out(weights, ratio)
    assert abs(found.growth - ratio) <= abs(measure(SPACE, formula, range(-1, 3)).growth - ratio)


@settings(max_examples=2)
@given(st.lists(st.floats(0.05, 1), min_size=4, max_size=4), st.floats(1.5, 3))
def test_growth_of_random_proportions(weights: list[float], ratio: float) -> None:
    found = normalise(SPACE, weights, ratio, (-1, 0, 1))
    assert found.growth == pytest.approx(ratio, rel=0.12)  # frames of 8 and sides of 128 in steps of 8 are coarse


def test_published_networks_give_the_known_ratios() -> None:
    found = published_scaling()
    wanted = {"depth": 1.31, "width": 1.16, "resolution": 1.13, "frame_rate": 1.34, "macs": 2.88}
    assert {name: round(value, 2) for name, value in found.steps.items()} == wanted
    assert all(1.1 < found.fit[name] < 1.4 for name in DIMENSIONS)


def test_published_networks_lie_near_the_space_of_the_fit() -> None:
    """Each at its own clip and class count; what differs is a list of decisions."""
    fit = published_scaling().coefficients
    for exponent, name in enumerate(PUBLISHED, start=-2):
        network = searchspace.published(name)
        assert isinstance(network, searchspace.Architecture)
        nearest = scale(SPACE, fit, exponent).nearest(network)
        macs = [searchspace.cost(one, network.clip).macs for one in (nearest.architecture, network)]
        assert macs[0] == pytest.approx(macs[1], rel=0.10), name
        assert nearest.architecture.classes == network.classes
        assert not [change for change in nearest.changes if "kernel" in change or "/se:" in change], name
