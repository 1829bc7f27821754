"""Cost of an architecture: multiply-accumulates, parameters, memory, beside the published networks at the same clip."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from experiments.arguments import STREAM_HELP, read_by
from experiments.text import terminal as tables
from experiments.text.describe import member_lines, more_lines, state_text
from searchspace import Clip, Cost, cost, published, published_names
from searchspace.commands import RUNS, command
from searchspace.quantities import QUANTITIES, counted_names
from training.run import accept

EXAMPLE = """  nas cost a2 --clip 8x128x128@5
  nas cost a0 --stream         frame by frame, with its state
  nas cost runs/search-1 --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `nas cost`."""
    parser.add_argument("architecture", metavar="ARCH", help="a published name (a2), an arch.json, or a run")
    parser.add_argument(
        "--clip",
        type=read_by(Clip.parse),
        metavar="TxHxW@FPS",
        help="count at this clip, not at the one it is meant for",
    )
    parser.add_argument("--stream", action="store_true", help=STREAM_HELP)
    parser.add_argument("--json", action="store_true", help="for scripts")


def run(args: argparse.Namespace) -> int:
    """Prints the cost."""
    architecture = accept("cost", args.architecture, Path(RUNS)).architecture(args.stream)
    counted = cost(architecture, args.clip)
    if args.json:
        data = {"name": architecture.name, "key": architecture.key(), **_data(counted)}
        if len(architecture.members) > 1:
            data["members"] = [_data(own) for own in architecture.member_costs(counted.clip)]
        tables.print_json(data)
        return 0
    rows = [
        ("clip", f"{counted.clip} (frames x height x width @ frames per second)"),
        ("multiply-accumulates", tables.macs(counted, architecture)),
        ("parameters", f"{tables.millions(counted.params)} ({counted.params:,})"),
        ("activation memory", f"{tables.megabytes(counted.activation_bytes)} at its peak, one clip, float32"),
    ]
    if architecture.causal:
        rows.append(("state", state_text(counted, architecture)))
    rows += more_lines(counted)
    rows += member_lines(architecture, counted.clip)
    tables.show(tables.facts(rows), f"{architecture.name} ({architecture.key()})")
    others = [(name, cost(published(name, architecture.causal), counted.clip)) for name in published_names()]
    rows_others = [
        (name, tables.millions(other.macs), f"{counted.macs / other.macs:.2f} x", tables.millions(other.params))
        for name, other in others
    ]
    tables.show(tables.grid(("published", "MACs here", "this / it", "parameters"), rows_others, right=(1, 2, 3)))
    print(f"next: {command('show', args.architecture, stream=args.stream)}")
    return 0


def _data(counted: Cost) -> dict[str, Any]:
    own = {name: QUANTITIES[name].amount(counted) for name in counted_names()}
    return own | {"clip": str(counted.clip), "macs_per_frame": counted.macs_per_frame}
