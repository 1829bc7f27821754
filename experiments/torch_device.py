"""The device and the threads that a user asks for, set up before anything is moved there."""

from __future__ import annotations

import torch


def check_device(name: str, threads: int | None = None) -> str:
    """The device, with so many threads of torch on the CPU; raises `ValueError` where it is not there."""
    if threads is not None:
        torch.set_num_threads(threads)
    if name == "cpu" or (name.split(":")[0] == "cuda" and torch.cuda.is_available()):
        return name
    raise ValueError(f"device {name!r} is not there; allowed: cpu" + ", cuda" * torch.cuda.is_available())
