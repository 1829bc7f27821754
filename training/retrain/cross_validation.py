"""Cross-validation: a training for each fold of a data set, so that each video tests networks that never saw it.

fold-1-seed-0/ ...   a retraining each (`training.retrain.run_retrain`)
arch.json            what is trained
config.json          folds, seeds, and the settings of all trainings
summary.json         right answers of each and of all, with intervals; what a linear classifier has on the same folds
confusion.csv        answers of all trainings
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from controller.front import wilson
from searchspace import NetworkSpec, load_spec
from searchspace.commands import go_on
from searchspace.naming import absolute
from searchspace.stored import read_counts
from searchspace.trained_folder import ARCHITECTURE
from training import run as runs_module
from training.data_parts import Fold
from training.folds import FOLDS
from training.machine.interrupt import Interrupted
from training.open_data import survey
from training.progress import Progress, Silent
from training.retrain.retrain_config import comparable, resolve
from training.retrain.run_retrain import CONFUSION, named, retrain, write_confusion
from training.run import FoldsRun, RetrainRun, RunFolder

OWN = ("folds", "seeds")


def cross_validate(
    architecture: NetworkSpec | str | os.PathLike[str] | None,
    settings: Mapping[str, Any] | None = None,
    *,
    weights: str | os.PathLike[str] | None = None,
    folds: int | None = None,
    seeds: int | None = None,
    runs: str | os.PathLike[str] = "runs",
    name: str | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> FoldsRun:
    """Trains a network for each fold, and counts what they answer on the videos that they did not see.

    Args:
        architecture, weights: as of `retrain`.
        settings: as of `retrain`; `data` is a folder without a validation side.
        folds: how many, 2 or more; by default 5.
        seeds: trainings of each fold; by default 1.
        runs: folder of all runs.
        name: of the folder made there; by default the first free `folds-<number>`.
        resume: go on with the one of this name, or the newest; where there is none yet, it starts.
        progress: where to report.

    Raises:
        ValueError: as `retrain`, or data that cannot be cut into such folds.
        Interrupted: what is finished is kept, and can be gone on with.
        OSError: the disk is full or the folder cannot be written.
    """
    progress, given = progress or Silent(), dict(settings or {})
    if "fold" in given:
        raise ValueError("a single fold was given among the settings of a cross-validation, which trains all; leave it")
    own = {key: value for key, value in zip(OWN, (folds, seeds), strict=True) if value is not None}
    asked = comparable(given)
    found = runs_module.resume(Path(runs), name, FoldsRun.made_by, {**asked, **own}) if resume else None
    if found is None:
        if architecture is None:
            raise ValueError("no architecture given; name one, such as runs/search-1 or a0")
        buildable, weights = named(architecture, weights)
        if weights is not None:
            given.setdefault("init", absolute(weights))
        count, trainings = own.get("folds", FOLDS), own.get("seeds", 1)
        Fold.parse(f"1/{count}")
        if trainings < 1:
            raise ValueError(f"seeds is {trainings}; allowed: 1 or more trainings of each fold")
        config = resolve(buildable, {**given, "fold": f"1/{count}"}, weights).config
        if config.data is None:
            raise ValueError("folds are for videos: give a folder of them with --data")
        survey(config.data, config.videos, config.group, count)
        stored = {**comparable(given), "folds": count, "seeds": trainings}
        folder = runs_module.create(Path(runs), name, FoldsRun.made_by, stored, {ARCHITECTURE: buildable.to_json()})
    else:
        folder, buildable = found, load_spec(found.path / ARCHITECTURE)
    with folder:
        if not folder.finished:
            with folder.starting():
                _run(folder, buildable, progress)
        return FoldsRun.open(folder.path)


def _run(folder: RunFolder, buildable: NetworkSpec, progress: Progress) -> None:
    settings = {key: value for key, value in folder.config.items() if key not in (*OWN, "command")}
    if "recipe_name" in settings:
        settings["recipe"] = settings.pop("recipe_name")
    first, count, seeds = settings.pop("seed", 0), folder.config["folds"], folder.config["seeds"]
    rows: list[tuple[int, int, RetrainRun]] = []
    for seed in range(first, first + seeds):
        for number in range(1, count + 1):
            progress.line(f"fold {number} of {count}" + (f", seed {seed}" if seeds > 1 else ""))
            own = {**settings, "fold": str(Fold(number, count)), "seed": seed}
            name = f"fold-{number}-seed-{seed}"
            try:
                result = retrain(buildable, own, runs=folder.path, name=name, resume=True, progress=progress)
            except Interrupted as stop:
                again = go_on("retrain", folder.path)
                raise Interrupted(stop.exit_code, f"stopped in fold {number} of {count}; go on with: {again}") from None
            rows.append((seed, number, result))
            if result.config["data"] == folder.config["data"]:
                folder.keep_moved()  # that training compared what lies there
    read = [read_counts(result.folder / CONFUSION) for _, _, result in rows]
    write_confusion(folder.path, read[0][0], np.sum([np.asarray(counts) for _, counts in read], axis=0))
    folder.write_json(runs_module.SUMMARY, _summary(rows, count, seeds))


def _summary(rows: list[tuple[int, int, RetrainRun]], folds: int, seeds: int) -> dict[str, Any]:
    trainings: list[dict[str, Any]] = []
    protocols: dict[str, list[tuple[int, int, int]]] = {}
    for seed, number, result in rows:
        clips = result.summary["clips"]
        correct = round(result.accuracy * clips)
        trainings.append({"seed": seed, "fold": number, "run": result.folder.name, "correct": correct, "clips": clips})
        for one in result.protocols:
            right = round(one["accuracy"] * one["videos"])
            protocols.setdefault(one["protocol"], []).append((seed, right, one["videos"]))
    clips = sum(row["clips"] for row in trainings) // seeds
    by_seed = [sum(row["correct"] for row in trainings if row["seed"] == s) for s in sorted({s for s, _, _ in rows})]
    accuracy = float(np.mean(by_seed)) / clips
    low, high = wilson(accuracy, clips)
    return {
        "accuracy": accuracy,
        "low": float(low),
        "high": float(high),
        "clips": clips,
        "folds": folds,
        "seeds": seeds,
        "correct": by_seed,
        "trainings": trainings,
        "protocols": {
            name: {
                "correct": sum(right for _, right, _ in found) / seeds,
                "videos": sum(videos for _, _, videos in found) // seeds,
            }
            for name, found in protocols.items()
            if len(found) == len(rows)
        },
        "probes": _pooled([result.summary.get("probes") or [] for _, _, result in rows], folds),
        "seconds": sum(result.summary["seconds"] for _, _, result in rows),
    }


def _pooled(probes: list[list[dict[str, Any]]], folds: int) -> list[dict[str, Any]]:
    """What linear classifiers have on the test videos of all folds; the same for every seed."""
    pooled = []
    for kind in zip(*probes[:folds], strict=True):
        tested = {key: sum(one["tested"][key] for one in kind) for key in ("correct", "clips")}
        pooled.append({**kind[0], "tested": tested})
    return pooled
