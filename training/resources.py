"""What the machine has for this process: cores that it may use, and how it says that memory ended."""

from __future__ import annotations

import errno
import math
import os
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
