"""Streaming in constant memory, measured in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
import json, resource, torch, networks

torch.set_num_threads(1)
network = networks.create("a0", stream=True).eval()
state = network.initial_state(1, 64, 64)
peaks = {}
with torch.no_grad():
    for frame in range(1, 2001):
        logits, state = network(torch.rand(1, 3, 1, 64, 64), state)
        if frame in (50, 2000):
            peaks[frame] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps(peaks))
"""


@pytest.mark.slow
def test_two_thousand_frames_take_the_memory_of_fifty() -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, cwd=ROOT, env=environment, timeout=900
    )
    assert done.returncode == 0, done.stderr[-2000:]
    peaks = json.loads(done.stdout)
    assert peaks["2000"] - peaks["50"] <= 1024, "kibibytes of peak resident memory"
