"""Scaling measured: how long a search over coefficients takes, and what two workers are worth.

Every result is a line of `benchmarks/results/scaling.jsonl`; what has one is printed and not computed again, but with
`--again`. Give folders of runs that may be thrown away.

    python -m benchmarks.scaling trials 12 --runs /tmp/runs    # minutes of `nas scale --coeffs random --trials 12`
    python -m benchmarks.scaling trials 4 --runs /tmp/runs
    python -m benchmarks.scaling parallel                      # trainings of one thread at once, or of two in turn
    python -m benchmarks.scaling picture --runs /tmp/runs      # a family of the tiny space, all members drawn
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scaling import family_folder, trial
from scaling.scale_config import ScaleConfig
from scaling.scale_family import open_base
from scaling.trial import TrialJob
from scaling.trial_ledger import proxy_clip
from searchspace import cost
from searchspace.stored import read_records
from training.run.ledger import Ledger
from training.workers import in_order, open_workers

RESULTS = Path(__file__).parent / "results" / "scaling.jsonl"
TINY = Path(__file__).parent / "spaces" / "tiny.yaml"


def record(kind: str, **values: Any) -> None:
    """Prints a result and keeps it."""
    print({"kind": kind, **values})
    Ledger(RESULTS).append_json({"kind": kind, **values})


def known(arguments: argparse.Namespace, kind: str, **key: Any) -> bool:
    """Prints what was measured already; whether there was something, and it is not wanted again."""
    found = [line for line in read_records(RESULTS) if {"kind": kind, **key}.items() <= line.items()]
    for line in found:
        print(line)
    return bool(found) and not arguments.again


def nas_scale(words: Sequence[str]) -> float:
    """Minutes of a `nas scale`."""
    begin = time.monotonic()
    subprocess.run([sys.executable, "-m", "experiments.cli", "scale", *words], check=True)
    return (time.monotonic() - begin) / 60


def trials(arguments: argparse.Namespace) -> None:
    """Minutes of a search over coefficients, from an empty folder."""
    if known(arguments, "trials", trials=arguments.count, workers=arguments.workers):
        return
    name = f"trials-{arguments.count}-{int(time.time())}"
    words = ["movinet", "--coeffs", "random", "--trials", str(arguments.count), "--name", name]
    minutes = nas_scale([*words, "--runs", str(arguments.runs), "--workers", str(arguments.workers)])
    found = family_folder.load(arguments.runs / name)
    verdict = found.data["verdict"]["text"]
    values = {"trials": arguments.count, "workers": arguments.workers, "minutes": round(minutes, 2)}
    record("trials", **values, coefficients=found.coefficients.to_dict(), verdict=verdict)


def parallel(arguments: argparse.Namespace) -> None:
    """The same trainings by two processes of one thread each, and in one process with two threads."""
    from scaling.coefficients import Coefficients
    from scaling.members import bring, members

    if known(arguments, "parallel", clips=arguments.clips):
        return
    config = ScaleConfig.resolve(first_clips=arguments.clips, clips=arguments.clips)
    base = open_base(config, Path("runs"))
    coefficients = Coefficients(1.2, 1.1, 1.1, 1.2)
    jobs = []
    for member in members(base.space, coefficients, (-1, 1), (base.macs / 2, base.macs * 2)):
        row = bring(base.choices[None], base.space, 0, member, coefficients).choices[0]
        network, clip = member.space.architecture(row), proxy_clip(member, base, base.proxy_side())
        macs = cost(network, clip).macs
        one = TrialJob("trial", 0, arguments.clips, 0, member.exponent, 0, str(clip), macs, {}, network.to_dict())
        jobs += [dataclasses.replace(one, number=number) for number in range(2)]
    seconds = {}
    for name, threads in (("two at once, one thread each", 1), ("in turn, two threads", 2)):
        train = functools.partial(trial.train, config=dataclasses.replace(config, threads=threads), scan_cache=None)
        begin = time.monotonic()
        with open_workers(2 if threads == 1 else 1) as workers:
            for job, result in workers.map(train, in_order(sorted(jobs, key=lambda job: -job.work))):
                print(job.name, result, flush=True)
        seconds[name] = round(time.monotonic() - begin, 1)
    once, turn = seconds.values()
    record("parallel", clips=arguments.clips, seconds=seconds, ratio=round(turn / once, 2))


def picture(arguments: argparse.Namespace) -> None:
    """A family of the tiny space, whose networks learn in minutes, all members and single dimensions on 4,000 clips."""
    if known(arguments, "picture", family=str(arguments.runs / "tiny")):
        return
    words = [str(TINY), "--budget", "32M", "--trials", "8", "--search-resolution", "32", "--picture-clips", "4000"]
    minutes = nas_scale([*words, "--runs", str(arguments.runs), "--name", "tiny", "--resume"])
    record("picture", minutes=round(minutes, 2), family=str(arguments.runs / "tiny"))


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for name, function in (("trials", trials), ("parallel", parallel), ("picture", picture)):
        command = commands.add_parser(name, help=function.__doc__)
        command.set_defaults(function=function)
        command.add_argument("--workers", type=int, default=2, help="trainings at a time")
        command.add_argument("--runs", type=Path, default=Path("runs"))
        if name == "trials":
            command.add_argument("count", type=int)
        if name == "parallel":
            command.add_argument("--clips", type=int, default=2000, help="of a training")
        command.add_argument("--again", action="store_true", help="measure what was measured before")
    arguments = parser.parse_args()
    arguments.function(arguments)


if __name__ == "__main__":
    main()
