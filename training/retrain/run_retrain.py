"""Retraining: an architecture, alone or as members of an ensemble, trained to its end in a run folder.

A run is a function of its configuration, its architecture and its data: one that was killed goes on from its last
checkpoint to bit-identical weights and the same ledgers (on CPU, with the same number of threads; `WALL_CLOCK` names
what differs).
"""

from __future__ import annotations

import csv
import dataclasses
import io
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

import networks
from networks import Network, TemporalEnsemble
from searchspace import Clip, Ensemble, NetworkSpec, load_spec
from searchspace.commands import go_on
from searchspace.schema import write_atomically
from searchspace.targets import BEST, CHECKPOINTS, LAST
from searchspace.trained_folder import ARCHITECTURE
from training import run as runs_module
from training.data_parts import TEST, Fold, Selection, select
from training.evaluation.classification_scores import Scores
from training.evaluation.judging import judge_retraining
from training.evaluation.part_scores import evaluate
from training.evaluation.predictions import for_inference
from training.evaluation.probe_features import MOST_PROBED, probe_selection, recorded
from training.machine.interrupt import Interrupt, Interrupted, exit_code
from training.open_data import keep_description, open_source, scan_file, survey
from training.progress import Logged, Progress, Silent
from training.retrain import initial_weights as initial
from training.retrain.expectation import expected, probed
from training.retrain.retrain_config import RetrainConfig, comparable, networks_of, resolve, restored
from training.retrain.retrain_task import EVALUATION_BATCH, RetrainTask
from training.run import RetrainRun, RunFolder, SearchRun, accept, find_run
from training.run.formats import MEMBER, PROBES
from training.seeds import derived
from training.steps import loop
from training.steps.trainer import check

CONFUSION, PROBES_FILE = "confusion.csv", "probes.json"

WALL_CLOCK = ("data_ms", "step_ms", "seconds")
"""Fields of metrics and summary that hold times, and so differ between two runs of one configuration."""


