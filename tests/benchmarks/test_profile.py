"""The profile counts what the closed form counts, and its clock loses no time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import searchspace
from benchmarks import port, probes
from benchmarks import profile as profiles
from benchmarks.port import Row
from benchmarks.probes import Clock
from searchspace import Clip

ROWS = [Row("clip", "t0", Clip(5, 33, 33)), Row("frame", "t0", Clip(1, 32, 32)), Row("train", "t0", Clip(3, 32, 32), 2)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_operations_are_those_of_the_closed_form(row: Row) -> None:
    network, clock = port.network(row, "ours"), Clock()
    _, run = port.runs(row, network, torch.float32)
    with probes.probed(network, clock):
        work = clock.count(run)
    cost = searchspace.cost(searchspace.published("t0", stream=row.kind == "frame"), row.size)
    macs = cost.frame_macs if row.kind == "frame" else row.clips * cost.macs
    # zero taps that make padding even are counted here and not there
    assert macs <= sum(one.macs for one in work.values()) < 1.1 * macs


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_probes_leave_the_numbers_and_go(row: Row) -> None:
    plain, _ = port.runs(row, port.network(row, "ours"), torch.float32)
    expected = plain()
    network, clock = port.network(row, "ours"), Clock()
    given, run = port.runs(row, network, torch.float32)
    with probes.probed(network, clock):
        torch.testing.assert_close(given(), expected, rtol=1e-5, atol=1e-5)
        seconds = clock.time(run)
    assert {probes.STEM, probes.EXPAND, probes.PROJECT, probes.HEAD, probes.OTHER} <= set(seconds)
    assert (probes.NORM in seconds) is (row.kind == "train"), "for inference it is folded away"
    run()
    assert clock.seconds == seconds, "the probes are gone"


def test_the_clock_follows_the_gradient_back() -> None:
    """What a backward pass turns it to: each kind of the forward pass again, and the stem last."""
    row, clock, turned = ROWS[2], Clock(), list[str]()
    network = port.network(row, "ours")
    logits, _ = port.runs(row, network, torch.float32)
    with probes.probed(network, clock):
        loss = logits().sum()
        forward = set(clock.seconds)
        turn = clock.turn
        clock.turn = lambda kind: (turned.append(kind), turn(kind))[1]  # type: ignore[method-assign]
        loss.backward()
    assert turned[0] == probes.HEAD and turned[-1] == probes.STEM
    assert set(turned) == forward


def test_table_and_picture(tmp_path: Path) -> None:
    found = profiles.profile(ROWS[2], 1)
    lines = profiles.table(found).splitlines()
    assert len(lines) == 2 + len(found.parts) and all(line.count("|") == 8 for line in lines)
    profiles.draw([found], tmp_path / "profile.png")
    assert (tmp_path / "profile.png").stat().st_size > 10_000
