"""Networks in other scalings of their space, and at other costs."""

import dataclasses

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import searchspace
from controller.repair import repair
from controller.window import Window
from scaling.coefficients import Coefficients
from scaling.map_choices import map_choices
from scaling.members import Member, bring, members, parse_members, targets
from scaling.spaces import scale
from searchspace import Choices, Space, tabulate
from searchspace.layer_specs import MAX_NAME
from searchspace.space import MAX_NAME_OF_SPACE, read_space

SPACE = searchspace.load("movinet")
DECISIONS = SPACE.decisions
ROWS = DECISIONS.sample(np.random.default_rng(0), 1000)
COEFFICIENTS = Coefficients(1.2, 1.1, 1.1, 1.2)
random_coefficients = st.lists(st.floats(0.05, 1), min_size=4, max_size=4).map(
    lambda weights: Coefficients.shared_out(weights, 2)
)


def column(space: Space, name: str) -> list[int]:
    return [space.decisions.index(f"blocks/{b}/{name}") for b in range(len(space.blocks))]


def values(space: Space, choices: Choices, name: str) -> npt.NDArray[np.int64]:
    """Values of a decision of every block, [N, blocks]."""
    tables = [space.decisions.values[i] for i in column(space, name)]
    return np.stack([np.array(t)[choices[:, i]] for t, i in zip(tables, column(space, name), strict=True)], axis=1)


def there_and_back(coefficients: Coefficients, exponent: int) -> tuple[Space, Choices, Choices]:
    """A scaling of the space, the rows mapped there, and mapped back."""
    other = scale(SPACE, coefficients, exponent)
    away = map_choices(ROWS, SPACE, other, coefficients.depth**exponent)
    return other, away, map_choices(away, other, SPACE, coefficients.depth**-exponent)


@pytest.mark.parametrize("exponent", [0, 1, 2, 3])
def test_growing_and_shrinking_back_gives_the_same_network(exponent: int) -> None:
    _, _, back = there_and_back(COEFFICIENTS, exponent)
    assert (back == ROWS).all()


@settings(max_examples=12)
@given(random_coefficients, st.sampled_from([1, 2]))
def test_growing_keeps_decisions_whatever_the_coefficients(coefficients: Coefficients, exponent: int) -> None:
    _, _, back = there_and_back(coefficients, exponent)
    active = DECISIONS.active(ROWS)
    assert ((back == ROWS) & active).sum() / active.sum() >= 0.9


@settings(max_examples=12)
@given(random_coefficients, st.sampled_from([-2, -1]))
def test_shrinking_keeps_the_decisions_of_the_layers_that_are_left(coefficients: Coefficients, exponent: int) -> None:
    smaller, away, back = there_and_back(coefficients, exponent)
    held = DECISIONS.active(ROWS)
    held[:, column(SPACE, "depth")] = False
    left = values(smaller, away, "depth")
    for b, first in enumerate(column(SPACE, "layers/0/kernel")):
        for layer in range(10):
            held[:, first + 3 * layer : first + 3 * layer + 3] &= (layer < left[:, b])[:, None]
    assert ((back == ROWS) & held).sum() / held.sum() >= 0.9
    # The depth comes back but for what rounding to one layer of the smaller space costs in layers of this one.
    before, after = values(SPACE, ROWS, "depth"), values(SPACE, back, "depth")
    assert np.abs(before - after).max() <= np.ceil(0.5 / coefficients.depth**exponent) + 0.5


@settings(max_examples=12)
@given(random_coefficients, st.integers(-2, 2))
def test_the_order_of_widths_stays(coefficients: Coefficients, exponent: int) -> None:
    other, away, _ = there_and_back(coefficients, exponent)
    before, after = values(SPACE, ROWS, "width"), values(other, away, "width")
    wider = before[:, :, None] < before[:, None, :]
    assert not (wider & (after[:, :, None] > after[:, None, :])).any()


def test_a_block_repeats_its_inner_layers() -> None:
    row = ROWS[0].copy()
    depth, first = DECISIONS.index("blocks/0/depth"), DECISIONS.index("blocks/0/layers/0/kernel")
    row[depth] = 2  # three layers
    row[first : first + 9 : 3] = [0, 1, 2]
    deeper = scale(SPACE, Coefficients(2, 1, 1, 1), 1)
    mapped = map_choices(DECISIONS.canonical(row[None]), SPACE, deeper, 2)
    block = deeper.architecture(mapped[0]).blocks[0]
    kernels = [SPACE.blocks[0].kernels[i] for i in (0, 1, 2, 1, 2, 1)]
    assert [layer.kernel for layer in block.layers] == kernels
    assert [layer.stride for layer in block.layers] == [2, 1, 1, 1, 1, 1]


def test_spaces_of_other_blocks_are_refused() -> None:
    small = read_space({**SPACE.source, "blocks": SPACE.source["blocks"][:3]}, "small")
    with pytest.raises(ValueError, match="have 5 and 3 blocks"):
        map_choices(ROWS, SPACE, small, 1)


