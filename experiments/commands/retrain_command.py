"""Train an architecture to its end: from scratch, from trained weights, or from the shared weights of a search.

The result is a run folder: checkpoints/best and checkpoints/last (each arch.json, model.safetensors, checkpoint.json),
curves (curves.png, curves.html), and everything needed to go on after an interruption.
"""

from __future__ import annotations

import argparse
import contextlib
from typing import Any

from experiments import retrain_family, retrain_folds
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
    whole,
)
from experiments.commands.evaluate_command import comparison
from experiments.errors import finishing
from experiments.machine import best_device, machine_defaults
from experiments.text import retrain_text
from experiments.text import terminal as tables
from searchspace.commands import go_on
from training import recipe_files
from training.open_data import survey
from training.recipe import KIND, SECTIONS
from training.retrain.retrain_config import RetrainConfig, comparable, resolve, restored
from training.run import FamilyRun, RetrainRun, accept, check_new, resume

EXAMPLE = """  nas retrain runs/search-1
  nas retrain a0 --stream --clip 8x64x64 --set optimizer.lr=0.02
  nas retrain k600.safetensors --data my-videos --group '^(s[0-9]+)'
  nas retrain k600.safetensors --data my-videos --folds 5
  nas retrain runs/search-1 --init runs/search-1 --ensemble 2 --name pair
  nas retrain --resume --name pair
  nas retrain runs/scale-1 --members A0:A2 --seeds 3 --parallel 2"""

FLAGS = {"epochs": "schedule.epochs", "batch": "optimizer.batch", "freeze_epochs": "network.freeze_epochs"}
"""Flags that stand for a value of the recipe."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `nas retrain`. What is not given follows from where the architecture came from."""
    what = parser.add_argument_group("what to train")
    what.add_argument(
        "arch",
        nargs="?",
        metavar="ARCH",
        help="a run, an arch.json, a trained network, a published name; or a family that nas scale made",
    )
    add_flags(what, RetrainConfig, "stream", "ensemble", "init", "teacher")
    data = parser.add_argument_group("data")
    add_flags(data, RetrainConfig, "data", "videos", "group", "clip", "workers")
    data.add_argument(
        "--folds", type=whole(2, 1000), metavar="K", help="train K times, so that every video is tested once"
    )
    how = parser.add_argument_group("how to train")
    how.add_argument(
        "--recipe",
        "-c",
        metavar="RECIPE",
        help=f"{', '.join(recipe_files.names(KIND))}, or a .yaml file (default: as the data and the weights say)",
    )
    for key in FLAGS.values():
        section, _, name = key.partition(".")
        add_flag(how, SECTIONS[section], name, held="the recipe's")
    add_flag(how, RetrainConfig, "seed")
    add_set_flag(how, "any value of the recipe, such as optimizer.lr=0.1 (nas config --print lists them)")
    where = parser.add_argument_group("where")
    add_flag(where, RetrainConfig, "device", default="auto")
    add_flags(where, RetrainConfig, "threads", "keep")
    add_run_flags(where, "retrain")
    retrain_family.add_arguments(parser.add_argument_group("of a family"))


def run(args: argparse.Namespace) -> int:
    """Checks everything that can be checked without torch, then trains and draws."""
    say = speaker(args)
    given = settings(args)
    target = None
    if args.arch is not None:
        with contextlib.suppress(*[ValueError] if args.resume else ()):  # it may be gone from a run that goes on
            target = accept("retrain", args.arch, args.runs)
    if isinstance(target, FamilyRun):
        return retrain_family.run(args, target, given, again("retrain", add_arguments, args), say)
    retrain_family.refuse_flags(args)
    if args.folds is not None or (args.resume and retrain_folds.named(args.runs, args.name)):
        return retrain_folds.run(args, given, again("retrain", add_arguments, args), say)
    found = resume(args.runs, args.name, "retrain", comparable(given)) if args.resume else None
    architecture = weights = None
    if found is not None:
        resolved = restored(found)
    elif args.arch is None:
        raise ValueError("no architecture given; name one, such as runs/search-1, best/arch.json or a0")
    else:
        check_new(args.runs, args.name)
        target = target or accept("retrain", args.arch, args.runs)
        architecture, weights = target.architecture(), target.weights
        given = machine_defaults(given)
        resolved = resolve(architecture, given, weights)
    config = resolved.config
    if found is None or not found.finished:
        survey(config.data, config.videos, config.group)
    if args.dry_run:
        for line in (*resolved.remarks, *retrain_text.planned(resolved)):
            say(line)
        say("dry run: nothing was written")
        say(f"next: {again('retrain', add_arguments, args)}")
        return 0
    from experiments.plots.live import Live
    from training.retrain.run_retrain import retrain

    if found is None and args.device == "auto":
        given["device"] = best_device()
    with Live() as progress:
        result = retrain(
            architecture, given, weights=weights, runs=args.runs, name=args.name, resume=args.resume, progress=progress
        )
    return _finish(args, result, say)


def settings(args: argparse.Namespace) -> dict[str, Any]:
    """The settings that were given, as `training.retrain.run_retrain.retrain` wants them; nothing that was not.

    Raises:
        ValueError: a `--set` without a `=`, or a setting given twice.
    """
    given = given_by(args, RetrainConfig)
    given |= {key: getattr(args, name) for name, key in FLAGS.items() if getattr(args, name) is not None}
    if given.get("device") == "auto":
        del given["device"]
    given |= set_by(args.settings, given, "optimizer.lr=0.1")
    check_data_flags(given, args.resume)
    return given


def _finish(args: argparse.Namespace, found: RetrainRun, say: Any) -> int:
    folder = found.folder
    with finishing(folder, go_on("retrain", folder)):
        from experiments.plots.retraining_pictures import plot_retraining  # which loads for a second

        plot_retraining(found)
        summary, protocols = found.summary, found.protocols
    if args.json:
        tables.print_json({"run": str(folder), **summary, "protocols": protocols})
    elif protocols:
        tables.show(comparison(protocols), f"best network, per video: {folder / 'checkpoints' / 'best'}")
        say("(the protocols crop the centre as the reference does, the test part below shows the largest window)")
        if all(protocol["protocol"] != "multiclip" for protocol in protocols):
            say("multiclip was left out: beside this training it is dear; nas evaluate runs it")
    for line in retrain_text.result(folder, summary):
        say(line)
    return 0
