"""Compare trained runs on one page: accuracy against cost, with error bars over the runs that differ in their seed.

Of a family that `nas retrain FAMILY` trained it shows the front: each member, and what each step up gains.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import math
from pathlib import Path

from experiments.text import terminal as tables

EXAMPLE = """  nas report runs/a runs/b runs/c
  nas report retrain-1 retrain-2 -o both      into both.html and both.png
  nas report runs/scale-1                     the members of a family"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `nas report`."""
    parser.add_argument(
        "trained",
        metavar="RUN",
        nargs="+",
        help="runs that trained a network, by path or name, checkpoint folders, or a family",
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="NAME", help="NAME.html and NAME.png (default: report, or report-N)"
    )
    parser.add_argument(
        "--latency", type=Path, metavar="CSV", help="columns name,milliseconds: a further axis; names as in the table"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where runs are looked for")
    parser.add_argument("--json", action="store_true", help="for scripts; draws nothing")


def run(args: argparse.Namespace) -> int:
    """Reads, compares, draws and prints."""
    from experiments.report_data import Entry, compare, read_entry
    from experiments.report_family import entries_of, front, trainings_of
    from scaling.latency import read_latencies
    from training.run import accept

    targets = [accept("report", word, args.runs) for word in dict.fromkeys(args.trained)]
    families = [trainings_of(target) for target in targets]
    alone = families[0] if len(args.trained) == 1 else None
    if alone is not None:
        comparison = front(alone)
    else:
        entries: list[Entry] = []
        for target, family in zip(targets, families, strict=True):
            entries += [read_entry(target)] if family is None else entries_of(family).values()
        comparison = compare(entries)
    if args.latency is not None:
        found = read_latencies(args.latency, [group.name for group in comparison.groups])
        comparison = dataclasses.replace(comparison, latencies=found)
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
                        "milliseconds": comparison.latencies.get(group.name),
                    }
                    for group in comparison.groups
                ],
                "steps": [
                    {
                        "from": step.small.name,
                        "to": step.large.name,
                        "gain": step.gain,
                        "standard_error": None if math.isnan(step.error) else step.error,
                        "shown": step.shown,
                        "text": str(step),
                    }
                    for step in comparison.steps
                ],
            }
        )
        return 0
    from experiments.plots import comparison as picture
    from experiments.plots import comparison_page as page

    png, html = _free(args.output)
    picture.draw(comparison, png)
    page.draw(comparison, png, html)
    rows = [(i, *page.cells(group, comparison)) for i, group in enumerate(comparison.groups, 1)]
    title = "a family, cheapest member first" if comparison.family else "trained networks, best first"
    tables.show(tables.grid(page.headers(comparison), rows, right=range(2, 8 + bool(comparison.latencies))), title)
    for step in comparison.steps:
        print(step)
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
