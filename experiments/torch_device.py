"""The device that a user asks for, checked before anything is moved there."""

from __future__ import annotations

import torch


def check_device(name: str) -> str:
    """The device; raises `ValueError` where it is not there."""
    if name == "cpu" or (name.split(":")[0] == "cuda" and torch.cuda.is_available()):
        return name
    raise ValueError(f"device {name!r} is not there; allowed: cpu" + ", cuda" * torch.cuda.is_available())
