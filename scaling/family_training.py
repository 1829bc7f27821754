"""A family trained: each member with each seed is a run of the one trainer, side by side in a folder of the family.

`FAMILY/retrained-1/A0-seed0` is an ordinary run of `training.retrain`, which can be killed and resumed by itself; what
is missing follows from which of these runs have a summary.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scaling import family_folder
from scaling.family_plan import (
    CONFIGURATION,
    FamilyPlan,
    MemberTraining,
    chosen_members,
    comparable_plan,
    members_and_seeds,
    plan,
    restore,
    run_name,
)
from scaling.member_gains import MeasuredMember
from searchspace import NetworkSpec
from searchspace.commands import go_on
from searchspace.schema import Fields
from searchspace.stored import naming
from training import run as runs_module
from training.machine.interrupt import Interrupted, exit_code, signals_raise
from training.open_data import compare_data, survey
from training.progress import Progress, Silent
from training.run import CONFIG, DATA_PATHS, SUMMARY, FamilyTrainingRun, RetrainRun
from training.run.ledger import Ledger
from training.workers import Lost, in_order, open_workers

LEDGER = "trainings.jsonl"


@dataclasses.dataclass(frozen=True)
class RunJob:
    """A run of `training.retrain.run_retrain`, for workers.

    Attributes:
        name: of the run.
        runs: the folder that holds it.
        architecture: what is trained.
        settings: of a run that has not begun.
    """

    name: str
    runs: Path
    architecture: NetworkSpec
    settings: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class TrainedMember:
    """What became of a training.

    Attributes:
        member: of the family.
        run: its folder.
        accuracy: on the test clips, in [0, 1]; None where it is not finished.
        error: why it failed, or empty.
    """

    member: str
    run: RetrainRun
    accuracy: float | None
    error: str = ""

    @property
    def name(self) -> str:
        """Of its run."""
        return self.run.folder.name

    @property
    def path(self) -> Path:
        """Of the run's folder."""
        return self.run.folder


@dataclasses.dataclass(frozen=True)
class FamilyTraining:
    """What `retrain_family` ends with.

    Attributes:
        folder: that holds the runs.
        rows: one a training.
    """

    folder: Path
    rows: tuple[TrainedMember, ...]

    @property
    def failed(self) -> tuple[TrainedMember, ...]:
        """Trainings without a network."""
        return tuple(row for row in self.rows if row.accuracy is None)

    def measured(self) -> list[MeasuredMember]:
        """Members with at least one finished seed, ascending."""
        found: dict[str, list[TrainedMember]] = {}
        for row in self.rows:
            if row.accuracy is not None:
                found.setdefault(row.member, []).append(row)
        measured = []
        for name, rows in sorted(found.items()):
            accuracies = tuple(row.accuracy for row in rows if row.accuracy is not None)
            losses = tuple(loss for row in rows if (loss := row.run.final_loss) is not None)
            summary = rows[0].run.summary
            measured.append(MeasuredMember(name, accuracies, losses, summary["clips"], summary["classes"]))
        return measured


def retrain_family(
    folder: str | os.PathLike[str],
    settings: Mapping[str, Any] | None = None,
    *,
    members: str | None = None,
    seeds: int | None = None,
    name: str | None = None,
    resume: bool = False,
    workers: int | None = None,
    ray: str | None = None,
    progress: Progress | None = None,
) -> FamilyTraining:
    """Trains members of a family; a training that fails does not stop the others.

    Args:
        folder: of the family.
        settings, members, seeds: see `plan`.
        name: of the folder within the family's; by default the first free `retrained-<number>`.
        resume: go on with the folder of this name, or the newest; where there is none yet, it starts. Finished
            trainings are only read.
        workers, ray: trainings at a time, and where; see `training.workers.open_workers`. Machines of a Ray cluster see
            the same files.
        progress: where to report.

    Raises:
        ValueError: no family, a mistake in the settings, or Ray cannot be reached.
        Interrupted: after Ctrl-C, SIGTERM or SIGHUP; every run is saved and can be resumed.
    """
    progress, given = progress or Silent(), dict(settings or {})
    found = family_folder.load(Path(folder))
    group = find_group(found.folder, name, comparable_plan(given, members, seeds)) if resume else None
    restored = functools.partial(restore, found)
    planned = plan(found, given, members, seeds) if group is None else group.settings(restored)
    if group is None or not group.finished:
        shared = planned.trainings[0].resolved.config
        survey(shared.data, shared.videos, shared.group)
    if group is None:
        group = runs_module.create(found.folder, name, FamilyTrainingRun.made_by, planned.config)
    raised: list[KeyboardInterrupt] = []  # Ray ends in a plain KeyboardInterrupt after any signal
    with group:
        try:
            with signals_raise() as raised, group.starting():
                return _run(group, planned, workers, ray, progress)
        except KeyboardInterrupt as stop:
            again = go_on("retrain", group.path, found.folder)
            message = f"stopped; every training is saved, go on with: {again}"
            raise Interrupted(exit_code(next(iter(raised), stop)), message) from None


