"""Compare trained runs on one page: accuracy against cost, with error bars over the runs that differ in their seed."""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

from experiments import tables

EXAMPLE = """  nas report runs/a runs/b runs/c
  nas report retrain-1 retrain-2 -o both      into both.html and both.png"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `nas report`."""
    parser.add_argument(
        "trained", metavar="RUN", nargs="+", help="runs that trained a network, by path or name, or checkpoint folders"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="NAME", help="NAME.html and NAME.png (default: report, or report-N)"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where runs are looked for")
    parser.add_argument("--json", action="store_true", help="for scripts; draws nothing")


def run(args: argparse.Namespace) -> int:
    """Reads, compares, draws and prints."""
    from experiments.report_data import compare, read_entry

    comparison = compare([read_entry(word, args.runs) for word in args.trained])
    if args.json:
        tables.print_json(
            {
                "notes": list(comparison.notes),
                "groups": [
                    {
                        "name": group.name,
                        "architecture": group.first.architecture.key(),
                        "accuracy": group.accuracy,
                        "deviation": group.deviation if len(group.entries) > 1 else None,
                        "runs": [{"path": str(e.path), "accuracy": e.accuracy} for e in group.entries],
                        "macs": group.first.cost.macs,
                        "params": group.first.cost.params,
                        "state_bytes": group.first.cost.state_bytes,
                    }
                    for group in comparison.groups
                ],
            }
        )
        return 0
    from experiments.plots import comparison as picture
    from experiments.plots import comparison_page as page

    png, html = _free(args.output)
    picture.draw(comparison, png)
    page.draw(comparison, png, html)
    rows = [(i, *page.cells(group)) for i, group in enumerate(comparison.groups, 1)]
    tables.show(tables.grid(page.HEADERS, rows, right=(2, 3, 4, 5, 6, 7)), "trained networks, best first")
    for note in comparison.notes:
        print(f"note: {note}")
    for file in (png, html):
        print(f"wrote {file}")
    print(f"next: open {html} in a browser")
    return 0


def _free(asked: Path | None) -> tuple[Path, Path]:
    """The picture and the page, neither of which is there yet."""
    names = [asked] if asked is not None else (Path(f"report-{i}" if i > 1 else "report") for i in itertools.count(1))
    for name in names:
        files = (name.with_name(f"{name.name}.png"), name.with_name(f"{name.name}.html"))
        if not any(file.exists() for file in files):
            return files
    raise ValueError(f"{asked}.png or .html exists, and nothing is overwritten; give another --output")
