"""How the threads of torch wait for one another: a setting of the OpenMP library, read once, when that is loaded.

A thread that has done its share of an operation waits for the others by spinning, 300,000 rounds of libgomp (some
milliseconds) before it sleeps. Where other programs want the cores, the thread that is waited for does not run while
others spin, and a step takes many times as long as its arithmetic. Where the machine is free, sleeping at once costs
what waking up takes, at every operation. `SPINS` lies between; `python -m benchmarks.busy` measures it.

`nas` sets it for itself, before torch is loaded, and its worker processes inherit it; trainings that `scaling` starts
from Python get it, too. Who has set one of `VARIABLES` is left alone. It decides when threads sleep, and nothing that
they compute.

- libgomp, in torch's packages for Linux: GOMP_SPINCOUNT.
- libomp and libiomp5, in torch's packages for macOS and in conda's: KMP_BLOCKTIME, milliseconds. Untried.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

SPINS = 10_000
"""Rounds before a thread sleeps, a fraction of a millisecond. On two cores, an A2-sized search step: free, as fast as
with 300,000 (0.19 to 0.23 s; sleeping at once 0.27 to 0.31); beside one busy process 0.65 s, with 100,000 2.6 s, with
300,000 from 2 s to none within 24 s."""

BLOCKTIME_MS = 1
"""The shortest that every version of libomp understands, but for sleeping at once."""

VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY")

_LIBRARY = re.compile(r"(libgomp|libiomp5|libomp)\b.*")

_set_here: dict[str, str] = {}
"""What `choose` has set in this process."""


def ours() -> dict[str, str]:
    """What we set."""
    return {"GOMP_SPINCOUNT": str(SPINS), "KMP_BLOCKTIME": str(BLOCKTIME_MS)}


def given() -> dict[str, str]:
    """What is set in the environment of this process, by its user or by `choose`."""
    return {name: os.environ[name] for name in VARIABLES if name in os.environ}


def choose() -> bool:
    """Sets ours for this process and those that it starts, unless its user set something; whether it did.

    For a process that is ours alone, before torch is imported.
    """
    if given() or "torch" in sys.modules:
        return False
    _set_here.update(ours())
    os.environ.update(_set_here)
    return True


def is_ours() -> bool:
    """Whether what is set in this process is what `choose` has set."""
    return bool(_set_here) and given() == _set_here


def environment() -> dict[str, str]:
    """What a process that computes with torch should be started with: what is set here, or else ours."""
    return given() or ours()


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
    return not variable.startswith("GOMP") or not library.startswith("lib")
