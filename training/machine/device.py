"""The device that a user asks for."""

from __future__ import annotations

import torch

from training.names import DEVICES


def check_device(name: str) -> str:
    """The device; raises `ValueError` where this machine does not have it, before anything is moved there."""
    if name == "cpu" or (name.split(":")[0] == "cuda" and torch.cuda.is_available()):
        return name
    if name.split(":")[0] == "cuda":
        raise ValueError(
            f"device {name}: torch finds no GPU here (nas doctor says what it finds); use --device cpu (a run that "
            "began on a GPU needs one to go on)"
        )
    raise ValueError(f"device {name!r} is not known; allowed: {', '.join(DEVICES)}")
