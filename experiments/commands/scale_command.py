"""From one network or space to a family A0 to A5: compound coefficients for depth, width, resolution and frame rate.

The coefficients are searched by short trainings, given, or taken from another family. The run folder is the family: a
space and an arch.json for each member, coefficients.json with every trial, and family.png.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments.arguments import (
    add_flag,
    add_flags,
    add_run_flags,
    again,
    check_data_flags,
    given_by,
    one_of,
    speaker,
    whole,
)
from experiments.errors import finishing
from experiments.text import scale_text
from experiments.text import terminal as tables
from scaling import family_folder
from scaling.family_base import newest_search
from scaling.latency import read_latencies
from scaling.members import name_of
from scaling.scale_config import ScaleConfig
from scaling.scale_family import COMMAND, check, given_coefficients, open_base
from searchspace.commands import go_on
from training.machine.resources import cores
from training.run import check_new, resume, settled

EXAMPLE = """  nas scale --coeffs random --trials 12
  nas scale runs/search-1 --coeffs random --workers 2 --name family
  nas scale a2 --clip 8x128x128@5 --coeffs 1.36,1.18,1.16,1.24 --members A0:A3
  nas scale --resume --name family"""

AXES = {"params": "params", "state": "state_bytes"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `nas scale`. What is not given is decided by the defaults, or by the run that is resumed."""
    add_flag(parser, ScaleConfig, "base", "base", nargs="?")
    what = parser.add_argument_group("the family")
    add_flags(what, ScaleConfig, "coeffs", "members", "target_ratio", "targets", "members_by", "budget", "clip")
    trials = parser.add_argument_group("the search over coefficients")
    add_flags(trials, ScaleConfig, "trials", "sampler", "clips", "first_clips", "reduction", "picture_clips")
    add_flags(trials, ScaleConfig, "architectures", "search_resolution", "batch", "optimizer", "learning_rate", "steps")
    add_flag(trials, ScaleConfig, "asynchronous", "--async")
    add_flags(parser.add_argument_group("data"), ScaleConfig, "data", "videos", "group", "seed")
    where = parser.add_argument_group("where")
    where.add_argument(
        "--workers", type=whole(1, 4096), metavar="N", help="trainings at a time (default: as the cores allow)"
    )
    add_flag(where, ScaleConfig, "threads")
    where.add_argument("--ray", metavar="ADDRESS", help="run trainings on this Ray cluster; `local` starts one here")
    where.add_argument("--axis", action="append", default=[], **one_of(*AXES), help="draw a picture over this too")
    where.add_argument(
        "--latency", type=Path, metavar="CSV", help="draw a picture over the latencies of members: name,milliseconds"
    )
    add_run_flags(where, COMMAND)


def run(args: argparse.Namespace) -> int:
    """Checks everything that can be checked without torch, then scales and draws."""
    say = speaker(args)
    given = _given(args)
    found = resume(args.runs, args.name, COMMAND, settled(given)) if args.resume else None
    if found is None:
        check_new(args.runs, args.name)
        if "base" not in given:
            given["base"] = _default_base(args.runs, say)
        config = ScaleConfig.resolve(**given)
    else:
        config = found.settings(ScaleConfig.stored)
        given = config.to_dict()
        if found.finished:
            say(f"{found.path} is finished")
            return _finish(args, family_folder.load(found.path), say)
    base = open_base(config, args.runs)
    check(config, base)
    if args.latency is not None:  # a mistake in it is answered before the search
        read_latencies(args.latency, [name_of(exponent) for exponent in config.exponents])
    coefficients, ratio = given_coefficients(config, base)
    for line in scale_text.understood(config, base, coefficients, ratio):
        say(line)
    local = args.ray in (None, "local")
    workers = args.workers or (max(1, cores() // config.threads) if local else None)
    if config.searched and not (found is not None and found.finished):
        from scaling.time_estimate import estimate_time

        for line in scale_text.expected(config, base, workers, args.ray, estimate_time(config, base, workers or 1)):
            say(line)
    if args.dry_run:
        say("dry run: nothing was written")
        say(f"next: {again(COMMAND, add_arguments, args)}")
        return 0
    from experiments.plots.live import Live
    from scaling.scale_family import scale

    with Live() as progress:
        result = scale(
            given, runs=args.runs, name=args.name, resume=args.resume, workers=workers, ray=args.ray, progress=progress
        )
    return _finish(args, result, say)


def _given(args: argparse.Namespace) -> dict[str, Any]:
    """The settings that were given, by their names in `ScaleConfig`."""
    given = given_by(args, ScaleConfig)
    check_data_flags(given, args.resume)
    searched = given.get("coeffs", "random") == "random"
    ignored = [name for name in ("trials", "sampler", "asynchronous") if name in given]
    if not searched and ignored:
        raise ValueError(f"--{ignored[0].replace('asynchronous', 'async')} is for --coeffs random; leave it out")
    return given


def _default_base(runs: Path, say: Callable[[str], None]) -> str:
    newest = newest_search(runs)
    if newest is not None:
        say(f"no base given: taking the newest finished search, {newest}")
        return str(newest)
    say(f"no base given and no finished search in {runs}/: taking the space movinet")
    return "movinet"


def _finish(args: argparse.Namespace, result: family_folder.Family, say: Callable[[str], None]) -> int:
    files = []
    if result.data["points"]:
        axes = list(dict.fromkeys(("macs", *(AXES[word] for word in args.axis))))
        if "state_bytes" in axes and not result.members[0].state_bytes:
            axes.remove("state_bytes")
            say("no picture over state: these networks see whole clips and keep none")
        with finishing(result.folder, go_on(COMMAND, result.folder)):
            from experiments.plots import family as picture  # which loads for a second

            files = [picture.draw(result, axis) for axis in axes]
            if args.latency is not None:
                latencies = read_latencies(args.latency, [member.name for member in result.members])
                files.append(picture.draw(result, picture.LATENCY, latencies))
    if args.json:
        tables.print_json({"run": str(result.folder), **result.data})
    else:
        tables.show(scale_text.coefficients(result))
        tables.show(scale_text.members(result))
    for line in scale_text.result(result, files):
        say(line)
    return 0
