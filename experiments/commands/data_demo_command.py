"""Write the built-in motion data as a folder of video files: what a data folder looks like."""

from __future__ import annotations

import argparse
from pathlib import Path

from experiments.arguments import read_by, whole
from searchspace import Clip
from searchspace.commands import command

EXAMPLE = """  nas data demo -o demo
  nas search --data demo"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `nas data demo`."""
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="a new or empty folder")
    parser.add_argument("--train", type=whole(1, 100_000), default=20, metavar="N", help="clips a class (default: 20)")
    parser.add_argument("--val", type=whole(0, 100_000), default=5, metavar="N", help="validation clips a class")
    parser.add_argument(
        "--clip", type=read_by(Clip.parse), default=Clip(16, 64, 64, 10.0), metavar="TxHxW@FPS", help="of each file"
    )
    parser.add_argument("--seed", type=whole(0), default=0, metavar="N", help="(default: 0)")


def run(args: argparse.Namespace) -> int:
    """Writes the files."""
    from experiments.plots.live import Live
    from video import MotionSource, export_demo

    source = MotionSource(args.seed, args.clip)
    with Live() as live:
        count = export_demo(
            args.output, source, args.train, args.val, lambda done, total: live.phase("writing videos", done, total)
        )
    print(f"wrote {count:,} videos of {len(source.classes)} classes, {args.clip} each, to {args.output}")
    print(f"next: {command('data check', args.output)}")
    return 0
