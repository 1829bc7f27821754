"""The allocator keeps pages for `nas`, unless its user chose."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments import allocator

ROOT = Path(__file__).parents[2]
SCRIPT = """
import resource, sys
from experiments import allocator
import numpy as np
print(allocator.keep_pages())
def touch():
    np.ones(5_000_000)  # 40 MB, above the largest threshold that glibc takes by itself
touch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    touch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(**environment: str) -> tuple[str, int]:
    """What `keep_pages` said, and page faults of five arrays of 40 MB, in a process of its own."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("GLIBC", "MALLOC"))}
    variables = {**clean, "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=variables, check=True)
    said, count = done.stdout.split()
    return said, int(count)


@pytest.mark.skipif(not allocator.is_glibc(), reason="not glibc")
def test_pages_of_large_arrays_are_kept_unless_the_user_chose() -> None:
    said, kept = faults()
    assert said == "True"
    said, returned = faults(GLIBC_TUNABLES="glibc.malloc.mmap_threshold=1048576")
    assert said == "False"
    assert kept < returned / 2


def test_what_doctor_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.arena_max=1")
    assert "as set by you" in allocator.described() or not allocator.is_glibc()
    monkeypatch.setenv("LD_PRELOAD", "/x/libjemalloc.so")
    assert allocator.described() == "preloaded: /x/libjemalloc.so" and not allocator.keep_pages()
