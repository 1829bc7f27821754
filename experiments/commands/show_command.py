"""An architecture as a table of its layers, or a run in short; two of them stand side by side."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any, Literal

from rich.text import Text

from experiments.arguments import STREAM_HELP, read_by
from experiments.text import terminal as tables
from experiments.text.describe import Row, member_lines, more_lines, origin_text, rows, state_text
from searchspace import Clip, NetworkSpec, cost
from searchspace.commands import command
from searchspace.quantities import FRAME_MACS, QUANTITIES, counted_names
from searchspace.targets import Target
from training.run import SearchRun, accept

EXAMPLE = """  nas show a2
  nas show search-1            a run in runs/, by name or path
  nas show a0 --stream         frame by frame: state, MACs of a frame
  nas show search-1 a2 --clip 8x128x128@5
  nas show a0 a2 --png         also drawn, into a0-a2.png here"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `nas show`."""
    parser.add_argument(
        "things", metavar="ARCH|RUN", nargs="+", help="a published name (a2), an arch.json, or a run; at most two"
    )
    parser.add_argument(
        "--clip", type=read_by(Clip.parse), metavar="TxHxW@FPS", help="count at this clip (default: each one's own)"
    )
    parser.add_argument("--stream", action="store_true", help=STREAM_HELP)
    parser.add_argument(
        "--png",
        type=read_by(_png),
        nargs="?",
        const=True,
        metavar="FILE",
        help="also draw what is shown into this file (default: NAME.png in the working directory)",
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where runs are looked for")
    parser.add_argument("--json", action="store_true", help="for scripts")


def _png(text: str) -> Path:
    if Path(text).suffix.lower() != ".png":
        raise ValueError(
            f"{text!r}: pictures are PNG files; give a name that ends in .png, or --png behind everything else"
        )
    return Path(text)


def _named_after(architectures: list[NetworkSpec]) -> Path:
    """`a0-a2.png`; what a file name does not bear becomes a dash."""
    words = (re.sub(r"[^A-Za-z0-9._+-]+", "-", architecture.name)[:100].strip(".-") for architecture in architectures)
    return Path("-".join(word or "unnamed" for word in words) + ".png")


def run(args: argparse.Namespace) -> int:
    """Prints one thing, or two side by side, and draws them if asked."""
    if len(args.things) > 2:
        raise ValueError(f"{len(args.things)} things to show; give one, or two to compare")
    found = [accept("show", word, args.runs) for word in args.things]
    architectures = [_architecture(thing, args.stream) for thing in found]
    known = [architecture for architecture in architectures if architecture is not None]
    picture = _draw(known, args.png, args.clip) if args.png is not None else None
    if args.json:
        data = [_data(*pair, args.clip) for pair in zip(found, architectures, strict=True)]
        tables.print_json(data[0] if len(data) == 1 else data)
        return 0
    for thing in found:
        if isinstance(thing, SearchRun):
            tables.show(tables.facts(run_facts(thing)), f"run {thing.name}")
            print()
    if len(known) == 2:
        for name, lines in _compared(known[0], known[1], args.clip):
            tables.show(tables.grid(("", known[0].name, known[1].name), lines), name)
    elif known:
        _print_one(known[0], args.clip or known[0].clip)
    if picture is not None:
        print(f"wrote {picture}")
    print(f"next: {_next(found, args)}")
    return 0


def _draw(architectures: list[NetworkSpec], file: Path | Literal[True], clip: Clip | None) -> Path:
    """Draws into a file, True for one named after what is drawn; returns its path."""
    if not architectures:
        raise ValueError("nothing to draw: the run has no winner yet")
    from experiments.plots import network

    path = _named_after(architectures) if file is True else file
    network.draw(architectures, path, clip)
    return path


def run_facts(found: SearchRun) -> list[tuple[str, Any]]:
    """What there is to know about a run, finished or not, in short lines."""
    config = found.config
    facts: list[tuple[str, Any]] = [
        ("folder", found.folder),
        ("budget", f"{', '.join(config['budgets'])} at clip {config['clip']}"),
        ("search", f"{config['searcher']}, space {config['space']}, data {config.get('data') or 'built-in motion'}"),
        ("training", f"{found.steps:,} of {config['steps']:,} steps at {found.clip.at(config['search_resolution'])}"),
    ]
    if not found.finished:
        return [*facts, ("state", "not finished")]
    winner = found.summary["winner"]
    share = winner["cost_over_target"] - 1
    facts.append(
        (
            "winner",
            f"accuracy {winner['accuracy']:.1%} on {winner['clips']:,} clips that neither weights nor controller saw "
            f"({winner['times_chance']:.1f} x chance), {tables.millions(winner['macs'])}, {share:+.1%} of the target",
        )
    )
    held_out = found.summary.get("validation")
    if held_out:
        accuracy = f"accuracy {held_out['accuracy']:.1%} on {held_out['clips']:,} clips"
        facts.append(("validation", f"{accuracy} of val/, touched only at the end"))
    uniform = found.summary["controls"]["uniform_at_budget"]
    facts.append(
        (
            "chance search",
            f"{uniform['count']} uniform samples repaired to the same budget: mean accuracy {uniform['accuracy']:.1%}; "
            f"the winner has a lower loss than {uniform['beaten_by_winner']} of them",
        )
    )
    front = [point for point in found.front if point.on_front]
    facts.append(("front", f"{len(front)} of {len(found.front)} scored networks: {found.folder / 'pareto.html'}"))
    minutes = sum(found.summary["seconds"].values()) / 60
    return [*facts, ("took", f"{minutes:.1f} minutes")]


def _data(thing: Target, architecture: NetworkSpec | None, clip: Clip | None) -> dict[str, Any]:
    if isinstance(thing, SearchRun):
        return {
            "run": str(thing.folder),
            "finished": thing.finished,
            "config": thing.config,
            "summary": thing.summary if thing.finished else None,
        }
    assert architecture is not None
    counted = cost(architecture, clip)
    return {
        "architecture": architecture.to_dict(),
        "key": architecture.key(),
        "cost": {
            "clip": str(counted.clip),
            **{name: QUANTITIES[name].amount(counted) for name in counted_names() if name != FRAME_MACS.name},
            "macs_per_frame": counted.macs_per_frame,
        },
        "receptive_frames": architecture.receptive_frames,
    }


def _architecture(thing: Target, stream: bool) -> NetworkSpec | None:
    """What it stands for; None for a search without a winner yet."""
    return None if isinstance(thing, SearchRun) and not thing.finished else thing.architecture(stream)


def _print_one(architecture: NetworkSpec, clip: Clip) -> None:
    parts = rows(architecture, clip)
    most = max(part.macs for part in parts)
    lines = [
        (
            part.part,
            part.layer,
            part.channels,
            part.size,
            f"{part.macs / 1e6:.2f}",
            tables.bar(part.macs / most, 10),
            f"{part.params / 1e3:,.1f}",
        )
        for part in parts
    ]
    headers = ("layer", "kernel", "channels", "output", "M MACs", "", "k params")
    tables.show(tables.grid(headers, lines, right=(4, 6)), f"{architecture.name} ({architecture.key()}) at {clip}")
    tables.show(tables.facts(_totals(architecture, clip)))


def _totals(architecture: NetworkSpec, clip: Clip) -> list[tuple[str, str]]:
    total = cost(architecture, clip)
    return [
        ("multiply-accumulates", tables.macs(total, architecture)),
        ("parameters", f"{tables.millions(total.params)} with {architecture.classes} classes"),
        ("activation memory", tables.megabytes(total.activation_bytes)),
        ("state", state_text(total, architecture) if architecture.causal else "none: not causal"),
        *more_lines(total),
        ("layers", architecture.depth_text()),
        ("form", architecture.form_text()),
        ("convolutions see", f"{architecture.receptive_frames} frames"),
        *([("weights", origin)] if (origin := origin_text(architecture)) else []),
        *member_lines(architecture, clip),
    ]


def _compared(
    first: NetworkSpec, second: NetworkSpec, clip: Clip | None
) -> list[tuple[str, list[tuple[Any, Any, Any]]]]:
    """Totals, then layer beside layer; what differs stands out."""
    clips = (clip or first.clip, clip or second.clip)
    totals: list[tuple[Any, Any, Any]] = [("clip", str(clips[0]), str(clips[1]))]
    left_totals, right_totals = dict(_totals(first, clips[0])), dict(_totals(second, clips[1]))
    for name in {**left_totals, **right_totals}:
        totals.append((name, left_totals.get(name, "-"), right_totals.get(name, "-")))
    lefts, rights = ({row.part: row for row in rows(a, c)} for a, c in zip((first, second), clips, strict=True))
    parts = sorted({*lefts, *rights}, key=_order)
    layers: list[tuple[Any, Any, Any]] = []
    for part in parts:
        left, right = _cell(lefts.get(part)), _cell(rights.get(part))
        style = "" if left == right else "bold yellow"
        layers.append((part, Text(left, style), Text(right, style)))
    return [("", totals), ("layer by layer (what differs is marked)", [_marked(line) for line in layers])]


def _marked(line: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
    """A mark that a log without colours shows too."""
    name, left, right = line
    return (f"{name} *" if left.plain != right.plain else name), left, right


def _cell(row: Row | None) -> str:
    return "-" if row is None else f"{row.layer}  {row.channels}"


def _order(part: str) -> tuple[int, int, int]:
    """By member, block and layer."""
    member, _, part = part.rpartition(": ")
    if part in ("stem", "head"):
        return int(member or 0), 0 if part == "stem" else 10**6, 0
    block, layer = part.split(".")
    return int(member or 0), int(block), int(layer)


def _next(found: list[Target], args: argparse.Namespace) -> str:
    for thing in found:
        if isinstance(thing, SearchRun):
            return command("plot", thing.folder) if thing.finished else thing.resume()
    return command("cost", str(found[0]), stream=args.stream)
