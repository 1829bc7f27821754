"""How many cores there are for a process, and which errors mean that memory has ended."""

import errno
import os
from pathlib import Path

import pytest
import torch

from training.machine import resources
from training.machine.resources import cores, is_out_of_memory


@pytest.fixture(params=["v2", "v1"])
def limit(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Writes the limit of a container: quota and period."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(resources, "_V2", tmp_path / "cpu.max")
    monkeypatch.setattr(resources, "_V1", (tmp_path / "quota", tmp_path / "period"))

    def write(quota: str, period: str = "100000") -> None:
        if request.param == "v2":
            (tmp_path / "cpu.max").write_text(f"{quota} {period}\n")
        else:
            (tmp_path / "quota").write_text(f"{'-1' if quota == 'max' else quota}\n")
            (tmp_path / "period").write_text(f"{period}\n")

    return write


def test_cores_are_those_that_the_process_may_use(limit) -> None:
    assert cores() == 8  # no such files: no container
    for quota, found in (("max", 8), ("200000", 2), ("150000", 2), ("50000", 1), ("1600000", 8), ("0", 8), ("x", 8)):
        limit(quota)
        assert cores() == found
    limit("200000", "0")
    assert cores() == 8


def test_without_affinity_the_machine_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(resources, "_V2", tmp_path / "none")
    monkeypatch.setattr(resources, "_V1", (tmp_path / "none", tmp_path / "none"))
    for known, found in ((6, 6), (None, 1)):
        monkeypatch.setattr(os, "cpu_count", lambda known=known: known)
        assert cores() == found


def test_what_means_that_memory_has_ended() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
    for error in (
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("CUDA error: out of memory"),
    ):
        assert is_out_of_memory(error)


def test_what_only_speaks_of_it_does_not() -> None:
    for error in (
        RuntimeError("a process that loads data has died, perhaps out of memory: use fewer workers or none"),
        OSError(errno.ENOSPC, "No space left on device"),
        ValueError("CUDA out of memory"),
        KeyError("not enough memory"),
    ):
        assert not is_out_of_memory(error)


def test_nothing_else_counts_cores_or_knows_memory_by_its_message() -> None:
    """Two counts, or two lists of messages, end up different."""
    root = Path(__file__).parents[2]
    for room in ("searchspace", "networks", "supernet", "controller", "video", "training", "scaling", "experiments"):
        for file in (root / room).rglob("*.py"):
            text = file.read_text()
            if file.name != "resources.py":
                for word in ("cpu_count", "sched_getaffinity", "allocate memory", "OutOfMemoryError"):
                    assert word not in text, f"{file} has {word}"
