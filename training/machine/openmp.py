"""How the threads of torch wait for one another: a setting of the OpenMP library, read once, when that is loaded.

A thread that has done its share of an operation waits for the others by spinning, 300,000 rounds of libgomp (some
milliseconds) before it sleeps. Where other programs want the cores, the thread that is waited for does not run while
others spin, and a step takes many times as long as its arithmetic. Where the machine is free, sleeping at once costs
what waking up takes, at every operation. No number of rounds is good at both (`python -m benchmarks.busy` measures it),
so the load at the start decides: beside other programs threads sleep at once, else after `SPINS` rounds.

`nas` sets it for itself, before torch is loaded, and its worker processes inherit it; trainings that `scaling` starts
from Python get it, too. Who has set one of `VARIABLES` is left alone. It decides when threads sleep, and nothing that
they compute.

- libgomp, in torch's packages for Linux: GOMP_SPINCOUNT, or OMP_WAIT_POLICY.
- libomp and libiomp5, in torch's packages for macOS and in conda's: KMP_BLOCKTIME, milliseconds. Untried.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from training.machine.resources import core_seconds

SPINS = 3_000
"""Rounds before a thread sleeps, where the machine was free at the start: as fast as the library's own 300,000, and
beside a program that starts later a step takes four times as long, not twenty (benchmarks/README.md, "A busy
machine")."""

BLOCKTIME_MS = 1
"""The shortest that every version of libomp understands, but for sleeping at once."""

BUSY_CORES, WATCHED_SECONDS = 0.5, 0.1
"""Cores in use by others from which on the machine counts as busy, and for how long the load is watched: a clock tick
is 10 ms, so that less would tell little."""

VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")

_LIBRARY = re.compile(r"(libgomp|libiomp5|libomp)\b.*")

_set_here: dict[str, str] = {}
"""What `choose` has set in this process."""


def ours(busy: bool) -> dict[str, str]:
    """What we set beside other programs, or on a free machine."""
    if busy:
        return {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
    return {"GOMP_SPINCOUNT": str(SPINS), "KMP_BLOCKTIME": str(BLOCKTIME_MS)}


def is_busy() -> bool:
    """Whether other programs take the cores now; watches them for a moment, in which this thread sleeps."""
    before = core_seconds()
    time.sleep(WATCHED_SECONDS)
    after = core_seconds()
    return before is not None and after is not None and after - before >= BUSY_CORES * WATCHED_SECONDS


def given() -> dict[str, str]:
    """What is set in the environment of this process, by its user or by `choose`."""
    return {name: os.environ[name] for name in VARIABLES if name in os.environ}


def choose() -> bool:
    """Sets ours for this process and those that it starts, unless its user set something; whether it did.

    For a process that is ours alone, before torch is imported.
    """
    if given() or "torch" in sys.modules:
        return False
    _set_here.update(ours(is_busy()))
    os.environ.update(_set_here)
    return True


def is_ours() -> bool:
    """Whether what is set in this process is what `choose` has set."""
    return bool(_set_here) and given() == _set_here


def environment() -> dict[str, str]:
    """What a process that computes with torch should be started with: what is set here, or else ours."""
    return given() or ours(is_busy())


@contextlib.contextmanager
def inherited() -> Iterator[None]:
    """Around the start of processes that compute with torch: they inherit `environment`."""
    new = {name: text for name, text in environment().items() if name not in os.environ}
    os.environ.update(new)
    try:
        yield
    finally:
        for name in new:
            os.environ.pop(name, None)


def library(maps: Path = Path("/proc/self/maps")) -> str | None:
    """The file of the OpenMP library that is loaded in this process; None where that cannot be told."""
    try:
        lines = maps.read_text().splitlines()
    except OSError:
        return None
    files = (line.split(maxsplit=5)[-1] for line in lines if line.count("/"))
    return next((file for file in files if _LIBRARY.fullmatch(file.rsplit("/", 1)[-1])), None)


def described(file: str | None) -> str:
    """For `nas doctor`: the library, what is set for it, and by whom."""
    name = "unknown library" if file is None else file.rsplit("/", 1)[-1]
    here = given()
    if not here:
        return f"{name}, nothing set"
    read = {key: text for key, text in here.items() if _reads(name, key)}
    listed = ", ".join(f"{key}={text}" for key, text in read.items()) or "nothing that it reads"
    by = "nas" if is_ours() else "you"
    untried = "" if name.startswith("libgomp") or by == "you" else " (untried with this library)"
    return f"{name}, set by {by}: {listed}{untried}"


def _reads(library: str, variable: str) -> bool:
    if library.startswith("libgomp"):
        return not variable.startswith("KMP")
    if variable == "OMP_WAIT_POLICY":
        return True
    return not variable.startswith("GOMP") or not library.startswith("lib")
