"""What a search decides, as immutable data: paths, values, and which decision depends on which.

An architecture of a space is one row of *choices*: int8 indices into each decision's values. A decision inside a
layer that the block's depth leaves out is inactive, and its entry in the *canonical* row is 0.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from searchspace.schema import nearest

Choices: TypeAlias = npt.NDArray[np.int8]
Probabilities: TypeAlias = Sequence[npt.NDArray[np.float64]]


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    """One choice among values.

    Attributes:
        kind: what is chosen, such as `kernel` or `depth`; alike for all layers and blocks.
        values: what can be chosen, each once.
        block: index of the block that it belongs to, or None.
        layer: index of the layer, in the block where there is one, or None.
        parent: path of the decision that it depends on, or None when it is always active.
        at_least: it is active when the parent's choice (an index) is at least this.
    """

    kind: str
    values: tuple[Any, ...]
    block: int | None = None
    layer: int | None = None
    parent: str | None = None
    at_least: int = 0

    @property
    def path(self) -> str:
        """Its stable name in files and messages, such as `blocks/2/layers/4/kernel`."""
        block = "" if self.block is None else f"blocks/{self.block}/"
        layer = "" if self.layer is None else f"layers/{self.layer}/"
        return f"{block}{layer}{self.kind}"


@dataclasses.dataclass(frozen=True)
class Decisions:
    """All decisions of a space, or of a table, in the order of its walk."""

    items: tuple[Decision, ...]

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for item in self.items:
            assert item.path not in seen, f"two decisions named {item.path}"
            assert 1 <= len(item.values) <= 127, f"{item.path}: choices are int8"
            assert item.parent is None or item.parent in seen, f"{item.path} stands before its parent"
            seen.add(item.path)

    @classmethod
    def of(cls, items: Iterable[Decision]) -> Decisions:
        """Collects decisions, parents before their children."""
        return cls(tuple(items))

    def __len__(self) -> int:
        return len(self.items)

    @functools.cached_property
    def paths(self) -> tuple[str, ...]:
        """Names in order."""
        return tuple(item.path for item in self.items)

    @functools.cached_property
    def values(self) -> tuple[tuple[Any, ...], ...]:
        """Values in order."""
        return tuple(item.values for item in self.items)

    @functools.cached_property
    def sizes(self) -> npt.NDArray[np.int64]:
        """Number of values of each, [D]."""
        return np.array([len(item.values) for item in self.items], dtype=np.int64)

    @functools.cached_property
    def _index(self) -> dict[str, int]:
        return {path: i for i, path in enumerate(self.paths)}

    @functools.cached_property
    def conditions(self) -> tuple[tuple[int, int] | None, ...]:
        """For each decision None, or (index of its parent, least choice of the parent that activates it)."""
        return tuple(None if item.parent is None else (self._index[item.parent], item.at_least) for item in self.items)

    @functools.cached_property
    def _conditional(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int8]]:
        rows = [(i, *condition) for i, condition in enumerate(self.conditions) if condition is not None]
        child, parent, least = (
            (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
            if rows
            else (np.zeros(0, np.int64),) * 3
        )
        return child, parent, least.astype(np.int8)

    @functools.cached_property
    def _places(self) -> dict[tuple[str, int | None, int | None], int]:
        return {(item.kind, item.block, item.layer): i for i, item in enumerate(self.items)}

    def find(self, kind: str, block: int | None = None, layer: int | None = None) -> int | None:
        """Position of the decision of a kind at a place, or None where there is none."""
        return self._places.get((kind, block, layer))

    def at(self, kind: str, block: int | None = None, layer: int | None = None) -> int:
        """Position of the decision of a kind at a place, which must be there."""
        return self._places[kind, block, layer]

    def index(self, path: str) -> int:
        """Position of a decision; raises `ValueError` for an unknown path."""
        if path not in self._index:
            raise ValueError(f"decision {path!r} is not in this space{nearest(path, self.paths)}")
        return self._index[path]

    def active(self, choices: Choices) -> npt.NDArray[np.bool_]:
        """Which decisions act in each row; same shape as `choices`, [D] or [N, D].

        A parent is always active itself (depth decisions are), so one level is enough.
        """
        mask = np.ones(choices.shape, dtype=bool)
        child, parent, least = self._conditional
        mask[..., child] = choices[..., parent] >= least
        return mask

    def canonical(self, choices: Choices) -> Choices:
        """The same architectures with inactive entries set to 0; same shape."""
        return np.where(self.active(choices), choices, np.int8(0)).astype(np.int8)

    def uniform(self) -> list[npt.NDArray[np.float64]]:
        """The uniform distribution of each decision, a list of D vectors."""
        return [np.full(size, 1.0 / size) for size in self.sizes]

    def sample(self, rng: np.random.Generator, count: int, probabilities: Probabilities | None = None) -> Choices:
        """Draws architectures with independent decisions, canonical, int8 [count, D]; uniform by default."""
        uniform = rng.random((count, len(self)))
        result = np.empty((count, len(self)), dtype=np.int8)
        for i, vector in enumerate(self.uniform() if probabilities is None else probabilities):
            edges = np.cumsum(vector)
            drawn = np.searchsorted(edges / edges[-1], uniform[:, i], side="right")
            result[:, i] = np.minimum(drawn, len(vector) - 1)
        return self.canonical(result)

    def encode(self, choices: Choices) -> str:
        """A row as compact text: one digit of base 36 a decision, or numbers with commas where a decision has more."""
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"
        if self._with_commas:
            return ",".join(str(int(c)) for c in choices)
        return "".join(digits[int(c)] for c in choices)

    @functools.cached_property
    def _with_commas(self) -> bool:
        return int(self.sizes.max(initial=1)) > 36

    def decode(self, text: str) -> Choices:
        """Reads `encode`'s text back, int8 [D]; raises `ValueError` where it does not fit these decisions."""
        try:
            numbers = [int(part) for part in text.split(",")] if self._with_commas else [int(char, 36) for char in text]
        except ValueError:
            kind = "numbers with commas" if self._with_commas else "digits of base 36"
            raise ValueError(f"choices {text[:40]!r} are not {kind}") from None
        if len(numbers) != len(self) or any(n >= size or n < 0 for n, size in zip(numbers, self.sizes, strict=False)):
            raise ValueError(f"choices {text[:40]!r} do not fit a space of {len(self)} decisions")
        return np.array(numbers, dtype=np.int8)
