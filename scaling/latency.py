"""Latencies that somebody measured, from a table: an axis for pictures, nothing that is computed here."""

from __future__ import annotations

import csv
import math
from collections.abc import Collection
from pathlib import Path

from searchspace.schema import show

COLUMNS = ("name", "milliseconds")


def read_latencies(path: Path, names: Collection[str]) -> dict[str, float]:
    """Reads a CSV file with the columns `name` and `milliseconds`; further columns are left alone.

    Args:
        path: of the file.
        names: that are asked for, such as A0; rows of others are left out.

    Returns:
        Milliseconds by name, of those that the table has.

    Raises:
        ValueError: no such file or columns, a time that is not a positive number, a name twice, or none of the names.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows, columns = list(reader), reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a CSV file"
        raise ValueError(f"latency table {path} cannot be read: {reason}; give columns name,milliseconds") from None
    missing = [column for column in COLUMNS if column not in columns]
    if missing:
        first = f"it begins with {show(','.join(columns))}" if columns else "it is empty"
        raise ValueError(f"latency table {path} has no column {missing[0]!r} ({first}); give columns name,milliseconds")
    found: dict[str, float] = {}
    for number, row in enumerate(rows, start=2):
        name, text = (row["name"] or "").strip(), row["milliseconds"]
        try:
            value = float(text)
        except (TypeError, ValueError):
            value = math.nan
        if not 0 < value < math.inf:
            raise ValueError(f"latency table {path}, line {number}: {text!r} is not a positive number of milliseconds")
        if name in found:
            raise ValueError(f"latency table {path}, line {number}: {name!r} is there twice; keep one")
        if name in names:
            found[name] = value
    if not found:
        raise ValueError(f"latency table {path} has none of {', '.join(names)} in its column name")
    return found
