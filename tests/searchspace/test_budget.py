"""Budgets: every form that is understood, what is echoed, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import searchspace
from searchspace import STREAM, Budget, Clip, Form, cost, format_quantity, published, tabulate
from searchspace.budget import as_printed, budget_text
from tests.searchspace.util import USERS, read

CLIP = Clip(8, 128, 128)


@pytest.mark.parametrize(
    ("text", "quantity", "limit"),
    [
        ("600MFLOPs", "macs", 600e6),
        ("600mflops", "macs", 600e6),
        ("600M", "macs", 600e6),
        ("0.6G", "macs", 600e6),
        ("0.6GMACs", "macs", 600e6),
        ("600 MFLOPs", "macs", 600e6),
        (" 6e8 ", "macs", 600e6),
        ("600000000", "macs", 600e6),
        ("600000kFLOPs", "macs", 600e6),
        ("0.0006T", "macs", 600e6),
        ("75MFLOPs/frame", "macs", 600e6),
        ("75M/frame", "macs", 600e6),
        ("3Mparams", "params", 3e6),
        ("3000000params", "params", 3e6),
        ("64MB", "activation_bytes", 64e6),
        ("64mb", "activation_bytes", 64e6),
        ("500B", "activation_bytes", 500),
        ("4MBstate", "state_bytes", 4e6),
    ],
)
def test_forms(text: str, quantity: str, limit: float) -> None:
    budget = Budget.parse(text)
    assert budget.quantity == quantity and budget.text == text.strip()
    assert budget.limit(CLIP) == pytest.approx(limit, rel=1e-12)


def test_a_budget_per_frame_follows_the_clip() -> None:
    budget = Budget.parse("75MFLOPs/frame")
    assert (budget.limit(CLIP), budget.limit(Clip(50, 172, 172))) == (600e6, 3750e6)
    assert Budget.parse("600M").limit(Clip(50, 172, 172)) == 600e6


@pytest.mark.parametrize(
    ("text", "echo"),
    [
        ("600MFLOPs", "600.0 M multiply-accumulates per clip 8x128x128@5"),
        ("75M/frame", "600.0 M multiply-accumulates per clip 8x128x128@5"),
        ("2.5G", "2.5 G multiply-accumulates per clip 8x128x128@5"),
        ("3Mparams", "3.0 M parameters"),
        ("64MB", "64.0 MB"),
        ("500B", "500 B"),
    ],
)
def test_echo(text: str, echo: str) -> None:
    assert Budget.parse(text).echo(CLIP) == echo


def test_quantities_for_people() -> None:
    assert format_quantity("macs", 607_296_256) == "607.3 M multiply-accumulates"
    assert format_quantity("macs", 12) == "12 multiply-accumulates"
    assert format_quantity("params", 1500) == "1.5 k parameters"
    assert format_quantity("activation_bytes", 2.25e9) == "2.25 GB"
    assert format_quantity("params", 3_126_071) == "3.126 M parameters"
    assert format_quantity("macs", 999_960) == "1.0 M multiply-accumulates"


@given(st.integers(1, 10**14), st.sampled_from(["macs", "params", "activation_bytes", "state_bytes"]))
def test_a_cost_typed_as_it_was_printed_is_that_cost(value: int, quantity: str) -> None:
    budget = Budget.parse(budget_text(quantity, value))
    assert budget.quantity == quantity and format_quantity(quantity, budget.amount) == format_quantity(quantity, value)
    assert budget.amount == pytest.approx(value, rel=6e-4) and as_printed(budget.amount) >= value
    assert Budget.parse("75.0M/frame").per_frame and budget_text("frame_macs", 75e6) == "75.0M/frame"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "M",
        "600MFLIPs",
        "20ks",
        "20Gs",
        "20mms",
        "20kms",
        "-600M",
        "600Mparams/second",
        "1,000M",
        "600M 3M",
        "nan",
        "inf",
        "x" * 10**6,
        None,
        600,
    ],
)
def test_texts_that_are_no_budget(text: object) -> None:
    with pytest.raises(ValueError, match=r"cannot be read; write it like one of 600MFLOPs, 600M, 0.6G") as caught:
        Budget.parse(text)  # type: ignore[arg-type]
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("text", ["20ms", "0.02s", "20 MS"])
def test_times_need_a_device(text: str) -> None:
    with pytest.raises(ValueError, match="is a time, which needs a measured device; give MACs"):
        Budget.parse(text)


@pytest.mark.parametrize("text", ["3Mparams/frame", "64MB/frame"])
def test_only_macs_are_per_frame(text: str) -> None:
    with pytest.raises(ValueError, match="only multiply-accumulates are counted per frame; drop '/frame'"):
        Budget.parse(text)


@pytest.mark.parametrize("text", ["0", "0.0MFLOPs", "1e30", "1e999"])
def test_amounts_out_of_range(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be above 0 and below 1e18"):
        Budget.parse(text)


def test_a_budget_per_frame_of_networks_that_run_frame_by_frame() -> None:
    """One more frame with its dense layers, not a frame's share of a clip."""
    budget = Budget.parse("75MFLOPs/frame").of_form(STREAM)
    stream = cost(published("a0", stream=True), CLIP)
    assert budget.limit(CLIP) == 75e6 and budget.of(stream) == stream.frame_macs
    assert budget.echo(CLIP) == "75.0 M multiply-accumulates per frame"
    assert Budget.parse("600M").of_form(STREAM) == Budget.parse("600M")
    assert Budget.parse("75M/frame").of_form(Form()).limit(CLIP) == 75e6 * CLIP.frames
    with pytest.raises(ValueError, match=r"'4MBstate' limits the state of networks .*--stream"):
        Budget.parse("4MBstate").of_form(Form())
    assert Budget.parse("4MBstate").echo(CLIP) == "4.0 MB of state"


def test_what_a_budget_limits() -> None:
    a2 = cost(published("a2"), CLIP)
    assert Budget.parse("600M").of(a2) == 607_296_256
    assert Budget.parse("3Mparams").of(a2) == 5_249_562
    assert Budget.parse("64MB").of(a2) == a2.activation_bytes
    for space in (searchspace.load("movinet"), read(USERS), read(USERS).streaming()):
        rows = space.decisions.sample(np.random.default_rng(0), 50)
        for text in ("600M", "3Mparams", "64MB", "4MBstate"):
            budget = Budget.parse(text)
            found = budget.of_choices(tabulate(space), rows)
            np.testing.assert_array_equal(found, [budget.of(cost(space.architecture(row))) for row in rows])