def _run(
    group: runs_module.RunFolder, planned: FamilyPlan, workers: int | None, ray: str | None, progress: Progress
) -> FamilyTraining:
    from training.evaluation.judging import judge_retraining

    ledger = Ledger(group.path / LEDGER)
    ledger.rewind(ledger.lines, group.path / "discarded.txt")
    missing = []
    for training in planned.trainings:
        if not _run_of(group.path, training.name).finished:
            missing.append(training)
        else:
            progress.line(f"{training.name} is finished")
    errors: dict[str, str] = {}
    if missing:
        if planned.config["data"] is not None:
            # Every training compares it with its own, too: they differ in their seeds, and so in their splits.
            compare_data(group, planned.trainings[0].resolved.config.clip, progress)
        errors = _train(missing, group.path, ledger, workers, ray, progress)
    for training in planned.trainings:
        if _run_of(group.path, training.name).finished:  # one may have been stopped between its end and this
            judge_retraining(group.path / training.name, progress)
    rows = tuple(_row(one.member.name, one.seed, group.path, errors) for one in planned.trainings)
    result = FamilyTraining(group.path, rows)
    if not result.failed:
        group.write_json(SUMMARY, {"accuracy": {row.name: row.accuracy for row in rows}})
    return result


def find_group(folder: Path, name: str | None, given: Mapping[str, Any]) -> runs_module.RunFolder | None:
    """The folder of a family's trainings to go on with, the newest where none is named; None where there is none."""
    return runs_module.resume(folder, name, FamilyTrainingRun.made_by, given)


def load_trained(run: FamilyTrainingRun) -> FamilyTraining:
    """Reads the results of a family's training, finished or not, made by any version: its settings are not read.

    Raises:
        ValueError: a configuration that does not name members and seeds.
    """
    with naming(run.folder / CONFIG):
        fields = Fields(run.settings, CONFIGURATION)
        members, seeds = members_and_seeds(fields)
        first = fields.integer("seed", 0, 2**31 - 1)
        names = [member.name for member in chosen_members(family_folder.load(run.folder.parent), members)]
    rows = (_row(name, seed, run.folder, {}) for name in names for seed in range(first, first + seeds))
    return FamilyTraining(run.folder, tuple(rows))


def train(job: RunJob, progress: Progress) -> dict[str, Any]:
    """Begins a run or goes on with it.

    Returns:
        `accuracy`, or `error` where the training failed.

    Raises:
        Interrupted: it is saved.
    """
    from training.retrain.run_retrain import retrain

    begun = (job.runs / job.name / CONFIG).is_file()
    try:
        result = retrain(
            job.architecture,
            # A run that has begun has its own settings, but its data may have been moved.
            {key: value for key, value in job.settings.items() if key in DATA_PATHS} if begun else job.settings,
            runs=job.runs,
            name=job.name,
            resume=True,
            progress=progress,
        )
    except ValueError as error:
        return {"error": str(error)}
    except OSError as error:
        return {"error": f"{error.filename or job.name}: {error.strerror or error}"}
    return {"accuracy": result.accuracy}


def _train(
    missing: list[MemberTraining],
    group: Path,
    ledger: Ledger,
    workers: int | None,
    ray: str | None,
    progress: Progress,
) -> dict[str, str]:
    """Trains what is missing; returns the errors of what failed, by name."""

    def jobs() -> Iterator[RunJob]:
        for number, one in enumerate(missing, start=1):
            progress.line(f"{one.name} begins, training {number} of {len(missing)}")
            yield RunJob(one.name, group.absolute(), one.member.architecture, dict(one.settings))

    errors: dict[str, str] = {}
    threads, total = missing[0].resolved.config.threads, len(missing)
    opened = open_workers(workers, ray, threads=threads, flag="--parallel", progress=progress, total=total)
    with opened:
        for done, (job, result) in enumerate(opened.map(train, in_order(jobs())), start=1):
            outcome = {"error": f"{result.reason}; go on with --resume"} if isinstance(result, Lost) else result
            ledger.append_json({"run": job.name, **outcome})
            if "error" in outcome:
                errors[job.name] = str(outcome["error"])
                progress.line(f"{job.name} failed: {outcome['error']}")
            else:
                progress.line(f"{job.name}: accuracy {outcome['accuracy']:.1%}")
            progress.phase("trained", done, total)
    return errors


def _row(member: str, seed: int, group: Path, errors: Mapping[str, str]) -> TrainedMember:
    run = _run_of(group, run_name(member, seed))
    accuracy = run.accuracy if run.finished else None
    error = "" if accuracy is not None else errors.get(run.folder.name, "not finished")
    return TrainedMember(member, run, accuracy, error)


def _run_of(group: Path, name: str) -> RetrainRun:
    """The run of a training, which may not have begun yet."""
    return RetrainRun(group / name, RetrainRun.made_by)
