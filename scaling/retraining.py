"""A family trained: each member with each seed is a run of the one trainer, side by side in a folder of the family.

`FAMILY/retrained-1/A0-seed0` is an ordinary run of `training.retrain`, which can be killed and gone on with by itself;
what is missing follows from which of these runs have a summary.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scaling import family
from scaling.family import Family, FamilyMember
from scaling.members import name_of, parse_members
from scaling.side_by_side import Task, run_here, run_in_processes, run_on_ray
from scaling.steps import Measured
from searchspace import Clip, ClipLike, cost
from searchspace.commands import go_on
from searchspace.naming import located
from searchspace.schema import Fields
from searchspace.stored import Maybe, naming
from training import retrain_config
from training import run as runs_module
from training.data import keep_description, open_source, survey
from training.interrupt import Interrupt, Interrupted, exit_code
from training.progress import Progress, Silent
from training.retrain_config import MOTION_CLIP, Resolved, RetrainConfig, resolve
from training.run import CONFIG, SUMMARY, FamilyTrainingRun, RetrainRun, read_json, settled
from training.run.ledger import Ledger
from video.layout import find_videos

LEDGER = "trainings.jsonl"
DEMO_MACS = 200e6
"""Of a training clip: members above are left out on the built-in data unless they are asked for."""
TEST_CLIPS = 2048
"""About; the best and the last network of a training are scored on them."""

MOST_SEEDS = 100

ONE_NETWORK = {"init": "trained weights fit one network", "ensemble": "an ensemble is made of one network"}


@dataclasses.dataclass(frozen=True)
class Training:
    """A member with a seed.

    Attributes:
        member: of the family.
        seed: of everything random in it.
        resolved: how it is trained.
        settings: the same, as `training.retrain.retrain` takes it.
    """

    member: FamilyMember
    seed: int
    resolved: Resolved
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Of its run."""
        return f"{self.member.name}-seed{self.seed}"

    @property
    def macs(self) -> int:
        """Multiply-accumulates of a training clip."""
        return cost(self.resolved.members[0]).macs

    def work(self, clips: int) -> float:
        """Multiply-accumulates of training on so many clips, a backward pass counted twice, and of all scoring."""
        recipe = self.resolved.config.recipe
        epoch = (recipe.evaluation.clips or 0) + recipe.network.recalibrate
        return self.macs * (3.0 * clips + recipe.schedule.epochs * epoch + 2 * TEST_CLIPS)


@dataclasses.dataclass(frozen=True)
class Plan:
    """Everything that a family's training will do.

    Attributes:
        family: whose.
        config: what decides it: members, seeds, and the settings that the trainings share.
        trainings: cheapest first.
        remarks: choices that were made for the user, one line each.
    """

    family: Family
    config: Mapping[str, Any]
    trainings: tuple[Training, ...]
    remarks: tuple[str, ...]

    @property
    def clips(self) -> int | None:
        """Training clips of each; None where an annotation file would have to be looked through."""
        config = self.trainings[0].resolved.config
        schedule = config.recipe.schedule
        if config.data is None:
            return round(schedule.epochs * schedule.epoch_clips)
        data = located(config.data)
        return round(schedule.epochs * len(find_videos(data).train)) if data.is_dir() else None


@dataclasses.dataclass(frozen=True)
class Trained:
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
    rows: tuple[Trained, ...]

    @property
    def failed(self) -> tuple[Trained, ...]:
        """Trainings without a network."""
        return tuple(row for row in self.rows if row.accuracy is None)

    def measured(self) -> list[Measured]:
        """Members with at least one finished seed, ascending."""
        found: dict[str, list[Trained]] = {}
        for row in self.rows:
            if row.accuracy is not None:
                found.setdefault(row.member, []).append(row)
        measured = []
        for name, rows in sorted(found.items()):
            accuracies = tuple(row.accuracy for row in rows if row.accuracy is not None)
            losses = tuple(loss for row in rows if (loss := row.run.final_loss) is not None)
            summary = rows[0].run.summary
            measured.append(Measured(name, accuracies, losses, summary["clips"], summary["classes"]))
        return measured


