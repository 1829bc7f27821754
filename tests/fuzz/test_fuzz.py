"""Mutated files of every kind that is read: each is read, or refused in a line that people understand.

No traceback, no hang, no more than some hundred megabytes; see `batch.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.fuzz.subjects import SUBJECTS
from tests.fuzz.trained_subjects import SUBJECTS as TRAINED

ROOT = Path(__file__).parents[2]
STRICT = ("architecture", "ensemble", "space")
"""Kinds whose refusals name the key and show the value, and whose objects are built and written again."""

LINUX = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="how much a process holds is read from Linux")


def run(kinds: Mapping[str, int], seed: int) -> None:
    """So many mutations of each kind, in a process of their own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    given = ",".join(f"{kind}={count}" for kind, count in kinds.items())
    command = [sys.executable, str(Path(__file__).with_name("batch.py")), given, str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=1800)
    assert done.returncode == 0, done.stderr[-2000:]
    results = json.loads(done.stdout.splitlines()[-1])
    assert {kind: result["cases"] for kind, result in results.items()} == dict(kinds)
    assert [failure for result in results.values() for failure in result["failures"]] == []
    for kind, result in results.items():
        if kinds[kind] >= 100:  # mutations are neither harmless nor hopeless
            assert 0.03 * kinds[kind] < result["valid"] < 0.9 * kinds[kind], kind


@LINUX
def test_a_few_mutations() -> None:
    """Of what is built and read in a second or less."""
    light = (
        "recipe",
        "search-recipe",
        "benchmark-table",
        "latencies",
        "annotations",
        "scan-cache",
        "trained",
        "interrupted-retraining",
    )
    run({**dict.fromkeys(STRICT, 20), **dict.fromkeys(light, 4), "weights": 4, "search": 2}, seed=0)


@LINUX
@pytest.mark.slow
@pytest.mark.parametrize("kind", STRICT)
def test_thousands_of_mutations(kind: str) -> None:
    run({kind: 2000}, seed=1)


@LINUX
@pytest.mark.slow
@pytest.mark.parametrize("kind", [*SUBJECTS, *TRAINED])
def test_hundreds_of_mutations(kind: str) -> None:
    """Together with those above some ten thousand, of which each reader sees hundreds."""
    run({kind: 300}, seed=1)
