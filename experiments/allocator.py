"""glibc's memory allocator keeps the pages that large tensors leave behind, in place of giving them back at once.

By default it returns every block of 32 MiB and more to the system when it is freed, and the next tensor of that size
is faulted in anew, page by page. What it costs and what this saves is measured in benchmarks/README.md. The price is
that a process does not shrink between two peaks; the peaks stay.
"""

from __future__ import annotations

import ctypes
import os
import platform

MMAP_THRESHOLD, TRIM_THRESHOLD = 1 << 30, 512 << 20  # bytes
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # names of malloc.h
TUNABLES = f"glibc.malloc.mmap_threshold={MMAP_THRESHOLD}:glibc.malloc.trim_threshold={TRIM_THRESHOLD}"


def keep_pages() -> bool:
    """Sets the two thresholds for this process, unless its user set some; whether it did.

    `mallopt` works at any time, where GLIBC_TUNABLES is read only when a process starts.
    """
    if not is_glibc() or chosen() is not None:
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(_M_MMAP_THRESHOLD, MMAP_THRESHOLD) and libc.mallopt(_M_TRIM_THRESHOLD, TRIM_THRESHOLD))


def is_glibc() -> bool:
    """Whether this process has glibc, and no other allocator was put in front of it."""
    return platform.libc_ver()[0] == "glibc" and not os.environ.get("LD_PRELOAD")


def chosen() -> str | None:
    """What the user asked of the allocator; None for nothing."""
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    if "glibc.malloc" in tunables:
        return tunables
    return next((f"{key}={os.environ[key]}" for key in os.environ if key.startswith("MALLOC_")), None)


def described() -> str:
    """For `nas doctor`."""
    if os.environ.get("LD_PRELOAD"):
        return f"preloaded: {os.environ['LD_PRELOAD']}"
    if not is_glibc():
        return "not glibc; nothing is set"
    user = chosen()
    return f"glibc, as set by you: {user}" if user else "glibc, keeps freed pages in nas"
