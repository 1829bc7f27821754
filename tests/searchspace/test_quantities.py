"""Quantities: ours and one from outside pass the conformance suite; a taken name or unit is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

import searchspace
from searchspace import Budget, cost, published, tabulate
from searchspace.quantities import (
    ACTIVATIONS,
    FRAME_MACS,
    LATENCY,
    MACS,
    PARAMS,
    QUANTITIES,
    STATE,
    Part,
    Quantity,
    quantity,
    register,
)
from searchspace.testing import QuantityConformance


class TestMacs(QuantityConformance):
    row = MACS


class TestParams(QuantityConformance):
    row = PARAMS


class TestActivations(QuantityConformance):
    row = ACTIVATIONS


class TestState(QuantityConformance):
    row = STATE


class TestFrameMacs(QuantityConformance):
    row = FRAME_MACS


def _weight_bytes(part: Part, counted: searchspace.Cost) -> int:
    return 2 * counted.params


WEIGHTS = Quantity(
    name="weight_bytes",
    words="memory of weights",
    unit="B of weights",
    axis="bytes of float16 weights",
    spellings={"Bweights": 1},
    count=_weight_bytes,
)


@pytest.fixture
def weights() -> Iterator[Quantity]:
    """A registered quantity, taken out again at the end."""
    yield register(WEIGHTS)
    del QUANTITIES[WEIGHTS.name]


@pytest.mark.usefixtures("weights")
class TestRegistered(QuantityConformance):
    row = WEIGHTS


def test_a_registered_quantity_is_counted_budgeted_and_tabulated(weights: Quantity) -> None:
    counted = cost(published("a0"))
    budget = Budget.parse("12MBweights")
    assert (budget.quantity, budget.amount, budget.of(counted)) == ("weight_bytes", 12e6, 2 * counted.params)
    assert budget.echo("8x128x128@5") == "12.0 MB of weights"
    space = searchspace.load("movinet")
    assert tabulate(space).bounds("weight_bytes") == tuple(2 * bound for bound in tabulate(space).bounds("params"))
    with pytest.raises(ValueError, match="MBweights"):
        Budget.parse("3pounds")


def test_networks_counted_before_are_counted_again(weights: Quantity) -> None:
    space = searchspace.load("movinet")
    del QUANTITIES[weights.name]
    before = tabulate(space)
    QUANTITIES[weights.name] = weights
    assert "weight_bytes" not in before.terms and "weight_bytes" in tabulate(space).terms


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "macs"}, "one of this name"),
        ({"spellings": {"PARAMS": 1}}, "unit 'params' is that of params"),
        ({"count": None}, "give count"),
        ({"of": lambda cost: cost.macs}, "not of"),
    ],
)
def test_what_is_taken_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        register(dataclasses.replace(WEIGHTS, **changes))  # type: ignore[arg-type]
    assert WEIGHTS.name not in QUANTITIES


def test_an_unknown_quantity_names_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean 'params'"):
        quantity("parms")


@pytest.mark.parametrize("text", ["20ms", "0.02s", "20MS", "500us"])
def test_a_time_is_never_a_number_of_something_else(text: str) -> None:
    with pytest.raises(ValueError, match="is a time, which needs a measured device"):
        Budget.parse(text)
    assert LATENCY.name in QUANTITIES
