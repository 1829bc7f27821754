"""Mutated files: each is a valid object that builds and round-trips, or is refused in a line that people understand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _run(kind: str, count: int, seed: int) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__).with_name("fuzz_batch.py")), kind, str(count), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    summary = json.loads(done.stdout)
    assert summary["failures"] == []
    assert summary["cases"] == count
    assert 0.05 * count < summary["valid"] < 0.6 * count, "mutations are neither harmless nor hopeless"


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="how much a process holds is read from Linux")
@pytest.mark.parametrize("kind", ["architecture", "ensemble", "space"])
def test_a_thousand_mutations(kind: str) -> None:
    _run(kind, 1000, seed=0)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="how much a process holds is read from Linux")
@pytest.mark.parametrize("seed", range(1, 6))
@pytest.mark.parametrize("kind", ["architecture", "ensemble", "space"])
def test_many_more_mutations(kind: str, seed: int) -> None:
    _run(kind, 3000, seed)
