"""The yardstick: the port's design computes what our networks compute, so that only speed is compared."""

from __future__ import annotations

import pytest
import torch

from benchmarks import port
from benchmarks.port import Row
from searchspace import Clip


@pytest.mark.parametrize(
    "row",
    [
        Row("clip", "t0", Clip(5, 33, 33)),
        Row("clip", "t0", Clip(5, 32, 32), 2, torch.bfloat16),
        Row("frame", "t0", Clip(1, 32, 32)),
        Row("train", "t0", Clip(3, 32, 32), 2),
    ],
    ids=lambda row: row.name,
)
def test_both_sides_compute_the_same(row: Row) -> None:
    found = port.difference(row)
    assert found < (1e-4 if row.dtype is torch.float32 else 0.15)
    assert found > 0, "two sides that are not one and the same"


def test_other_outputs_are_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Row("clip", "t0", Clip(2, 32, 32))
    monkeypatch.setitem(port.BOUNDS, torch.float32, 0.0)
    with pytest.raises(SystemExit, match="clip-t0: the two sides differ by"):
        port.difference(row)


def test_rows_have_names_of_their_own() -> None:
    names = [row.name for row in port.rows()]
    assert len(set(names)) == len(names) == 15
    assert "train-a2-64-bf16" in names and "frame-a1" in names


@pytest.mark.slow
def test_both_allocators_in_processes_of_their_own() -> None:
    row = next(row for row in port.rows() if row.name == "frame-a0")
    for name in port.ALLOCATORS:
        found = port.measured(row, 1, 1, name)
        assert found.keys() == {"difference", *port.SIDES} and all(value > 0 for value in found.values())
    with pytest.raises(SystemExit, match="--threads: invalid int value"):
        port._elsewhere(row, "two", port.KEPT, [])  # type: ignore[arg-type]


def test_pages_are_not_kept_against_the_users_will(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table of the system's allocator alone where the user chose its settings."""
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=1")
    monkeypatch.setattr("sys.argv", ["port", "frame-a0", "--threads", "1"])
    asked = []

    def measured(row: Row, threads: int, repeats: int, pages: str) -> dict[str, float]:
        asked.append(pages)
        return {"port": 4.0, "ours": 2.0, "difference": 1e-6}

    monkeypatch.setattr(port, "measured", measured)
    monkeypatch.setattr(port, "peak", lambda *_: 10.0)
    port.main()
    assert asked == [port.SYSTEM]
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("pages are not kept: ") for line in lines)
    assert "| 1 | system | 4.0 | 2.0 | 2.00 | 10 | 10 | 1.0e-06 |" in lines[-1]
