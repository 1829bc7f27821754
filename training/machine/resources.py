"""What the machine has for this process: cores that it may use, and how it says that memory ended."""

from __future__ import annotations

import errno
import math
import os
import re
from pathlib import Path

_V2 = Path("/sys/fs/cgroup/cpu.max")
_V1 = (Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us"))

_SIGNS = (
    "can't allocate memory",  # torch on a CPU
    "not enough memory",  # torch on a CPU, of another system
    "CUDA out of memory",
    "CUDA error: out of memory",
    "HIP out of memory",
)
"""Parts of the messages of torch's allocators; "out of memory" alone is also in messages about other processes."""


def cores() -> int:
    """Cores that this process may use: of the machine, those that it is bound to, within a container's limit."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = _limit()
    return bound if limit is None else max(1, min(bound, math.ceil(limit)))


def _limit() -> float | None:
    """Cores' worth of time that a container grants (cgroups of either version); None for no limit."""
    try:
        try:
            quota, period = _V2.read_text().split()
        except OSError:
            quota, period = (path.read_text() for path in _V1)
        limit = int(quota) / int(period)  # the word "max" for no limit
    except (OSError, ValueError, ZeroDivisionError):
        return None
    return limit if limit > 0 else None  # -1 for no limit


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that this process has no more memory: Python's own, the system's, torch's.

    Torch's on a GPU is known by name and text, since torch is not imported here.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


def core_seconds(stat: Path = Path("/proc/stat")) -> float | None:
    """Seconds for which the cores that this process may use were in use so far, by any program, all cores together.

    None where the system does not say. Time that a hypervisor gave to other machines counts as use.
    """
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    ticks, found = 0, False
    try:
        lines = stat.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        match = re.fullmatch(r"cpu(\d+)((?: \d+){8,})", line)
        if match and (allowed is None or int(match[1]) in allowed):
            user, nice, system, _, _, irq, soft_irq, steal, *_ = (int(part) for part in match[2].split())
            ticks, found = ticks + user + nice + system + irq + soft_irq + steal, True
    return ticks / os.sysconf("SC_CLK_TCK") if found else None


def thread_seconds(process: int | str = "self", root: Path = Path("/proc")) -> tuple[float, float] | None:
    """Seconds that the threads of a process ran, and that they could have run but had no core, all together.

    None where the system does not count them or there is no such process. Threads that have ended take theirs along.
    """
    ran, waited, found = 0, 0, False
    try:
        threads = list((root / str(process) / "task").iterdir())
    except OSError:
        return None
    for thread in threads:
        try:
            one, two, _ = (thread / "schedstat").read_text().split()
        except (OSError, ValueError):  # it has just ended
            continue
        ran, waited, found = ran + int(one), waited + int(two), True
    return (ran / 1e9, waited / 1e9) if found else None
