"""The precision that the maps of a network are computed in; weights, statistics and optimisers are float32 always."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

SEARCH = ("float32", "bfloat16")
TRAINING = (*SEARCH, "float16")
"""Precisions that a search, and the training of one network, can have."""

INSTRUCTIONS = ("avx512_bf16", "amx_bf16")
PAYS_FROM = 64
"""Shorter side of a search's clips, in pixels, from which bfloat16 was seen to pay (benchmarks/README.md)."""


def resolved(name: str, resolution: int, device: str, cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """What a precision means on this machine: `auto` is bfloat16 where it was measured to pay, else float32.

    Args:
        name: one of `SEARCH`, or `auto`; others are left to whoever checks the settings.
        resolution: shorter side of the training clips in pixels.
        device: `cpu` or `cuda`; on the latter nothing was measured, so it is float32.
        cpuinfo: where Linux lists the instructions of the processor.
    """
    if name != "auto":
        return name
    pays = device == "cpu" and resolution >= PAYS_FROM and has_bfloat16(cpuinfo)
    return "bfloat16" if pays else "float32"


def has_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor multiplies matrices in bfloat16; False where the system does not say."""
    try:
        words = cpuinfo.read_text(encoding="utf-8", errors="replace").split()
    except OSError:
        return False
    return any(instruction in words for instruction in INSTRUCTIONS)


def autocast(device: str, name: str) -> torch.autocast:
    """The context that a network runs in for its maps to have a precision, `float16` among them."""
    import torch

    return torch.autocast(device, torch.float16 if name == "float16" else torch.bfloat16, enabled=name != "float32")
