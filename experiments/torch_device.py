"""The device and the threads that a user asks for, set up before anything is moved there."""

from __future__ import annotations

import torch

from training.machine.device import check_device


def set_up(device: str, threads: int | None = None) -> str:
    """The device, with so many threads of torch on the CPU; raises `ValueError` where it is not there."""
    if threads is not None:
        torch.set_num_threads(threads)
    return check_device(device)
