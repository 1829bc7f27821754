"""What weights know of your videos, in about the time that their frames take: a linear classifier in closed form."""

from __future__ import annotations

import argparse

from experiments.arguments import add_flag, add_flags, whole
from experiments.text import terminal as tables
from searchspace.commands import command
from searchspace.naming import located
from training.folds import FOLDS
from training.machine.resources import cores
from training.run import accept
from training.run_settings import MachineSettings, RunSettings

EXAMPLE = """  nas probe k600.safetensors --data my-videos
  nas probe k600.safetensors --data my-videos --group '^(s[0-9]+)'    people are judged by what others taught
  nas probe --data my-videos                                          what one frame, motion, picture shape tell"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `nas probe`."""
    parser.add_argument(
        "weights", nargs="?", metavar="WEIGHTS", help="a run, a trained network, a file of weights (default: none)"
    )
    add_flag(parser, RunSettings, "data", held="", required=True)
    add_flags(parser, RunSettings, "videos", "group")
    parser.add_argument(
        "--folds",
        type=whole(2, 1000),
        default=FOLDS,
        metavar="K",
        help=f"of data without a validation side (default: {FOLDS})",
    )
    add_flag(parser, MachineSettings, "workers", default=cores())
    parser.add_argument("--json", action="store_true", help="for scripts")


def run(args: argparse.Namespace) -> int:
    """Looks, computes, prints."""
    if args.weights is not None:
        accept("probe", args.weights)
    if not located(args.data).exists():
        raise ValueError(f"data {args.data!r} does not exist: give a folder with one sub-folder for each class")
    import networks
    from experiments.plots.live import Live
    from training.evaluation.probe_features import probe

    trained = None if args.weights is None else networks.load(args.weights)
    with Live() as progress:
        found = probe(
            trained,
            args.data,
            videos=args.videos,
            group=args.group,
            count=args.folds,
            workers=args.workers,
            progress=progress,
        )
    majority = max(int((found.rows[0].scores.labels == label).sum()) for label in range(len(found.classes)))
    if args.json:
        tables.print_json(
            {
                "classes": list(found.classes),
                "protocol": found.how,
                "majority": majority / found.test,
                "features": {
                    row.features: {
                        "correct": row.scores.correct,
                        "videos": row.scores.clips,
                        "accuracy": row.scores.accuracy,
                        "low": row.scores.interval[0],
                        "high": row.scores.interval[1],
                        "dimensions": row.dimensions,
                    }
                    for row in found.rows
                },
                "notes": list(found.notes),
            }
        )
        return 0
    rows = []
    for row in found.rows:
        name = args.weights if row.features == "network" else row.features
        low, high = row.scores.interval
        rows.append(
            (
                name,
                f"{row.dimensions:,}",
                f"{row.scores.correct} of {row.scores.clips}",
                f"{row.scores.accuracy:.1%}",
                f"{100 * low:.0f} to {100 * high:.0f}",
            )
        )
    rows.append(("always the largest class", "", f"{majority} of {found.test}", f"{majority / found.test:.1%}", ""))
    tables.show(tables.grid(("features", "numbers", "right", "accuracy", "95 %"), rows, right=(1, 2, 3)), found.how)
    for note in found.notes:
        print(f"note: {note}")
    what = "WEIGHTS" if args.weights is None else args.weights
    again = command("retrain", what, data=args.data, videos=args.videos, group=args.group)
    print(f"next: {again}")
    return 0
