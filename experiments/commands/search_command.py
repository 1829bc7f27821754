"""Search for an architecture within a budget, on the built-in motion data or on a folder of videos.

The result is a run folder: best/arch.json, the Pareto front that it was chosen from (pareto.csv, .png, .html), how the
policy moved (policy.png), and everything needed to go on after an interruption.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from experiments.arguments import (
    add_flag,
    add_flags,
    add_run_flags,
    add_set_flag,
    again,
    check_data_flags,
    given_by,
    set_by,
    speaker,
)
from experiments.errors import finishing
from experiments.machine import best_device, machine_defaults
from experiments.text import search_text
from experiments.text import terminal as tables
from searchspace.commands import command
from training.open_data import survey
from training.run import SearchRun, check_new, resume
from training.search.search_config import SearchConfig, clip_of
from training.search.search_problem import Problem, build

EXAMPLE = """  nas search --budget 600MFLOPs
  nas search --budget 300M --budget 3Mparams --data my-videos --group '^(s[0-9]+)' --name first
  nas search --resume --name first
  nas search --stream --budget 40MFLOPs/frame --budget 2MBstate --dry-run"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `nas search`. What is not given is decided by the recipe, or by the run that is resumed."""
    what = parser.add_argument_group("what to look for")
    add_flag(what, SearchConfig, "budgets", "--budget", action="append")
    add_flags(what, SearchConfig, "clip", "stream", "space")
    add_flags(parser.add_argument_group("data"), SearchConfig, "data", "videos", "group", "workers")
    how = parser.add_argument_group("how to search")
    add_flags(how, SearchConfig, "steps", "search_resolution", "searcher", "recipe", "start", "warmup", "kernels")
    add_flags(how, SearchConfig, "optimizer", "precision", "formulation", "seed")
    add_set_flag(how, "any further setting, such as beta=-0.07 or learning_rate=0.05")
    where = parser.add_argument_group("where")
    add_flag(where, SearchConfig, "device", default="auto")
    add_flag(where, SearchConfig, "threads")
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
    from training.search.run_search import search

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
    given = given_by(args, SearchConfig)
    if given.get("device") == "auto":
        del given["device"]
    given |= set_by(args.settings, given, "beta=-0.07")
    check_data_flags(given, args.resume)
    return SearchConfig.settled(given)


def _dry_run(args: argparse.Namespace, problem: Problem, say: Any) -> int:
    for line in search_text.planned(problem):
        say(line)
    from training.search.search_estimate import estimate

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
        from experiments.commands.plot_command import draw_missing  # which loads for a second

        found = SearchRun.open(folder)
        draw_missing(found)
    if args.json:
        tables.print_json({"run": str(folder), "architecture": str(folder / "best" / "arch.json"), **found.summary})
    for line in search_text.result(found):
        say(line)
    return 0
