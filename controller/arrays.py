"""The array types of this room, its seeded generators, and duplicates among choices.

Shape letters used in the whole room: N architectures, D decisions, S the largest number of choices of a decision,
K architectures of one step, M costs.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Choices: TypeAlias = NDArray[np.int8]
"""Indices into the values of each decision, [N, D] or [D]; inactive entries are 0."""

Floats: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]

Cost: TypeAlias = Callable[[Choices], NDArray[Any]]
"""Choices [N, D] -> one number an architecture [N], for example `CostModel.macs`."""

Score: TypeAlias = Callable[[Choices], NDArray[Any]]
"""Choices [N, D] -> how much an architecture is liked [N]; higher is better."""

Key: TypeAlias = Callable[[Choices], str]
"""Choices [D] -> a string that two encodings of one network share."""


def generator(seed: int, purpose: str, *numbers: int) -> np.random.Generator:
    """A generator that depends on (seed, purpose, numbers) alone, so that no generator state is ever saved.

    Raises:
        ValueError: a negative seed.
    """
    if seed < 0:
        raise ValueError(f"seed {seed}: must be 0 or larger")
    return np.random.default_rng([seed, zlib.crc32(purpose.encode()), *numbers])


def first_of_each(choices: Choices, key: Key | None = None) -> NDArray[np.intp]:
    """Indices of the first occurrence of each architecture, in the given order.

    Args:
        choices: [N, D], canonical.
        key: what makes two encodings one network; the choices themselves by default.
    """
    seen: dict[bytes | str, int] = {}
    for index, row in enumerate(choices):
        seen.setdefault(row.tobytes() if key is None else key(row), index)
    return np.fromiter(seen.values(), dtype=np.intp, count=len(seen))