@pytest.mark.parametrize(
    ("base", "count"),
    [
        (600e6, 20),
        pytest.param(300e6, len(ROWS), marks=pytest.mark.slow),
        pytest.param(600e6, len(ROWS), marks=pytest.mark.slow),
    ],
)
def test_networks_are_brought_to_each_members_cost(base: float, count: int) -> None:
    family = members(SPACE, COEFFICIENTS, range(-2, 4), targets(None, range(-2, 4), base, 2))
    for member in family[:: 1 if base == 600e6 else 5]:
        rows = ROWS[:count] if member.exponent == -2 else ROWS[: min(count, 200) * 3 // 10]
        found = bring(rows, SPACE, 0, member, COEFFICIENTS)
        assert found.inside.all()
        for row in found.choices[:20]:
            architecture = member.space.architecture(row)
            assert (member.space.choices(architecture) == row).all()
            assert searchspace.cost(architecture).macs == pytest.approx(member.target, rel=0.03)


def test_bringing_to_a_cost_leaves_depths_and_widths_as_the_coefficients_made_them() -> None:
    """Coefficients scale these; what rounding adds to the cost is taken from expansions, kernels stay."""
    window = Window.around("macs", tabulate(SPACE).macs, 600e6, 0.03, 0.01)
    rows = repair(DECISIONS, ROWS[:60], window).choices
    for member in members(SPACE, COEFFICIENTS, (-2, -1, 1, 2), targets(None, (-2, -1, 1, 2), 600e6, 2)):
        mapped = map_choices(rows, SPACE, member.space, COEFFICIENTS.depth**member.exponent)
        found = bring(rows, SPACE, 0, member, COEFFICIENTS)
        moved = [
            path
            for path, differ in zip(member.space.decisions.paths, (found.choices != mapped).T, strict=True)
            if differ.mean() > 0.1
        ]
        assert found.inside.all() and moved
        assert {path.rpartition("/")[2] for path in moved} == {"expansion"}


@settings(max_examples=2, suppress_health_check=[HealthCheck.too_slow])
@given(random_coefficients, st.integers(-2, 2), st.floats(0.6, 1.6))
def test_random_coefficients_networks_and_targets(coefficients: Coefficients, exponent: int, share: float) -> None:
    member = Member("A", exponent, scale(SPACE, coefficients, exponent), 600e6 * share * 2.0**exponent)
    found = bring(ROWS[:10], SPACE, 0, member, coefficients)
    assert found.inside.all()
    assert tabulate(member.space).macs(found.choices) == pytest.approx(np.full(10, member.target), rel=0.03)


def test_members_and_targets() -> None:
    assert parse_members("A0:A5") == (-2, -1, 0, 1, 2, 3)
    assert parse_members("a3, A0") == (-2, 1)
    assert targets(None, (-2, 0, 1), 600e6, 2) == [150e6, 600e6, 1200e6]
    assert targets("150M,0.6G", (-2, 0), 1, 2) == [150e6, 600e6]
    published = targets("published", (-2, 0), 600e6, 2)
    assert published == pytest.approx([600e6 * 2.631 / 11.558, 600e6], rel=1e-3)


@pytest.mark.parametrize(
    ("text", "said"), [("A5:A0", "range"), ("A0:A2:A4", "range"), ("B1", "A0:A5"), ("A1,A1", "A0:A5"), ("", "A0:A5")]
)
def test_members_that_cannot_be_read(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_members(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [("150M", "1 given for 2 members"), ("1M,2Mparams", "multiply-accumulates per clip"), ("x,y", "cannot be read")],
)
def test_targets_that_cannot_be_read(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        targets(text, (-1, 0), 600e6, 2)
    with pytest.raises(ValueError, match="no published A6"):
        targets("published", (4,), 600e6, 2)


def test_members_of_a_space_of_the_longest_name_have_names_of_their_own() -> None:
    space = dataclasses.replace(SPACE, name="é" * MAX_NAME_OF_SPACE)
    family = members(space, COEFFICIENTS, (-1, 1), [3e8, 1.2e9])
    assert [member.space.name for member in family] == [f"{'é' * 57}-A1", f"{'é' * 57}-A3"]
    assert scale(space, COEFFICIENTS, 2).name == f"{'é' * 58}+2"


def test_a_network_of_the_longest_name_has_a_nearest_point_and_a_causal_form() -> None:
    long = dataclasses.replace(searchspace.published("a2"), name="n" * MAX_NAME)
    assert SPACE.nearest(long).architecture.name == f"nearest-{'n' * 192}"
    assert long.streaming().name == f"{'n' * 193}-stream"


def test_a_member_below_its_cheapest_network_is_refused() -> None:
    member = members(SPACE, COEFFICIENTS, (-2,), [1e6])[0]
    with pytest.raises(ValueError, match=r"member A0: its target of 1\.0 M .* is below the cheapest"):
        member.check()
    member = members(SPACE, COEFFICIENTS, (-2,), [1e12])[0]
    with pytest.raises(ValueError, match="above the dearest"):
        member.check()
