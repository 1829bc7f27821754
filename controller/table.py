"""A table of networks that were all trained: what a searcher can be tested on, since the truth is known.

A table is a CSV or a JSON file with one row for every combination of choices. In CSV the header names the columns:

    layer1,layer2,cost,accuracy1,accuracy2,network
    identity,e3k3,7710000,0.8123,0.8150,a
    ...

* `cost`: any positive number in any unit, the same unit throughout.
* `accuracy`, `accuracy1`, `accuracy2`, ...: one column a trained copy (seed), in [0, 1]. A noisy look draws images of
  one of them; their mean is the truth.
* `network` (optional): rows that bear the same name are one network in other words, such as layers that commute with an
  identity; they are re-scored once.
* every other column is a decision; its values are whatever stands in it, in the order in which they appear.

In JSON it is a list of mappings: `{"choices": {"layer1": "identity", ...}, "cost": 7710000, "accuracy": [0.8123,
0.8150], "network": "a"}`, where `accuracy` may be a single number.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from controller.arrays import Choices, Flags, Floats
from searchspace.decisions import Decision, Decisions, Probabilities
from searchspace.schema import Fields, parse_json, read_text, show

MAX_BYTES = 100_000_000
MAX_ROWS = 1_000_000
_COST, _ACCURACY, _NETWORK = "cost", "accuracy", "network"


@dataclass(frozen=True)
class Table:
    """Every network of a small space with its cost and its accuracies.

    Attributes:
        name: for people, the file's name without its ending.
        digest: of the content, so that results of two tables are never mixed up.
        decisions: what was varied.
        cost: [N], rows in the order of `every`.
        accuracy: of each trained copy, [N, R], in [0, 1].
        network: rows of one number are one network, [N].
    """

    name: str
    digest: str
    decisions: Decisions
    cost: Floats
    accuracy: Floats
    network: NDArray[np.intp]

    @cached_property
    def every(self) -> Choices:
        """All architectures, the last decision varying fastest, [N, D]."""
        grid = np.indices(tuple(self.decisions.sizes), dtype=np.int8)
        return np.ascontiguousarray(grid.reshape(len(self.decisions), -1).T)

    @cached_property
    def truth(self) -> Floats:
        """Mean accuracy of the trained copies, [N]."""
        return np.asarray(self.accuracy.mean(axis=1))

    @cached_property
    def _places(self) -> NDArray[np.intp]:
        sizes = self.decisions.sizes[::-1]
        return np.concatenate([[1], np.cumprod(sizes)[:-1]])[::-1].astype(np.intp)

    def index(self, choices: Choices) -> NDArray[np.intp]:
        """Rows of architectures, [N, D] -> [N] (or [D] -> one number)."""
        return np.asarray(choices.astype(np.intp) @ self._places)

    def costs(self, choices: Choices) -> Floats:
        """Costs, [N, D] -> [N]."""
        return np.asarray(self.cost[self.index(choices)])

    def key(self, choices: Choices) -> str:
        """What all encodings of one network share, for [D]."""
        return str(self.network[self.index(choices)])

    def expected(self, quantity: str, probabilities: Probabilities) -> tuple[float, list[Floats]]:
        """The expected cost under independent categoricals, and given each choice; see `controller.start.Expectation`.

        Args:
            quantity: ignored: a table has one cost.
            probabilities: one vector a decision.
        """
        tensor = self.cost.reshape(tuple(self.decisions.sizes))
        given = []
        for axis in range(len(self.decisions)):
            rest = np.moveaxis(tensor, axis, 0)
            for other in reversed([d for d in range(len(self.decisions)) if d != axis]):
                rest = rest @ probabilities[other]
            given.append(np.asarray(rest))
        return float(given[0] @ probabilities[0]), given

    def look(self, choices: Choices, images: int, rng: np.random.Generator) -> Floats:
        """Noisy accuracies [N]: each counts right answers on `images` images of one trained copy, drawn at random."""
        copy = rng.integers(self.accuracy.shape[1], size=len(choices))
        return np.asarray(rng.binomial(images, self.accuracy[self.index(choices), copy]) / images)

    def best(self, allowed: Flags) -> int:
        """The row of the highest truth among the allowed ones, bool [N]."""
        assert allowed.any()
        return int(np.flatnonzero(allowed)[self.truth[allowed].argmax()])


class _Row(NamedTuple):
    where: str
    values: tuple[str, ...]
    cost: float
    accuracy: tuple[float, ...]
    network: str | None


def read(path: str | os.PathLike[str]) -> Table:
    """Reads a table, see the top of the file; the ending says which form.

    Raises:
        ValueError: another ending, a file that is not of this form, a combination that is missing or stands twice.
    """
    file = Path(path)
    if file.suffix.lower() not in (".csv", ".json"):
        raise ValueError(f"{file}: a table is a .csv or a .json file")
    text = read_text(file, "table", MAX_BYTES)
    names, rows = (_json if file.suffix.lower() == ".json" else _csv)(text, str(file))
    return _table(file, hashlib.sha256(text.encode()).hexdigest()[:12], names, rows)


def _csv(text: str, where: str) -> tuple[tuple[str, ...], list[_Row]]:
    lines = csv.reader(io.StringIO(text), strict=True)
    try:
        header = [name.strip() for name in next(lines, [])]
        if len(set(header)) < len(header) or "" in header:
            raise ValueError(f"{where}: header {show(','.join(header))} has a column without name, or one twice")
        accuracies = [i for i, name in enumerate(header) if _is_accuracy(name)]
        names = tuple(n for n in header if n not in (_COST, _NETWORK) and not _is_accuracy(n))
        if _COST not in header or not accuracies or not names:
            raise ValueError(
                f"{where}: header {show(','.join(header))} needs a column cost, one or more accuracy, accuracy1, "
                "accuracy2, ..., and one column a decision"
            )
        places = [header.index(name) for name in names]
        rows = []
        for cells in lines:
            if not cells:
                continue
            at = f"{where}, line {lines.line_num}"
            if len(cells) != len(header):
                raise ValueError(f"{at}: {len(cells)} cells, the header has {len(header)}")
            rows.append(
                _Row(
                    at,
                    tuple(cells[i].strip() for i in places),
                    _number(cells[header.index(_COST)], f"{at}: cost"),
                    tuple(_number(cells[i], f"{at}: {header[i]}") for i in accuracies),
                    cells[header.index(_NETWORK)].strip() if _NETWORK in header else None,
                )
            )
    except csv.Error as error:
        raise ValueError(f"{where}, line {lines.line_num}: not CSV: {error}") from None
    return names, rows


def _is_accuracy(name: str) -> bool:
    return name.startswith(_ACCURACY) and (name[len(_ACCURACY) :] or "0").isdecimal()


def _number(text: str, what: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{what} is {show(text)}; it must be a number") from None


def _json(text: str, where: str) -> tuple[tuple[str, ...], list[_Row]]:
    data = parse_json(text, where, MAX_BYTES)
    if not isinstance(data, list) or not data:
        raise ValueError(f"{where} must be a list of mappings with the keys choices, cost and accuracy")
    names: tuple[str, ...] = ()
    rows = []
    for number, item in enumerate(data):
        fields = Fields(item, f"{where}[{number}]")
        choices = fields.raw("choices")
        if not isinstance(choices, dict) or not choices or set(names or choices) != set(choices):
            raise fields.refuse("choices", choices, "a mapping of the same decisions to values in every entry")
        names = names or tuple(choices)
        accuracy = fields.raw("accuracy")
        rows.append(
            _Row(
                fields.where,
                tuple(str(choices[name]) for name in names),
                fields.number("cost", 0, math.inf),
                tuple(_plain(value, fields) for value in (accuracy if isinstance(accuracy, list) else [accuracy])),
                fields.text("network") if fields.has("network") else None,
            )
        )
        fields.done()
    return names, rows


def _plain(value: Any, fields: Fields) -> float:
    if type(value) not in (int, float):
        raise fields.refuse("accuracy", value, "a number from 0 to 1, or a list of them")
    return float(value)


def _table(file: Path, digest: str, names: tuple[str, ...], rows: list[_Row]) -> Table:
    """Checks the rows and brings them into the order of `Table.every`."""
    if not rows:
        raise ValueError(f"{file}: no rows; a table has one for every combination of choices")
    copies = len(rows[0].accuracy)
    values: list[dict[str, int]] = [{} for _ in names]
    for row in rows:
        if not (row.cost > 0 and math.isfinite(row.cost)):
            raise ValueError(f"{row.where}: cost is {row.cost}; it must be positive and finite")
        if len(row.accuracy) != copies or not copies:
            raise ValueError(f"{row.where}: {len(row.accuracy)} accuracies, but {copies} in the first row")
        for accuracy in row.accuracy:
            if not 0 <= accuracy <= 1:
                raise ValueError(f"{row.where}: accuracy is {accuracy}; allowed: 0 to 1 (divide per cent by 100)")
        for value, known in zip(row.values, values, strict=True):
            known.setdefault(value, len(known))
    for name, known in zip(names, values, strict=True):
        if len(known) > 127:
            raise ValueError(f"{file}: {name} has {len(known)} values; at most 127 (are these numbers measurements?)")
    decisions = Decisions.of(_decision(name, tuple(known)) for name, known in zip(names, values, strict=True))
    count = math.prod(len(known) for known in values)
    if count > MAX_ROWS or len(rows) < count:
        product = " x ".join(str(len(known)) for known in values)
        raise ValueError(
            f"{file}: {len(rows):,} rows, but {product} = {count:,} combinations of choices: a searcher may ask for "
            f"any of them, so all must be there (at most {MAX_ROWS:,})"
        )
    choices = np.array([[k[v] for v, k in zip(row.values, values, strict=True)] for row in rows], dtype=np.int8)
    cost, accuracies = np.array([row.cost for row in rows]), np.array([row.accuracy for row in rows])
    labels: dict[str, int] = {}
    network = np.array([i if r.network is None else labels.setdefault(r.network, i) for i, r in enumerate(rows)])
    unordered = Table(file.stem, digest, decisions, cost, accuracies, network.astype(np.intp))
    at = unordered.index(choices)
    order = np.argsort(at, kind="stable")
    for first, second in _repeats(at[order]):
        raise ValueError(f"{rows[order[second]].where}: the same choices as {rows[order[first]].where}; remove one")
    return Table(file.stem, digest, decisions, cost[order], accuracies[order], unordered.network[order])


def _decision(column: str, values: tuple[str, ...]) -> Decision:
    """A column as a decision; names that differ in the number at their end, such as `layer1`, are of one kind."""
    kind = column.rstrip("0123456789")
    number = column[len(kind) :]
    return Decision(kind, values, layer=int(number)) if kind and number else Decision(column, values)


def _repeats(ordered: NDArray[np.intp]) -> Iterator[tuple[int, int]]:
    for place in np.flatnonzero(ordered[1:] == ordered[:-1]):
        yield int(place), int(place) + 1