def retrain(
    architecture: NetworkSpec | str | os.PathLike[str] | None,
    settings: Mapping[str, Any] | None = None,
    *,
    weights: str | os.PathLike[str] | None = None,
    runs: str | os.PathLike[str] = "runs",
    name: str | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> RetrainRun:
    """Trains a network and keeps its best and its last weights.

    `nas retrain` leaves the same folder with pictures in it: curves.png, curves.html, confusion.png, and those of
    evaluation-1. Where threads, workers and device are not given, the command takes those of the machine, this call
    the defaults of `training.retrain.retrain_config.RetrainConfig`.

    Args:
        architecture: what to train, or what names it: a published name, or the path of an arch.json, of a trained
            network (whose weights it starts from unless `init` says otherwise) or of the run of one; None only where a
            run is resumed.
        settings: those of `RetrainConfig` that differ from what follows from the architecture;
            `recipe` names a recipe or its file, dotted names such as `optimizer.lr` change a value in it.
        weights: that come with the architecture, to start from unless `init` says otherwise; None for those that its
            path brings along, if any.
        runs: folder of all runs.
        name: of the run; by default the first free `retrain-<number>`.
        resume: go on with the run of this name, or the newest; where there is none yet, it starts.
        progress: where to report.

    Returns:
        The finished run, of which `networks.load(run.folder)` gives the best network. One that was finished before is
        only read, or judged where that is missing.

    Raises:
        ValueError: a mistake in the settings, the data or the weights, or a training that came apart.
        Interrupted: after Ctrl-C, SIGTERM or SIGHUP; the run is saved and can be resumed.
        OSError: the disk is full or the folder cannot be written; the last checkpoint is intact.
    """
    progress, given = progress or Silent(), dict(settings or {})
    found = runs_module.resume(Path(runs), name, RetrainRun.made_by, comparable(given)) if resume else None
    if found is None:
        if architecture is None:
            raise ValueError("no architecture given; name one, such as runs/search-1 or a0")
        buildable, weights = named(architecture, weights)
        resolved = resolve(buildable, given, weights)
        survey(resolved.config.data, resolved.config.videos, resolved.config.group)
        for line in resolved.remarks:
            progress.line(line)
        if resolved.config.init is not None:
            initial.check(resolved.config.init, resolved.members)
        if resolved.config.teacher is not None:
            networks.load(resolved.config.teacher)
        for member in resolved.members:
            check(member, resolved.config.recipe, resolved.config.device)
        progress.line(runs_module.check_disk(Path(runs), resolved.checkpoint_bytes))
        files = {ARCHITECTURE: buildable.to_json()}
        folder = runs_module.create(Path(runs), name, RetrainRun.made_by, resolved.config.to_dict(), files)
    else:
        folder = found
        buildable, resolved = load_spec(folder.path / ARCHITECTURE), restored(folder)
    with folder:
        if folder.finished:
            progress.line(f"{folder.path} is finished")
            judge_retraining(folder.path, progress, folder.moved)
            return RetrainRun.open(folder.path)
        if found is not None:
            held = sum(file.stat().st_size for file in folder.path.rglob(f"{CHECKPOINTS}/*/*.safetensors"))
            progress.line(runs_module.check_disk(folder.path, resolved.checkpoint_bytes, held))
            survey(resolved.config.data, resolved.config.videos, resolved.config.group)
        try:
            with folder.starting():
                _Run(resolved.config, folder, buildable, progress).run()
            judge_retraining(folder.path, progress)
        except Interrupted:
            raise
        except KeyboardInterrupt as stop:
            message = f"stopped; go on with: {go_on('retrain', folder.path)}"
            raise Interrupted(exit_code(stop), message) from None
        return RetrainRun.open(folder.path)


def named(
    architecture: NetworkSpec | str | os.PathLike[str], weights: str | os.PathLike[str] | None = None
) -> tuple[NetworkSpec, str | os.PathLike[str] | None]:
    """The architecture that is meant, and the weights that come with it; raises `ValueError` where there is none."""
    if isinstance(architecture, str | os.PathLike):
        found = accept("retrain", architecture)
        return found.architecture(), weights if weights is not None else found.weights
    return architecture, weights


def write_confusion(folder: Path, classes: Sequence[str], counts: npt.NDArray[np.int64]) -> None:
    """confusion.csv: a row for each true class, a column for each answer, in counts."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(classes)
    writer.writerows(counts.tolist())
    write_atomically(folder / CONFUSION, text.getvalue())


class _Run:
    """One run, from wherever its folder stands to its end."""

    def __init__(self, config: RetrainConfig, folder: RunFolder, buildable: NetworkSpec, progress: Progress) -> None:
        self.config, self.folder = config, folder
        torch.set_num_threads(self.config.threads)
        self.progress: Progress = Logged(progress, folder.path / "log.txt")
        self.clip = Clip.parse(self.config.clip)
        self.source = self._open()
        classes = len(self.source.classes)
        members, self.ensemble = networks_of(buildable, self.config, classes)
        self.members = [self._described(member) for member in members]
        self.teacher = self._teacher()

    def run(self) -> None:
        """Trains every member, and scores what they are together."""
        config, folder = self.config, self.folder
        with Interrupt() as interrupt:
            probes = self._probes(interrupt)
            summaries, tested = [], None
            for i, architecture in enumerate(self.members):
                alone = self.ensemble is None
                path = folder.path if alone else folder.path / "members" / str(i)
                path.mkdir(parents=True, exist_ok=True)
                kept = path / "member.json"
                if not alone and kept.exists():
                    summaries.append(runs_module.read_json(kept, MEMBER))
                    continue
                if not alone:
                    self.progress.line(f"member {i + 1} of {len(self.members)}: clips of {architecture.clip}")
                task = RetrainTask(
                    config,
                    path,
                    go_on("retrain", folder.path),
                    architecture,
                    self.source if alone else self.source.at(architecture.clip),
                    seed=config.seed if alone else derived(config.seed, "member", i),
                    member=i,
                    members=len(self.members),
                    teacher=self.teacher,
                    progress=self.progress,
                    interrupt=interrupt,
                )
                loop.run(task, interrupt, config.workers)
                summaries.append(task.finish())
                tested = task.tested
                if not alone:
                    folder.write_json(str(kept.relative_to(folder.path)), summaries[-1])
            together = self._together(interrupt) if self.ensemble is not None else None
            final = together or tested
            assert final is not None
            write_confusion(folder.path, self.source.classes, final.confusion())
            summary = self._summary(summaries, together)
            folder.write_json(runs_module.SUMMARY, summary | ({"probes": probes} if probes else {}))

    def _probes(self, interrupt: Interrupt) -> list[dict[str, Any]]:
        """What linear classifiers make of real videos: on the weights, or without any on what needs no network.

        Weights that a search shares are for its space, and are not judged by themselves.
        """
        config = self.config
        known = self.folder.path / PROBES_FILE
        if known.exists():
            return list(runs_module.read_json(known, PROBES)["probes"])
        if config.data is None:
            return []
        count = sum(self.source.source.parts.values())
        if count > MOST_PROBED:
            self.progress.line(f"not probed, because there are {count:,} videos; nas probe does it")
            return []

        def told(what: str, done: int, total: int) -> None:
            if interrupt.exit_code:
                raise Interrupted(
                    interrupt.exit_code,
                    f"stopped before the training began; go on with: {go_on('retrain', self.folder.path)}",
                )
            self.progress.phase(what, done, total)

        weights = None if config.init is None or isinstance(find_run(config.init), SearchRun) else config.init
        trained = None if weights is None else networks.load(weights)
        cache = scan_file(config.data, config.videos, otherwise=self.folder.path / "scan.json")
        found = recorded(probe_selection(trained, self.source, cache, told, plain=trained is None))
        self.folder.write_json(PROBES_FILE, {"probes": found})
        for line in probed(found, weights):
            self.progress.line(line)
        return found

    def _open(self) -> Selection:
        """The data; refuses one that has changed since the run began."""
        config, recipe = self.config, self.config.recipe
        epochs, clips = recipe.schedule.epochs, recipe.schedule.epoch_clips
        source = open_source(
            config.data,
            self.clip,
            seed=config.seed,
            group=config.group,
            videos=config.videos,
            workers=config.workers,
            folder=self.folder.path,
            progress=self.progress,
            sizes={"weights": max(1, round(epochs * clips))},
        )
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            source = source.augmented(recipe.augmentation)
        for warning in told:
            self.progress.line(str(warning.message))
        selection = select(source, recipe.evaluation.clips, None if config.fold is None else Fold.parse(config.fold))
        keep_description(self.folder, selection, self.progress)
        sizes = ", ".join(f"{count:,} {part}" for part, count in selection.parts.items())
        self.progress.line(f"clips of {self.clip}, {len(selection.classes)} classes: {sizes}")
        if config.data is not None:
            for line in expected(selection):
                self.progress.line(line)
        return selection

    def _described(self, architecture: NetworkSpec) -> NetworkSpec:
        """With where it comes from now, and where its layers came from."""
        provenance = {**architecture.provenance, **self._origin()}
        return architecture.from_origin(provenance)

    def _origin(self) -> dict[str, Any]:
        config = self.config
        return {
            "data": config.data or "motion",
            "videos": config.videos,
            "group": config.group,
            "recipe": config.recipe_name,
            "init": config.init,
            "teacher": config.teacher,
            "retrained": self.folder.path.name,
            "retraining_seed": config.seed,
        }

    def _teacher(self) -> Network | None:
        if self.config.teacher is None:
            return None
        trained = networks.load(self.config.teacher)
        named = not all(name.isdigit() for name in trained.classes)
        if named and trained.classes != self.source.classes:
            raise ValueError(
                f"teacher {self.config.teacher} knows other classes ({', '.join(trained.classes[:3])}, ...) than the "
                f"data ({', '.join(self.source.classes[:3])}, ...); give one that was trained on these"
            )
        return trained.network

    def _together(self, interrupt: Interrupt) -> Scores:
        """The ensemble of the best members, scored at its own frame rate and kept as the run's network."""
        assert self.ensemble is not None
        path = self.folder.path
        trained = [networks.load(path / "members" / str(i) / CHECKPOINTS / BEST) for i in range(len(self.members))]
        members = [
            dataclasses.replace(member, architecture=one.network.architecture)
            for member, one in zip(self.ensemble.members, trained, strict=True)
            if isinstance(one.network.architecture, NetworkSpec)
        ]
        ensemble = Ensemble(self.ensemble.name, self.ensemble.clip, tuple(members), self._origin())
        network = TemporalEnsemble(ensemble)
        for module, one in zip(network.networks(), trained, strict=True):
            module.load_state_dict(one.network.state_dict())
        network.eval().to(self.config.device)

        def told(done: int, total: int) -> None:
            if interrupt.exit_code:
                raise Interrupted(
                    interrupt.exit_code,
                    "stopped while the ensemble was scored, its members are trained; go on with: "
                    f"{go_on('retrain', path)}",
                )
            self.progress.phase("scoring the ensemble on the test clips", done, total)

        score = evaluate(
            for_inference(network).logits,
            self.source,
            TEST,
            views=self.config.views,
            batch=EVALUATION_BATCH,
            device=self.config.device,
            told=told,
        )
        for which in (BEST, LAST):
            networks.save_trained(
                path / CHECKPOINTS / which,
                network,
                classes=self.source.classes,
                recipe=self.config.recipe.to_dict(),
                data=self.source.describe(),
                metrics=score.stored_metrics(),
                step=max(one.step for one in trained),
            )
        return score

    def _summary(self, summaries: list[dict[str, Any]], together: Scores | None) -> dict[str, Any]:
        final = together.stored_metrics() if together is not None else summaries[0][BEST]
        classes = len(self.source.classes)
        return {
            "accuracy": final["accuracy"],
            "loss": final.get("loss"),
            "clips": final["clips"],
            "classes": classes,
            "times_chance": final["accuracy"] * classes,
            "clip": str(self.clip),
            "members": summaries,
            "seconds": sum(summary["seconds"] for summary in summaries),
        }
