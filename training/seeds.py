"""One seed, split by purpose: every random draw of a run is a function of (seed, purpose, number)."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def generator(seed: int, purpose: str, number: int = 0) -> np.random.Generator:
    """A fresh generator for one purpose; equal arguments give equal draws on every machine."""
    return np.random.default_rng([seed, zlib.crc32(purpose.encode()), number])


def derived(seed: int, purpose: str, number: int = 0) -> int:
    """A seed for others, from 0 to 2^31 - 1."""
    return int(generator(seed, purpose, number).integers(2**31))


@contextmanager
def torch_seed(seed: int, purpose: str, number: int = 0, device: str = "cpu") -> Iterator[torch.Generator]:
    """Inside, torch's global draws (dropout, stochastic depth) start from these arguments; outside nothing changes."""
    import torch

    start = derived(seed, purpose, number)
    if device.startswith("cuda"):
        with torch.random.fork_rng([torch.cuda.current_device()]):
            yield torch.manual_seed(start)
    else:  # `torch.manual_seed` would note for a GPU where it was called from, a stack a step
        with torch.random.fork_rng([]):
            yield torch.default_generator.manual_seed(start)
