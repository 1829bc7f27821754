"""Reading back what a command wrote: JSON, lines of JSON, and tables, each held against what it must look like.

A file of a run may have been damaged since: cut short, edited, or written by another version. Each kind of file has a
pattern of what is read from it, beside whoever writes it; what the pattern lets through can be used without a doubt.

A pattern is one of

- `str`, `bool`, `dict`, `list`: that type, whatever is in it; `float`: a finite number;
- `Number(low, high)`, `Whole(low, high)`, `Words("a", "b")`;
- `Maybe(pattern)`: that, or null;
- `{"key": pattern}`: a mapping that has these keys, and perhaps others; one that ends in `?` may be missing;
- `Each(pattern)`: a mapping of any keys to that;
- `[pattern]`: a list of that, `Some(pattern)` of at least one; `(first, second)`: a list of exactly so many.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from searchspace.schema import MAX_FILE_BYTES, parse_json, read_text, show

MAX_LINE = 10_000_000  # characters of a line of JSON
_REMEDY = "restore the file from a copy, or start a new run"


@dataclasses.dataclass(frozen=True)
class Number:
    """A finite number in [low, high]."""

    low: float = -math.inf
    high: float = math.inf

    def __str__(self) -> str:
        return f"a number{_range(self.low, self.high)}"


@dataclasses.dataclass(frozen=True)
class Whole:
    """A whole number in [low, high]; true and 3.0 are none."""

    low: float = -(2**62)
    high: float = 2**62

    def __str__(self) -> str:
        return f"a whole number{_range(self.low, self.high)}"


@dataclasses.dataclass(frozen=True, init=False)
class Words:
    """One of some words."""

    words: tuple[str, ...]

    def __init__(self, *words: str) -> None:
        object.__setattr__(self, "words", words)

    def __str__(self) -> str:
        return ", ".join(self.words)


@dataclasses.dataclass(frozen=True)
class Maybe:
    """A pattern, or null; in a table an empty cell."""

    pattern: Any

    def __str__(self) -> str:
        return f"{_allowed(self.pattern)}, or none"


@dataclasses.dataclass(frozen=True)
class Each:
    """A mapping of any keys to a pattern."""

    pattern: Any


@dataclasses.dataclass(frozen=True)
class Some:
    """A list of at least one of a pattern."""

    pattern: Any


COUNT, SHARE, AMOUNT = Whole(0), Number(0, 1), Number(0)
_TYPES = {str: "text", bool: "true or false", dict: "a mapping", list: "a list", float: "a number"}


def conform(data: object, pattern: Any, where: str) -> Any:
    """Holds data against a pattern; returns the data.

    Args:
        data: plain data.
        pattern: see the top of the file.
        where: the file, and the way to the data in it, for errors.

    Raises:
        ValueError: names the key, its value and what is allowed.
    """
    if isinstance(pattern, Maybe):
        return data if data is None else conform(data, pattern.pattern, where)
    if isinstance(pattern, Mapping):
        if not isinstance(data, dict):
            raise _refuse(where, data, pattern)
        for key, part in pattern.items():
            name = key.removesuffix("?")
            if name in data:
                conform(data[name], part, f"{where}.{name}")
            elif name == key:
                raise ValueError(f"{where}: key {name!r} is missing; {_REMEDY}")
    elif isinstance(pattern, Each):
        if not isinstance(data, dict):
            raise _refuse(where, data, pattern)
        for name, value in data.items():
            conform(value, pattern.pattern, f"{where}.{_step(name)}")
    elif isinstance(pattern, Some):
        conform(data, [pattern.pattern], where)
        if not data:
            raise _refuse(where, data, pattern)
    elif isinstance(pattern, list | tuple):
        if not isinstance(data, list) or (isinstance(pattern, tuple) and len(data) != len(pattern)):
            raise _refuse(where, data, pattern)
        parts = pattern if isinstance(pattern, tuple) else pattern * len(data)
        for i, (value, part) in enumerate(zip(data, parts, strict=True)):
            conform(value, part, f"{where}[{i}]")
    elif not _is(data, pattern):
        raise _refuse(where, data, pattern)
    return data


def _is(data: object, pattern: Any) -> bool:
    if isinstance(pattern, Whole):
        return type(data) is int and pattern.low <= data <= pattern.high
    if pattern is float:
        pattern = Number()
    if isinstance(pattern, Number):
        low, high = pattern.low, pattern.high
        # an integer of thousands of digits is no float
        return type(data) in (int, float) and low <= data <= high and abs(data) < 1e308  # type: ignore[operator,arg-type]
    if isinstance(pattern, Words):
        return isinstance(data, str) and data in pattern.words
    assert isinstance(pattern, type), pattern
    return isinstance(data, pattern)


def _refuse(where: str, data: object, pattern: Any) -> ValueError:
    return ValueError(f"{where} is {show(data)}; allowed: {_allowed(pattern)}; {_REMEDY}")


def _allowed(pattern: Any) -> str:
    if isinstance(pattern, type):
        return _TYPES[pattern]
    if isinstance(pattern, Mapping | Each):
        return "a mapping"
    if isinstance(pattern, Some):
        return "a list with something in it"
    if isinstance(pattern, list | tuple):
        return "a list" if isinstance(pattern, list) else f"a list of {len(pattern)}"
    return str(pattern)


def _range(low: float, high: float) -> str:
    if (low, high) in ((-math.inf, math.inf), (-(2**62), 2**62)):
        return ""
    return f" of at least {low:g}" if high in (math.inf, 2**62) else f" from {low:g} to {high:g}"


def _step(name: str) -> str:
    return name if name.isprintable() and len(name) <= 60 else show(name)


def read_json(path: str | os.PathLike[str], pattern: Any = dict, most: int = MAX_FILE_BYTES) -> Any:
    """Reads a file of JSON.

    Args:
        path: the file.
        pattern: what it must look like.
        most: bytes that it may have.

    Raises:
        ValueError: there is none, it is no JSON, or not of the pattern.
    """
    return conform(parse_json(read_text(path, "run", most), str(path), most), pattern, str(path))


@contextlib.contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Puts the name of a file before what is said of its content (a `ValueError`), unless it is said already."""
    try:
        yield
    except ValueError as error:
        if str(path) in str(error):
            raise
        raise ValueError(f"{path}: {error}") from None