def plan(
    found: Family, settings: Mapping[str, Any] | None = None, members: str | None = None, seeds: int | None = None
) -> Plan:
    """Settles what will be trained; nothing is written, torch is not needed.

    On the built-in data the base trains at the clip that `nas retrain` takes for it, on real data at its own; every
    other member at its own clip shrunk as the base's is, so that resolution and frame rate stay scaled.

    Args:
        found: the family.
        settings: of `training.retrain.retrain`; `clip` is the base's, `seed` the first one.
        members: such as `A0:A2`; None for all, or on the built-in data for those of at most 200 MMACs a training clip.
        seeds: how many trainings a member; None for 1.

    Raises:
        ValueError: a member that the family does not have, or a mistake in the settings.
    """
    given, remarks = settled(settings or {}), []
    for key, why in ONE_NETWORK.items():
        if key in given:
            raise ValueError(f"{key!r} is not for families: {why}; train a member, such as {found.folder / 'A0.json'}")
    if "data" not in given:
        home = read_json(found.folder / CONFIG, {"data?": Maybe(str), "videos?": Maybe(str), "group?": Maybe(str)})
        given = {key: home.get(key) for key in ("data", "videos", "group")} | given
        remarks.append(f"data: {given['data'] or 'built-in motion'}, on which the family was made")
    base, motion = Clip.parse(found.data["base"]["clip"]), given["data"] is None
    clip = given.pop("clip", MOTION_CLIP if motion else None)
    first = given.pop("seed", 0)
    count = Fields({} if seeds is None else {"seeds": seeds}, "setting").integer("seeds", 1, MOST_SEEDS, default=1)
    chosen = _chosen(found, members)
    trainings = []
    for member in chosen:
        own = training_clip(member.architecture.clip, base, None if clip is None else Clip.of(clip))
        for seed in range(first, first + count):
            arch = str(found.folder / f"{member.name}.json")
            full = {**given, "arch": arch, "clip": str(own), "seed": seed}
            resolved = resolve(member.architecture, full)
            full["recipe"] = resolved.config.recipe_name
            trainings.append(Training(member, seed, resolved, full))
    if members is None and motion:
        cheap = [one for one in trainings if one.macs <= DEMO_MACS] or trainings[:count]
        if len(cheap) < len(trainings):
            last, every = cheap[-1].member.name, f"{chosen[0].name}:{chosen[-1].name}"
            remarks.append(
                f"members: up to {last}, those of at most {DEMO_MACS / 1e6:.0f} MMACs a clip; --members {every} "
                "trains all"
            )
        trainings = cheap
    remarks += [line for line in trainings[0].resolved.remarks if line.startswith("recipe")]
    if clip is not None:
        remarks.append(f"clip: {clip} for the base, other members' shrunk as the base's own {base} is")
    shared = trainings[0].resolved.config.to_dict() | {"clip": clip, "seed": first}
    del shared["arch"]
    names = list(dict.fromkeys(one.member.name for one in trainings))
    config = {"members": ",".join(names), "seeds": count, **shared}
    return Plan(found, config, tuple(trainings), tuple(remarks))


def training_clip(own: ClipLike, base: ClipLike, wanted: ClipLike | None) -> Clip:
    """A member's clip where the base trains at another one than its own: changed by the same factors.

    Args:
        own: the member's.
        base: the base's.
        wanted: what the base trains at; None for its own.
    """
    own, base = Clip.of(own), Clip.of(base)
    if wanted is None:
        return own
    wanted = Clip.of(wanted)
    frames = max(1, round(wanted.frames * own.frames / base.frames))
    height, width = (max(8, round(side)) for side in (
        wanted.height * own.height / base.height, wanted.width * own.width / base.width
    ))  # fmt: skip
    return Clip(frames, height, width, frames / wanted.seconds)


def _chosen(found: Family, members: str | None) -> list[FamilyMember]:
    if members is None:
        return list(found.members)
    names = [name_of(exponent) for exponent in parse_members(members)]
    known = {member.name: member for member in found.members}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"{found.folder} has no member {unknown[0]}; it has {', '.join(known)}")
    return [known[name] for name in names]


def restore(found: Family, config: Mapping[str, Any]) -> Plan:
    """The plan of a folder that is gone on with, by its configuration; raises `ValueError` where that is damaged."""
    fields = Fields(config, "the trainings' configuration")
    members, seeds = fields.text("members"), fields.integer("seeds", 1, MOST_SEEDS)
    shared = {key: value for key, value in config.items() if key not in ("members", "seeds")}
    RetrainConfig.stored({**shared, "arch": "A2", **({"clip": MOTION_CLIP} if shared.get("clip", "") is None else {})})
    settings = {key: value for key, value in shared.items() if key not in (*ONE_NETWORK, "recipe_name")}
    settings["recipe"] = shared["recipe_name"]
    if settings["clip"] is None:
        del settings["clip"]
    return plan(found, settings, members, seeds)


def comparable(settings: Mapping[str, Any], members: str | None, seeds: int | None) -> dict[str, Any]:
    """What the user gave, as a folder's configuration has it, for a resume to compare."""
    given = retrain_config.comparable(settings)
    if members is not None:
        given["members"] = ",".join(name_of(exponent) for exponent in parse_members(members))
    return given | ({} if seeds is None else {"seeds": seeds})


