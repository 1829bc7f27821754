"""From a base to a family: coefficients searched, given or reused, and members scaled or searched, in a run folder.

A search is a function of its configuration (but for times, and unless it is asynchronous): killed and resumed, in one
process, in several or on Ray, it ends with the same table. `trials.jsonl` is the truth of what was computed.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scaling import family_folder, trial
from scaling.coefficient_support import judge_coefficients
from scaling.coefficients import DIMENSIONS, Coefficients
from scaling.family_base import Base, find_base
from scaling.family_folder import Family
from scaling.members import Member, members, targets
from scaling.scale_config import TRIAL_EXPONENTS, ScaleConfig
from scaling.spaces import measure
from scaling.trial import HELD_OUT, PART
from scaling.trial_ledger import TrialLedger
from searchspace import Architecture
from searchspace.commands import go_on
from searchspace.schema import write_atomically
from training import run as runs_module
from training.machine.interrupt import Interrupted, exit_code, signals_raise
from training.open_data import compare_data, scan_file, survey
from training.progress import Logged, Progress, Silent
from training.run import SUMMARY, FamilyRun, RunFolder
from training.workers import Lost, open_workers

COMMAND = FamilyRun.made_by


def scale(
    config: ScaleConfig | Mapping[str, Any] | None = None,
    *,
    runs: str | os.PathLike[str] = "runs",
    name: str | None = None,
    resume: bool = False,
    workers: int | None = None,
    ray: str | None = None,
    progress: Progress | None = None,
) -> Family:
    """Scales a base to a family.

    `nas scale` leaves the same folder with pictures in it: family.png, and one for each further axis.

    Args:
        config: settings (`ScaleConfig`), or those that differ from the defaults.
        runs: folder of all runs.
        name: of the run; by default the first free `scale-<number>`.
        resume: go on with the run of this name, or the newest; where there is none yet, it starts.
        workers, ray: trainings at a time, and where; see `training.workers.open_workers`.
        progress: where to report.

    Raises:
        ValueError: a mistake in the settings, targets that cannot be met, or no trial that succeeded; what was
            computed is kept.
        Interrupted: after Ctrl-C, SIGTERM or SIGHUP; the run can be resumed.
    """
    progress = progress or Silent()
    given = runs_module.settled(config if isinstance(config, Mapping) else {} if config is None else config.to_dict())
    folder = runs_module.resume(Path(runs), name, COMMAND, given) if resume else None
    resolved = ScaleConfig.resolve(**given) if folder is None else folder.settings(ScaleConfig.stored)
    if folder is not None and folder.finished:
        progress.line(f"{folder.path} is finished")
        return family_folder.load(folder.path)
    base = open_base(resolved, Path(runs))
    check(resolved, base)
    if folder is None:
        files = {family_folder.SPACE: base.space.to_yaml(), family_folder.BASE: base.architecture.to_json()}
        folder = runs_module.create(Path(runs), name, COMMAND, resolved.to_dict(), files)
    raised: list[KeyboardInterrupt] = []  # Ray ends in a plain KeyboardInterrupt after any signal
    with folder:
        try:
            with signals_raise() as raised, folder.starting():
                told = Logged(progress, folder.path / "log.txt")
                if resolved.searched:
                    compare_data(folder, base.space.clip, told, {PART: HELD_OUT})
                kept = Architecture.load(folder.path / family_folder.BASE)
                if kept.key() != base.architecture.key():
                    raise ValueError(
                        f"base {resolved.base!r} has changed since {folder.path} was started (its copy is "
                        f"{folder.path / family_folder.BASE}); restore it, or start a new run"
                    )
                return _run(resolved, base, folder, workers, ray, told)
        except KeyboardInterrupt as stop:
            message = f"stopped; finished trainings are kept, go on with: {go_on(COMMAND, folder.path)}"
            raise Interrupted(exit_code(next(iter(raised), stop)), message) from None


def open_base(config: ScaleConfig, runs: Path) -> Base:
    """The base of a configuration; raises `ValueError` as `find_base` and `training.open_data.survey` do."""
    classes = survey(config.data, config.videos, config.group)
    base = find_base(config.base, runs, config.budget, config.clip, classes)
    base.proxy_side(config.search_resolution)
    return base


def check(config: ScaleConfig, base: Base) -> None:
    """Answers what can be answered before a folder is made.

    Raises:
        ValueError: coefficients or targets that cannot be, or members that the scaled spaces cannot hold.
    """
    found, ratio = given_coefficients(config, base)
    every = config.exponents
    if found is None:
        found = Coefficients.shared_out([1] * len(DIMENSIONS), ratio)
    for member in members(base.space, found, every, targets(config.targets, every, base.macs, ratio)):
        family_folder.mapped(base, member, found)


def given_coefficients(config: ScaleConfig, base: Base) -> tuple[Coefficients | None, float]:
    """Coefficients that are not searched, or None; and the factor of the members' targets a step.

    Raises:
        ValueError: unreadable coefficients, no such family, or one of another space.
    """
    if config.searched:
        return None, config.target_ratio or 2.0
    path = Path(config.coeffs)
    if path.exists() or path.suffix == ".json":
        found, ratio = family_folder.reuse(path, base.space)
        return found, config.target_ratio or ratio
    found = Coefficients.parse(config.coeffs)
    return found, config.target_ratio or found.product


def _run(
    config: ScaleConfig, base: Base, folder: RunFolder, workers: int | None, ray: str | None, progress: Progress
) -> Family:
    found, ratio = given_coefficients(config, base)
    more: dict[str, Any] = {"ratio": ratio}
    every = config.exponents
    if found is None:
        ledger = _search(config, base, folder, workers, ray, progress)
        best = ledger.best()
        found = best.coefficients
        more |= {"growth": best.growth, **report_trials(ledger)}
    else:
        measured = measure(base.space, found, every if len(every) > 1 else TRIAL_EXPONENTS)
        more |= {"growth": measured.growth, "trials": [], "points": [], "verdict": None}
    described = []
    for member in members(base.space, found, every, targets(config.targets, every, base.macs, ratio)):
        if config.members_by == "search" and member.exponent:
            architecture = _searched(config, base, member, folder.path, progress)
        else:
            architecture = family_folder.mapped(base, member, found)
        family_folder.write_member(folder.path, member, architecture)
        described.append(family_folder.describe(base, member, architecture, found))
    result = family_folder.write(folder.path, base, found, described, more)
    folder.write_json(SUMMARY, {"coefficients": found.to_dict(), "members": [one.to_dict() for one in described]})
    return result


def _search(
    config: ScaleConfig, base: Base, folder: RunFolder, workers: int | None, ray: str | None, progress: Progress
) -> TrialLedger:
    ledger = TrialLedger(config, base, folder.path, progress)
    cache = None if config.data is None else scan_file(config.data, config.videos, otherwise=folder.path / "scan.json")
    train = functools.partial(trial.train, config=config, scan_cache=None if cache is None else str(cache))
    with open_workers(workers, ray, threads=config.threads, progress=progress) as opened:
        for job, result in opened.map(train, ledger.take):
            if isinstance(result, Lost):
                raise ValueError(
                    f"training {job.name!r} has no result: {result.reason}; go on with --resume, or start anew with a "
                    "smaller --search-resolution"
                )
            ledger.tell(job, result)
    return ledger


def _searched(config: ScaleConfig, base: Base, member: Member, folder: Path, progress: Progress) -> Architecture:
    """The winner of a search in the member's space; the search is a run within the family's folder."""
    from training.search.run_search import search

    write_atomically(folder / f"{member.name}.yaml", member.space.to_yaml())
    side = round(base.proxy_side(config.search_resolution) * member.space.clip.height / base.space.clip.height)
    settings = {
        "space": str(folder / f"{member.name}.yaml"),
        "clip": str(member.space.clip),
        "budgets": [f"{member.target:.0f}FLOPs"],
        "search_resolution": max(8, side),
        "steps": config.steps,
        "seed": config.seed,
        "threads": config.threads,
        **({"data": config.data, "videos": config.videos, "group": config.group} if config.data else {}),
    }
    progress.line(f"searching {member.name} in {folder / 'searches' / member.name}")
    found = search(settings, runs=folder / "searches", name=member.name, resume=True, progress=progress)
    return dataclasses.replace(found.architecture, name=member.name)


def report_trials(ledger: TrialLedger) -> dict[str, Any]:
    """What was tried, for coefficients.json: every trial, the points of the picture, and the verdict."""
    verdict = judge_coefficients(ledger.schedule, ledger.known)
    numbers = {**dataclasses.asdict(verdict), "by_chance": verdict.by_chance}
    trials = []
    for number, proposal in sorted(ledger.proposals.items()):
        tasks = sorted(task for task in ledger.known if task.kind == "trial" and task.number == number)
        rungs = []
        for task in sorted(tasks, key=lambda task: (task.clips, task.seed)):
            outcome = ledger.known[task]
            shown = {"error": outcome.error} if outcome.failed else {"loss": outcome.loss}
            values = {"accuracy": None if outcome.failed else outcome.objective, "accuracies": list(outcome.accuracies)}
            rungs.append({"clips": task.clips, "seed": task.seed, **values, **shown})
        record = dataclasses.asdict(proposal)
        trials.append({**record, "weights": list(proposal.weights), "rungs": rungs})
    return {
        "chosen": ledger.best().trial,
        "trials": trials,
        "points": ledger.points(),
        "picture_clips": ledger.config.drawn[0],
        "proxies": ledger.proxies(),
        "verdict": {
            **{key: value if value == value else None for key, value in numbers.items()},
            "supported": verdict.supported,
            "text": str(verdict),
        },
    }
