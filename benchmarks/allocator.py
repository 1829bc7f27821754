"""The C library's allocator, asked to keep the pages of large tensors that are freed.

A training step allocates and frees the same maps again and again. By default glibc gives pieces of 32 MiB and more, and
what lies free at the heap's end, back to the system, which has to fault every page in again.
"""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
KEEP = 1 << 30  # bytes: tensors up to this come from the heap, and this much may stay free at its end


def keep_freed_memory() -> bool:
    """Sets it for the rest of the process; False where the C library is another one than glibc."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, KEEP)) and bool(mallopt(M_TRIM_THRESHOLD, KEEP))
