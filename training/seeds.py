"""One seed, split by purpose: every random draw of a run is a function of (seed, purpose, number)."""

from __future__ import annotations

import zlib

import numpy as np


def generator(seed: int, purpose: str, number: int = 0) -> np.random.Generator:
    """A fresh generator for one purpose; equal arguments give equal draws on every machine."""
    return np.random.default_rng([seed, zlib.crc32(purpose.encode()), number])
