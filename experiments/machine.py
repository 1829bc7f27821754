"""What this machine decides for a new run: threads, workers, the device."""

from __future__ import annotations

import os
from typing import Any


def machine_defaults(given: dict[str, Any]) -> dict[str, Any]:
    """Settings that were given, with threads for all cores, and workers for all where there are videos to decode."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    machine: dict[str, Any] = {"threads": min(cores, 1024)}
    if given.get("data") is not None:
        machine["workers"] = min(cores, 16)
    return {**machine, **given}


def best_device() -> str:
    """A GPU where torch can use one."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