def retrain_family(
    folder: str | os.PathLike[str],
    settings: Mapping[str, Any] | None = None,
    *,
    members: str | None = None,
    seeds: int | None = None,
    name: str | None = None,
    resume: bool = False,
    workers: int = 1,
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
        workers: trainings at a time; 1 trains in this process. On Ray as many run as there are CPUs for.
        ray: address of a Ray cluster that sees the same files, or `local`.
        progress: where to report.

    Raises:
        ValueError: no family, a mistake in the settings, or Ray cannot be reached.
        Interrupted: after Ctrl-C, SIGTERM or SIGHUP; every run is saved and can be resumed.
    """
    progress, given = progress or Silent(), dict(settings or {})
    found = family.load(Path(folder))
    group = find_group(found.folder, name, comparable(given, members, seeds)) if resume else None
    restored = functools.partial(restore, found)
    planned = plan(found, given, members, seeds) if group is None else group.settings(restored)
    if group is None or not group.finished:
        shared = planned.trainings[0].resolved.config
        survey(shared.data, shared.videos, shared.group)
    if group is None:
        group = runs_module.create(found.folder, name, FamilyTrainingRun.made_by, planned.config)
    with group:
        try:
            with group.starting():
                return _run(group, planned, workers, ray, progress)
        except KeyboardInterrupt as stop:
            again = go_on("retrain", group.path, found.folder)
            message = f"stopped; every training is saved, go on with: {again}"
            raise Interrupted(exit_code(stop), message) from None


def _run(
    group: runs_module.RunFolder, planned: Plan, workers: int, ray: str | None, progress: Progress
) -> FamilyTraining:
    from training.judging import judge_retraining

    ledger = Ledger(group.path / LEDGER)
    ledger.rewind(ledger.lines, group.path / "discarded.txt")
    tasks = [_task(training, group.path) for training in planned.trainings]
    for task in tasks:
        if _run_of(group.path, task.name).finished:
            progress.line(f"{task.name} is finished")
    missing = [task for task in tasks if not _run_of(group.path, task.name).finished]
    if missing and planned.config["data"] is not None:
        _compare_data(planned.trainings[0].resolved, group, progress)
    errors = _train(missing, ledger, workers, ray, int(planned.config["threads"]), progress)
    for task in tasks:
        if _run_of(group.path, task.name).finished:  # one may have been stopped between its end and this
            judge_retraining(group.path / task.name, progress)
    rows = tuple(_row(training, group.path, errors) for training in planned.trainings)
    result = FamilyTraining(group.path, rows)
    if not result.failed:
        group.write_json(SUMMARY, {"accuracy": {row.name: row.accuracy for row in rows}})
    return result


def _compare_data(resolved: Resolved, group: runs_module.RunFolder, progress: Progress) -> None:
    """Looks through the data once, before several trainings would do it at a time, and compares it with the group's.

    Every training compares it with its own, too: they differ in their seeds, and so in their splits.
    """
    config = resolved.config
    source = open_source(
        config.data,
        config.clip,
        seed=config.seed,
        group=config.group,
        videos=config.videos,
        workers=config.workers,
        folder=group.path,
        progress=progress,
    )
    keep_description(group, source, progress)


def find_group(folder: Path, name: str | None, given: Mapping[str, Any]) -> runs_module.RunFolder | None:
    """The folder of a family's trainings to go on with, the newest where none is named; None where there is none."""
    return runs_module.resume(folder, name, FamilyTrainingRun.made_by, given)


def load_trained(run: FamilyTrainingRun) -> FamilyTraining:
    """Reads the trainings of a family that there are, finished or not; raises `ValueError` where they are damaged."""
    with naming(run.folder / CONFIG):
        planned = restore(family.load(run.folder.parent), run.settings)
    return FamilyTraining(run.folder, tuple(_row(training, run.folder, {}) for training in planned.trainings))


def _task(training: Training, group: Path) -> Task:
    return Task(training.name, str(group), training.member.architecture.to_dict(), dict(training.settings))


def _train(
    tasks: list[Task], ledger: Ledger, workers: int, ray: str | None, threads: int, progress: Progress
) -> dict[str, str]:
    """Trains what is missing; returns the errors of what failed, by name."""
    errors: dict[str, str] = {}

    def tell(task: Task, outcome: Mapping[str, Any]) -> None:
        ledger.append_json({"run": task.name, **outcome})
        if "error" in outcome:
            errors[task.name] = str(outcome["error"])
            progress.line(f"{task.name} failed: {outcome['error']}")
        else:
            progress.line(f"{task.name}: accuracy {outcome['accuracy']:.1%}")

    with Interrupt() as wish:
        if not tasks:
            pass
        elif ray is not None:
            run_on_ray(tasks, tell, progress, wish, threads, ray)
        elif workers > 1:
            run_in_processes(tasks, tell, progress, wish, workers)
        else:
            run_here(tasks, tell, progress, wish)
        if wish.exit_code:
            raise Interrupted(wish.exit_code, "stopped while members were trained")
    return errors


def _row(training: Training, group: Path, errors: Mapping[str, str]) -> Trained:
    run = _run_of(group, training.name)
    accuracy = run.accuracy if run.finished else None
    error = "" if accuracy is not None else errors.get(training.name, "not finished")
    return Trained(training.member.name, run, accuracy, error)


def _run_of(group: Path, name: str) -> RetrainRun:
    """The run of a training, which may not have begun yet."""
    return RetrainRun(group / name, RetrainRun.made_by)
