"""Check videos before a search: what decodes, the classes, how a search would split them, which clips are missing."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from experiments.arguments import add_flag, add_flags, read_by
from experiments.text import terminal as tables
from searchspace import Clip
from searchspace.commands import command
from training.machine.resources import cores
from training.run_settings import MachineSettings, RunSettings

EXAMPLE = """  nas data check my-videos
  nas data check my-videos --group '^(s[0-9]+)'    one person's clips stay on one side of a split
  nas data check k600/train.csv --videos k600/clips"""

SHOWN = 20
"""Files of one kind that are listed; --json lists all."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `nas data check`."""
    parser.add_argument(
        "folder",
        type=Path,
        metavar="DIR|CSV",
        help="one sub-folder a class, with or without train/ and val/; or an annotation file in the form of Kinetics",
    )
    add_flags(parser, RunSettings, "videos", "group")
    parser.add_argument(
        "--clip", type=read_by(Clip.parse), default=Clip(8, 128, 128), metavar="TxHxW@FPS", help="clips to be taken"
    )
    add_flag(parser, RunSettings, "seed", default=0)
    add_flag(parser, MachineSettings, "workers", default=cores())
    parser.add_argument("--json", action="store_true", help="for scripts")


def run(args: argparse.Namespace) -> int:
    """Scans the folder as a search would, and keeps nothing."""
    from experiments.plots.live import Live
    from training.data_parts import select
    from training.retrain.expectation import expected
    from video import FolderSource

    with Live() as live:
        source = FolderSource(
            args.folder,
            args.clip,
            args.seed,
            videos=args.videos,
            group=args.group,
            workers=args.workers,
            progress=lambda done, total: live.phase("looking through the videos", done, total),
        )
    if args.json:
        tables.print_json(
            {
                "classes": list(source.classes),
                "parts": dict(source.parts),
                "skipped": [{"file": name, "reason": reason} for name, reason in source.skipped],
                "damaged": list(source.damaged),
                "repaired": [{"file": name, "repairs": words} for name, words in source.repaired],
                "copies": [list(group) for group in source.copies],
                "missing": list(source.missing),
                "notes": list(source.notes),
            }
        )
        return 0
    counts = {part: [0] * len(source.classes) for part in source.parts}
    for part in source.parts:
        for label in source.labels(part):
            counts[part][label] += 1
    rows = [(name, *(counts[part][label] for part in source.parts)) for label, name in enumerate(source.classes)]
    rows.append(("all", *(source.parts[part] for part in source.parts)))
    numbers = range(1, len(source.parts) + 1)
    tables.show(tables.grid(("class", *source.parts), rows, numbers), f"{args.folder}: videos of each part of a search")
    for line in expected(select(source, None)):
        print(line)
    for note in source.notes:
        print(f"note: {note}")
    _some("missing", source.missing)
    for name, reason in source.skipped:
        print(f"does not decode, would be skipped: {name} ({reason})")
    for name in source.damaged:
        print(f"damaged, would be used as far as it decodes: {name}")
    kinds: dict[str, list[str]] = {}
    for name, words in source.repaired:
        kinds.setdefault(words, []).append(name)
    for words, names in kinds.items():
        _some(f"time stamps repaired, {words}", names)
    _some("the same clip", [" = ".join(group) for group in source.copies])
    print(f"next: {command('search', data=args.folder, videos=args.videos, group=args.group)}")
    return 0


def _some(what: str, names: Sequence[str]) -> None:
    if len(names) == 1:
        print(f"{what}: {names[0]}")
    elif names:
        print(f"{what}: {len(names):,}")
    for name in names[:SHOWN] if len(names) > 1 else ():
        print(f"  {name}")
    if len(names) > SHOWN:
        print(f"  and {len(names) - SHOWN:,} more (--json lists them)")