def complete_lines(path: Path) -> Iterator[str]:
    """Yields the lines of a file that end properly; a line torn by a kill is left out, a missing file is empty."""
    if not path.exists():
        return
    with open(path, encoding="utf-8", errors="replace", newline="\n") as file:
        for line in file:
            if line.endswith("\n"):
                yield line[:-1]


def read_records(path: Path, pattern: Any = dict) -> list[dict[str, Any]]:
    """Reads a file of JSON, a mapping a line.

    Args:
        path: the file.
        pattern: what a line must look like.

    Raises:
        ValueError: a complete line is not JSON, or not of the pattern; names the file and the line.
    """
    records = []
    for number, line in enumerate(complete_lines(path), start=1):
        where = f"{path}, line {number}"
        try:
            record = parse_json(line, where, MAX_LINE)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            raise ValueError(f"{where} is damaged: {line[:60]!r}; remove the line or restore the file")
        records.append(conform(record, pattern, where))
    return records


def read_table(path: Path, columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Reads a table of comma-separated values with a header; a last line that a kill tore is left out.

    Args:
        path: the file; a missing one has no rows.
        columns: pattern of each column that is read; others may be there. One whose name ends in a question mark may
            be absent, and is None then. Cells become numbers where the pattern says so, and None where they are empty
            and may be.

    Raises:
        ValueError: a column is missing, a row has another number of cells than the header, or a cell is not of its
            column's pattern; names the file and the line.
    """
    rows: list[dict[str, Any]] = []
    lines = csv.reader(_whole(complete_lines(path)), strict=True)
    try:
        header = next(lines, None)
        if header is None:
            return []
        missing = next((name for name in columns if name not in header and not name.endswith("?")), None)
        if missing is not None:
            raise ValueError(f"{path}: no column {missing!r}; {_REMEDY}")
        absent = {own: None for name in columns if (own := name.removesuffix("?")) not in header}
        patterns = {own: columns[name] for name in columns if (own := name.removesuffix("?")) not in absent}
        places = {name: header.index(name) for name in patterns}
        for cells in lines:
            where = f"{path}, line {lines.line_num}"
            if len(cells) != len(header):
                raise ValueError(f"{where}: {len(cells)} cells, the header has {len(header)}; {_REMEDY}")
            read = {name: _cell(cells[at], patterns[name], f"{where}: {name}") for name, at in places.items()}
            rows.append({**read, **absent})
    except csv.Error as error:
        raise ValueError(f"{path}, line {lines.line_num}: not a table ({error}); {_REMEDY}") from None
    return rows


def read_counts(path: Path) -> tuple[list[str], list[list[int]]]:
    """Reads a square table of counts below a header of names.

    Raises:
        ValueError: there is none, it is not square, or a cell is no count; names the file.
    """
    try:
        rows = list(csv.reader(_whole(complete_lines(path)), strict=True))
    except csv.Error as error:
        raise ValueError(f"{path}: not a table ({error}); {_REMEDY}") from None
    header, *cells = rows or [[]]
    if not header or any(len(row) != len(header) for row in cells) or len(cells) != len(header):
        raise ValueError(f"{path}: {len(cells)} rows below {len(header)} names; {_REMEDY}")
    return header, [[_cell(cell, COUNT, f"{path}, row {i}") for cell in row] for i, row in enumerate(cells, start=2)]


def _whole(lines: Iterable[str]) -> Iterator[str]:
    """As csv wants them: with what ended them, since a quoted cell may hold several lines."""
    return (f"{line}\n" for line in lines)


def _cell(text: str, pattern: Any, where: str) -> Any:
    """A cell as its pattern has it."""
    if isinstance(pattern, Maybe):
        return None if text == "" else _cell(text, pattern.pattern, where)
    value: Any = text
    if pattern is bool:
        value = {"1": True, "0": False}.get(text, text)
    elif isinstance(pattern, Whole | Number) or pattern is float:
        try:
            value = int(text) if isinstance(pattern, Whole) else float(text)
        except ValueError:
            value = text
    return conform(value, pattern, where)
