"""`nas retrain FAMILY`: all members that `nas scale` made, each with several seeds, side by side."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.arguments import add_flag, whole
from experiments.errors import finishing
from experiments.machine import best_device, machine_defaults
from experiments.text import terminal as tables
from scaling.scale_config import ScaleConfig
from searchspace.commands import command, go_on

if TYPE_CHECKING:
    from scaling.family_plan import FamilyPlan
    from scaling.family_training import FamilyTraining
    from training.run import FamilyRun

FAILED = 2
FLAGS = ("members", "seeds", "parallel", "ray")


def add_arguments(group: argparse._ArgumentGroup) -> None:
    """Adds the flags that only families have."""
    add_flag(group, ScaleConfig, "members", held="all; on the built-in data those that take minutes")
    group.add_argument("--seeds", type=whole(1, 100), metavar="N", help="trainings of each member or fold (default: 1)")
    group.add_argument("--parallel", type=whole(1, 256), metavar="N", help="trainings at a time (default: 1)")
    group.add_argument(
        "--ray", metavar="ADDRESS", nargs="?", const="local", help="train on this Ray cluster; alone, starts one here"
    )


def refuse_flags(args: argparse.Namespace) -> None:
    """Refuses flags of families for what is none (raises `ValueError`)."""
    for name in FLAGS:
        if getattr(args, name) is not None and not (name == "seeds" and args.folds is not None):
            also = " and for --folds" if name == "seeds" else ""
            raise ValueError(
                f"--{name} is for families{also}; give the folder of one that nas scale made, or leave it out"
            )


def run(args: argparse.Namespace, of: FamilyRun, given: dict[str, Any], typed: str, say: Callable[[str], None]) -> int:
    """Checks everything that can be checked without torch, then trains, draws and compares.

    Args:
        args: of `nas retrain`.
        of: the family.
        given: the settings that were given.
        typed: the command, without what makes it a rehearsal.
        say: prints remarks.
    """
    from scaling import family_folder
    from scaling.family_plan import comparable_plan, plan, restore
    from scaling.family_training import find_group
    from training.open_data import survey
    from training.run import check_new

    if not of.finished:
        raise of.unfinished()
    folder = of.folder
    del given["arch"]
    group = find_group(folder, args.name, comparable_plan(given, args.members, args.seeds)) if args.resume else None
    found = family_folder.load(folder)
    if group is None:
        check_new(folder, args.name)
        given = machine_defaults(given)
        if args.threads is None:
            given["threads"] = 1 if args.ray else max(1, given["threads"] // (args.parallel or 1))
        planned = plan(found, given, args.members, args.seeds)
    else:
        planned = group.settings(functools.partial(restore, found))
        say(f"going on with {group.path}")
    if group is None or not group.finished:
        shared = planned.trainings[0].resolved.config
        survey(shared.data, shared.videos, shared.group)
    for line in planned.remarks if group is None else ():
        say(line)
    if not args.json:
        tables.show(_table(planned))
    if args.dry_run or group is None:
        for line in _expected(planned, 1 if args.ray else args.parallel or 1, args.ray):
            say(line)
    if args.dry_run:
        if args.json:
            tables.print_json({"family": str(folder), "trainings": [one.name for one in planned.trainings]})
        say("dry run: nothing was written")
        say(f"next: {typed}")
        return 0
    from experiments.plots.live import Live
    from scaling.family_training import retrain_family

    if group is None and args.device == "auto":
        given["device"] = best_device()
    with Live() as progress:
        result = retrain_family(
            folder,
            given,
            members=args.members,
            seeds=args.seeds,
            name=args.name,
            resume=args.resume,
            workers=args.parallel,
            ray=args.ray,
            progress=progress,
        )
    return _finish(args, folder, result, say)


def _finish(args: argparse.Namespace, folder: Path, result: FamilyTraining, say: Callable[[str], None]) -> int:
    from experiments.plots.retraining_pictures import plot_retraining
    from scaling.member_gains import member_gains

    measured = result.measured()
    with finishing(result.folder, go_on("retrain", result.folder, folder)):
        for row in result.rows:
            if row.accuracy is not None:
                plot_retraining(row.run)
    if args.json:
        rows = [
            {"run": str(row.path), "member": row.member, "accuracy": row.accuracy, "error": row.error or None}
            for row in result.rows
        ]
        tables.print_json({"family": str(folder), "folder": str(result.folder), "trainings": rows})
    else:
        cells = [
            (row.name, "-" if row.accuracy is None else f"{row.accuracy:.1%}", row.error or str(row.path))
            for row in result.rows
        ]
        tables.show(tables.grid(["training", "accuracy", "run"], cells, [1]))
    for gain in member_gains(measured):
        say(str(gain))
    if result.failed:
        say(f"{len(result.failed)} of {len(result.rows)} trainings have no network; the others are kept")
        say(f"next: {go_on('retrain', result.folder, folder)}")
    else:
        say(f"next: {command('report', folder)}")
    if measured:
        example = next(row.path for row in result.rows if row.accuracy is not None)
        say(f"      {command('evaluate', example)}")
    return FAILED if result.failed else 0


def _table(planned: FamilyPlan) -> Any:
    rows: dict[str, tuple[Any, ...]] = {}
    for one in planned.trainings:
        config, architecture = one.resolved.config, one.resolved.members[0]
        clips = "-" if planned.clips is None else f"{planned.clips:,}"
        amount = f"{tables.millions(one.macs)} at {architecture.clip}"
        seeds = [t.seed for t in planned.trainings if t.member.name == one.member.name]
        shown = f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else str(seeds[0])
        parameters = tables.millions(one.member.params)
        rows[one.member.name] = (
            one.member.name,
            amount,
            parameters,
            shown,
            f"{config.recipe.schedule.epochs:g}",
            clips,
        )
    return tables.grid(["member", "MACs a clip", "parameters", "seeds", "epochs", "clips"], rows.values(), [2, 4, 5])


def _expected(planned: FamilyPlan, parallel: int, ray: str | None) -> list[str]:
    """Time by a few measured steps, and disk."""
    from experiments.plots.live import duration
    from scaling.time_estimate import seconds_per_mac
    from training.run import check_disk

    config = planned.trainings[0].resolved.config
    lines = [check_disk(planned.family.folder, sum(one.resolved.checkpoint_bytes for one in planned.trainings))]
    where = f"{parallel} at a time, {config.threads} thread(s) each" if ray is None else "counted as one at a time"
    if planned.clips is None:
        return [f"time: not estimated, because the length of {config.data} is not known", *lines]
    cheapest = planned.trainings[0].resolved.members[0]
    each = seconds_per_mac(cheapest, cheapest.clip, config.threads, config.recipe.optimizer.batch)
    work = [one.work(planned.clips) for one in planned.trainings]
    seconds = max(sum(work) / parallel, max(work)) * each
    decoding = "" if config.data is None else ", decoding aside"
    return [
        f"time: {len(work)} trainings, {where}: about {duration(seconds)}{decoding}, by a few steps measured just now",
        *lines,
    ]
