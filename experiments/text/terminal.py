"""How numbers, tables and JSON look on a terminal and in a log."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from searchspace import Cost, NetworkSpec


def print_json(data: object) -> None:
    """Prints data for scripts; what the output's encoding lacks is escaped, so that nothing is lost."""
    text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(data, indent=2, allow_nan=False)
    print(text)


def millions(value: float) -> str:
    """Renders a count in millions: `607.3 M`."""
    return f"{value / 1e6:,.1f} M"


def short(value: float) -> str:
    """Renders a number of any size in few characters: `160k`, `50M`, `12.5`."""
    scale, unit = next(((s, u) for s, u in ((1e9, "G"), (1e6, "M"), (1e3, "k")) if abs(value) >= s), (1.0, ""))
    return f"{value / scale:g}{unit}"


def macs(cost: Cost, architecture: NetworkSpec) -> str:
    """Renders the multiply-accumulates of an architecture, per clip and per frame."""
    frame = "per frame, pushed alone" if cost.frame_macs else "per frame"
    if len(architecture.members) > 1:
        frame += ", on average: its members do not all take each frame"
    return f"{millions(cost.macs)} per clip, {millions(cost.macs_per_frame)} {frame}"


def megabytes(value: float) -> str:
    """Renders bytes in units of 10^6: `12.3 MB`."""
    return f"{value / 1e6:,.1f} MB"


def power_of_ten(value: int) -> str:
    """Renders a number that nobody can read: `10^43.2`."""
    return f"{value:,}" if value < 10**6 else f"10^{math.log10(value):.1f}"


def facts(rows: Iterable[tuple[str, Any]]) -> Table:
    """A table of names and values without lines."""
    table = Table(show_header=False, box=None)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(str(value)))
    return table


def grid(headers: Sequence[str], rows: Iterable[Sequence[Any]], right: Iterable[int] = ()) -> Table:
    """A table with headers; `right` lists the columns of numbers."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    numbers = set(right)
    for index, header in enumerate(headers):
        table.add_column(header, justify="right" if index in numbers else "left", no_wrap=index in numbers)
    for row in rows:
        # Text, not str: rich would read [brackets] in a value as markup.
        table.add_row(*[cell if isinstance(cell, Text) else Text(str(cell)) for cell in row])
    return table


def show(table: Table, title: str = "") -> None:
    """Prints a table to standard output, in colour on a terminal, plain elsewhere, under its title."""
    # A log has no width of its own: leave tables unfolded there.
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 120
    console = Console(file=sys.stdout, highlight=False, width=width)
    if title:
        console.print(Text(title, "bold"))
    console.print(table)


def bar(share: float, width: int = 40) -> str:
    """A bar of blocks for a share in [0, 1]."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    return "█" * (eighths // 8) + (" ▏▎▍▌▋▊▉"[eighths % 8] if eighths % 8 else "")
