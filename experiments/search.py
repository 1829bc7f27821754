"""Search for an architecture within a budget, on the built-in motion data or on a folder of videos.

The result is a run folder: best/arch.json, the Pareto front that it was chosen from (pareto.csv, .png, .html), how the
policy moved (policy.png), and everything needed to go on after an interruption.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from controller.searchers import SEARCHERS
from experiments import search_text, tables
from experiments.arguments import (
    add_formulation_flag,
    add_machine_flags,
    add_run_flags,
    again,
    check_data_flags,
    one_of,
    read_by,
    regular_expression,
    set_by,
    speaker,
    whole,
)
from experiments.errors import finishing
from experiments.machine import best_device, machine_defaults
from searchspace import Budget, Clip
from searchspace.commands import command
from training.data import survey
from training.problem import Problem, build
from training.run import SearchRun, check_new, resume
from training.search_config import SearchConfig, clip_of

EXAMPLE = """  nas search --budget 600MFLOPs
  nas search --budget 300M --budget 3Mparams --data my-videos --group '^(s[0-9]+)' --name first
  nas search --resume --name first
  nas search --stream --budget 40MFLOPs/frame --budget 2MBstate --dry-run"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `nas search`. What is not given is decided by the recipe, or by the run that is resumed."""
    what = parser.add_argument_group("what to look for")
    what.add_argument(
        "--budget",
        action="append",
        dest="budgets",
        type=read_by(lambda text: Budget.parse(text).text),
        metavar="AMOUNT",
        help="600MFLOPs (default), 0.6G, 75MFLOPs/frame, 3Mparams, 64MB, 4MBstate; the first is the target, the next "
        "are caps",
    )
    what.add_argument(
        "--clip",
        type=read_by(lambda text: str(Clip.parse(text))),
        metavar="TxHxW@FPS",
        help="clip at which budgets are counted (default: the space's own, of movinet 8x128x128@5, on videos spread "
        "over the median one)",
    )
    what.add_argument(
        "--stream", action="store_const", const=True, help="search causal networks, which run frame by frame"
    )
    what.add_argument("--space", metavar="SPACE", help="a built-in space or a YAML file (default: movinet)")
    data = parser.add_argument_group("data")
    data.add_argument(
        "--data",
        metavar="DIR|CSV",
        help="folder of videos, one sub-folder a class, or an annotation file in the form of Kinetics above its clips "
        "(default: built-in motion)",
    )
    data.add_argument("--videos", metavar="DIR", help="the clips of an annotation file (default: beside it)")
    data.add_argument(
        "--group",
        metavar="REGEX",
        type=read_by(regular_expression),
        help="its group names the person or recording of a file, which stays on one side of a split",
    )
    data.add_argument("--workers", type=whole(0, 256), metavar="N", help="processes that decode videos")
    how = parser.add_argument_group("how to search")
    how.add_argument("--steps", type=whole(1, 100_000_000), metavar="N", help="optimiser steps of the shared weights")
    how.add_argument(
        "--search-resolution",
        type=whole(8, 4096),
        metavar="PIXELS",
        help="shorter side of training clips (default: 32)",
    )
    how.add_argument("--searcher", **one_of(*SEARCHERS), help=f"who chooses (default: {SearchConfig.searcher})")
    how.add_argument("--recipe", **one_of("auto", "short", "tunas"), help="settings of minutes, or TuNAS's own")
    how.add_argument("--start", **one_of("budget", "uniform"), help="where the policy starts")
    how.add_argument("--warmup", **one_of("boot", "tunas", "sandwich", "uniform"), help="how the shared weights begin")
    how.add_argument("--kernels", **one_of("nested", "separate"), help="how depthwise kernels share weights")
    how.add_argument("--optimizer", **one_of("sgd", "adamw", "rmsprop"), help="of the shared weights")
    how.add_argument(
        "--precision",
        **one_of("auto", "float32", "bfloat16"),
        help="of the maps; auto: bfloat16 where it pays (default: float32)",
    )
    add_formulation_flag(how)
    how.add_argument("--seed", type=whole(0), metavar="N", help="of everything random (default: 0)")
    how.add_argument(
        "--set",
        action="append",
        default=[],
        dest="settings",
        metavar="KEY=VALUE",
        help="any further setting, such as beta=-0.07 or learning_rate=0.05",
    )
    where = parser.add_argument_group("where")
    add_machine_flags(where)
    add_run_flags(where, "search")


def run(args: argparse.Namespace) -> int:
    """Checks everything that can be checked without torch, then searches and draws."""
    say = speaker(args)
    given = settings(args)
    found = resume(args.runs, args.name, "search", given) if args.resume else None
    if found is None:
        check_new(args.runs, args.name)
        given = machine_defaults(given)
        config = SearchConfig.resolve(**given)
        remark = "" if "clip" in given else clip_of(config.space, config.data, config.videos)[1]
        if remark:
            say(remark)
    else:  # the run's own settings, the machine's included
        config = found.settings(SearchConfig.stored)
    if found is not None and found.finished:
        say(f"{found.path} is finished")
        return _finish(args, found.path, say)
    problem = build(config, survey(config.data, config.videos, config.group))
    for line in search_text.understood(problem):
        say(line)
    if args.dry_run:
        return _dry_run(args, problem, say)
    from experiments.plots.live import Live
    from training.search import search

    if found is None and args.device == "auto":
        config = dataclasses.replace(config, device=best_device())
    wanted = config if found is None else given
    with Live() as progress:
        result = search(wanted, runs=args.runs, name=args.name, resume=args.resume, progress=progress)
    return _finish(args, result.folder, say)


def settings(args: argparse.Namespace) -> dict[str, Any]:
    """The settings that were given, by their names in `SearchConfig`; nothing that was not.

    Raises:
        ValueError: a `--set` without a `=`, or a setting given twice.
    """
    flags = (
        "budgets", "clip", "space", "stream", "data", "videos", "group", "workers", "steps", "search_resolution",
        "searcher", "recipe", "start", "warmup", "kernels", "optimizer", "precision", "formulation", "seed", "threads",
    )  # fmt: skip
    given = {name: getattr(args, name) for name in flags if getattr(args, name) is not None}
    if args.device != "auto":
        given["device"] = args.device
    given |= set_by(args.settings, given, "beta=-0.07")
    check_data_flags(given, args.resume)
    return SearchConfig.settled(given)


def _dry_run(args: argparse.Namespace, problem: Problem, say: Any) -> int:
    for line in search_text.planned(problem):
        say(line)
    from training.estimate import estimate

    expected = estimate(problem)
    for line in search_text.expected(problem, expected):
        say(line)
    if args.json:
        tables.print_json({**search_text.plan(problem), "estimate": dataclasses.asdict(expected)})
    say("dry run: nothing was written")
    say(f"next: {again('search', add_arguments, args, budget=None if args.resume else SearchConfig.budgets[0])}")
    return 0


def _finish(args: argparse.Namespace, folder: Path, say: Any) -> int:
    with finishing(folder, command("plot", folder)):
        from experiments.plot import draw_missing  # which loads for a second

        found = SearchRun.open(folder)
        draw_missing(found)
    if args.json:
        tables.print_json({"run": str(folder), "architecture": str(folder / "best" / "arch.json"), **found.summary})
    for line in search_text.result(found):
        say(line)
    return 0
