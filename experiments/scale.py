"""From one network or space to a family A0 to A5: compound coefficients for depth, width, resolution and frame rate.

The coefficients are searched by short trainings, given, or taken from another family. The run folder is the family: a
space and an arch.json for each member, coefficients.json with every trial, and family.png.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments import scale_text, tables
from experiments.arguments import add_run_flags, again, check_data_flags, member_names, one_of, read_by, speaker, whole
from experiments.errors import finishing
from scaling import family_folder
from scaling.family_base import newest_search
from scaling.latency import read_latencies
from scaling.members import name_of
from scaling.proposals import SAMPLERS
from scaling.scale_config import MEMBERS_BY, ScaleConfig
from scaling.scale_family import COMMAND, check, given_coefficients, open_base
from searchspace import Budget, Clip
from searchspace.commands import go_on
from training.resources import cores
from training.run import check_new, resume, settled

EXAMPLE = """  nas scale --coeffs random --trials 12
  nas scale runs/search-1 --coeffs random --workers 2 --name family
  nas scale a2 --clip 8x128x128@5 --coeffs 1.36,1.18,1.16,1.24 --members A0:A3
  nas scale --resume --name family"""

AXES = {"params": "params", "state": "state_bytes"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `nas scale`. What is not given is decided by the defaults, or by the run that is resumed."""
    parser.add_argument(
        "base",
        nargs="?",
        metavar="RUN|ARCH|SPACE",
        help="a finished search, an arch.json or published name, or a space (default: the newest finished search, "
        "else the space movinet)",
    )
    what = parser.add_argument_group("the family")
    what.add_argument(
        "--coeffs",
        metavar="HOW",
        help="random (default): search them; depth,width,resolution,frame rate such as 1.36,1.18,1.16,1.24; or the "
        "folder or coefficients.json of a family",
    )
    what.add_argument(
        "--members", type=read_by(member_names), metavar="A0:A5", help="which (default: A0:A5); A2 is the base"
    )
    what.add_argument(
        "--target-ratio", type=_ratio, metavar="R", help="cost of a member over that of the one before (default: 2)"
    )
    what.add_argument(
        "--targets", metavar="AMOUNTS", help="published (the published networks' ratios to A2), or 150M,300M,..."
    )
    what.add_argument(
        "--members-by",
        **one_of(*MEMBERS_BY),
        help="scaled (default): the base mapped into each space; search: a search in each",
    )
    what.add_argument(
        "--budget",
        type=read_by(lambda text: Budget.parse(text).text),
        metavar="AMOUNT",
        help="cost of the base where it is made of a space (default: 600MFLOPs)",
    )
    what.add_argument(
        "--clip",
        type=read_by(lambda text: str(Clip.parse(text))),
        metavar="TxHxW@FPS",
        help="clip of the base, at which costs are counted (default: its own)",
    )
    trials = parser.add_argument_group("the search over coefficients")
    trials.add_argument("--trials", type=whole(1, 10_000), metavar="N", help="coefficient vectors (default: 32)")
    trials.add_argument("--sampler", **one_of(*SAMPLERS), help="who proposes them (default: random)")
    trials.add_argument("--clips", type=whole(2), metavar="N", help="training clips on the last rung (default: 4000)")
    trials.add_argument("--first-clips", type=whole(2), metavar="N", help="on the first, at least (default: 2000)")
    trials.add_argument("--reduction", type=whole(2, 100), metavar="N", help="one in so many goes on (default: 4)")
    trials.add_argument(
        "--picture-clips",
        type=whole(2),
        metavar="N",
        help="train all members and single dimensions on so many clips for the picture (default: as the first rung, "
        "and none above A3)",
    )
    trials.add_argument("--architectures", type=whole(1, 100), metavar="N", help="networks a space (default: 1)")
    trials.add_argument(
        "--search-resolution",
        type=whole(8, 4096),
        metavar="PIXELS",
        help="shorter side of the base's training clips, others in proportion (default: where it costs 45 MMACs)",
    )
    trials.add_argument("--batch", type=whole(2, 4096), metavar="N", help="clips a training step (default: 16)")
    trials.add_argument("--optimizer", **one_of("sgd", "adamw", "rmsprop"), help="(default: sgd)")
    trials.add_argument("--learning-rate", type=float, metavar="R", help="peak (default: 0.04)")
    trials.add_argument("--steps", type=whole(1), metavar="N", help="of each search of --members-by search")
    trials.add_argument(
        "--async",
        action="store_const",
        const=True,
        dest="asynchronous",
        help="promote trials as they end (ASHA); which ones then depends on how fast each was",
    )
    data = parser.add_argument_group("data")
    data.add_argument(
        "--data",
        metavar="DIR|CSV",
        help="folder of videos, one sub-folder a class, or an annotation file in the form of Kinetics above its clips "
        "(default: built-in motion)",
    )
    data.add_argument("--videos", metavar="DIR", help="the clips of an annotation file (default: beside it)")
    data.add_argument("--group", metavar="REGEX", help="its group names the person or recording of a file")
    data.add_argument("--seed", type=whole(0), metavar="N", help="of everything random (default: 0)")
    where = parser.add_argument_group("where")
    where.add_argument(
        "--workers", type=whole(1, 4096), metavar="N", help="trainings at a time (default: as the cores allow)"
    )
    where.add_argument("--threads", type=whole(1, 1024), metavar="N", help="of torch, a training (default: 1)")
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
            given,
            runs=args.runs,
            name=args.name,
            resume=args.resume,
            workers=workers,
            ray=args.ray,
            progress=progress,
        )
    return _finish(args, result, say)


def _given(args: argparse.Namespace) -> dict[str, Any]:
    """The settings that were given, by their names in `ScaleConfig`."""
    names = [field.name for field in dataclasses.fields(ScaleConfig)]
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
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


def _ratio(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 1.1 <= value <= 10:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number from 1.1 to 10, such as 2")
    return value
