"""`nas retrain ARCH --folds K`: a training for each fold, so that every video tests a network that never saw it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments.errors import finishing
from experiments.machine import best_device, machine_defaults
from experiments.text import retrain_text
from experiments.text import terminal as tables
from searchspace.commands import command, go_on
from searchspace.stored import read_counts
from training.open_data import survey
from training.retrain.expectation import gained
from training.retrain.retrain_config import resolve
from training.run import FoldsRun, accept, check_new, find_run

PICTURE = "confusion.png"


def named(runs: Path, name: str | None) -> bool:
    """Whether a name is that of a cross-validation."""
    return name is not None and isinstance(find_run(runs / name), FoldsRun)


def run(args: argparse.Namespace, given: dict[str, Any], again: str, say: Callable[[str], None]) -> int:
    """Checks everything that can be checked without torch, then trains and counts.

    Args:
        args: of `nas retrain`.
        given: the settings that were given.
        again: the command, without what makes it a rehearsal.
        say: prints remarks.
    """
    architecture = weights = None
    if not args.resume or args.arch is not None:
        if args.arch is None:
            raise ValueError("no architecture given; name one, such as runs/search-1, best/arch.json or a0")
        if not args.resume:
            check_new(args.runs, args.name)
            given = machine_defaults(given)
        target = accept("retrain", args.arch, args.runs)
        architecture, weights = target.architecture(), target.weights
        resolved = resolve(architecture, {**given, "fold": f"1/{args.folds or 2}"}, weights)
        survey(resolved.config.data, resolved.config.videos, resolved.config.group, args.folds)
        if args.dry_run:
            for line in (*resolved.remarks, *retrain_text.planned(resolved)):
                say(line)
            say(f"{args.folds} folds, {args.seeds or 1} training(s) each")
    if args.dry_run:
        say("dry run: nothing was written")
        say(f"next: {again}")
        return 0
    from experiments.plots.live import Live
    from training.retrain.cross_validation import cross_validate

    if not args.resume and args.device == "auto":
        given["device"] = best_device()
    with Live() as progress:
        result = cross_validate(
            architecture,
            given,
            weights=weights,
            folds=args.folds,
            seeds=args.seeds,
            runs=args.runs,
            name=args.name,
            resume=args.resume,
            progress=progress,
        )
    return _finish(args, result, say)


def _finish(args: argparse.Namespace, result: FoldsRun, say: Callable[[str], None]) -> int:
    from experiments.plots import confusion
    from experiments.plots.retraining_pictures import plot_retraining
    from training.retrain.run_retrain import CONFUSION

    summary, folder = result.summary, result.folder
    with finishing(folder, go_on("retrain", folder)):
        for trained in result.runs:
            plot_retraining(trained)
        if not (folder / PICTURE).exists():
            classes, counts = read_counts(folder / CONFUSION)
            title = f"{folder.name}: {summary['accuracy']:.1%} of {summary['clips']:,} videos, {summary['folds']} folds"
            confusion.draw(counts, classes, folder / PICTURE, title)
    if args.json:
        tables.print_json({"folder": str(folder), **summary})
        return 0
    seeds = sorted({row["seed"] for row in summary["trainings"]})
    rows = []
    for number in range(1, summary["folds"] + 1):
        own = {row["seed"]: row for row in summary["trainings"] if row["fold"] == number}
        rows.append((number, own[seeds[0]]["clips"], *(own[seed]["correct"] for seed in seeds)))
    rows.append(("all", summary["clips"], *summary["correct"]))
    header = ("fold", "test videos", *(f"right, seed {seed}" for seed in seeds))
    tables.show(
        tables.grid(header, rows, right=range(1, len(header))), "each video is tested by a network of the others"
    )
    mean = sum(summary["correct"]) / len(seeds)
    accuracy = f"{100 * summary['accuracy']:.1f} % (95 %: {100 * summary['low']:.1f} to {100 * summary['high']:.1f})"
    say(f"right: {mean:.4g} of {summary['clips']:,} on average, {accuracy}")
    for name, protocol in summary["protocols"].items():
        say(f"  as nas evaluate judges, {name}: {protocol['correct']:.4g} of {protocol['videos']:,}")
    for line in gained(summary["probes"], round(mean), summary["clips"]):
        say(line)
    say(f"time: {summary['seconds'] / 60:.1f} minutes; answers: {folder / PICTURE}")
    again = {key: getattr(args, key, None) for key in ("data", "videos", "group")}
    say(f"next: {command('retrain', args.arch or 'ARCH', **again)}   trains the network to keep")
    return 0
