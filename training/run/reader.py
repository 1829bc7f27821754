"""Reads the folder of a run, finished or not, without changing it: which kind it is, and what that kind holds.

search      `SearchRun`           the ledger, the front, the policy, the winner
retrain     `RetrainRun`          a trained network and its evaluations
folds       `FoldsRun`            a retraining for each fold
scale       `FamilyRun`           the members of a family, which `scaling.family` reads
retrained   `FamilyTrainingRun`   a retraining for each member and seed, which `scaling.retraining` reads

The words on the left are those of config.json. Files are read when they are asked for, and held against
`training.run.formats`; no torch is needed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeAlias

from searchspace.commands import go_on
from searchspace.schema import show
from searchspace.stored import SHARE, read_table
from searchspace.targets import COEFFICIENTS, CONFIG, FAMILY, FAMILY_TRAINING, FOLDS, RETRAIN, RunPlace, at
from training.run.base_run import Run
from training.run.evaluation_folders import of_retraining, protocols_of
from training.run.formats import COMMAND, CROSS_VALIDATION, RETRAIN_CONFIG, RETRAIN_SUMMARY, STEP
from training.run.run_folder import SUMMARY, read_json
from training.run.search_run import SearchRun


class RetrainRun(Run):
    """A run of `nas retrain`; it stands for the network that it trained, or that it trains."""

    made_by = nas = RETRAIN
    config_pattern = RETRAIN_CONFIG
    summary_pattern = RETRAIN_SUMMARY

    @property
    def accuracy(self) -> float:
        """Of the best network on the test clips, in [0, 1]; raises `ValueError` while the run is not finished."""
        if not self.finished:
            raise self.unfinished()
        return float(read_json(self.folder / SUMMARY, {"accuracy": SHARE})["accuracy"])

    @property
    def protocols(self) -> list[dict[str, Any]]:
        """What the best network was judged by on real videos; empty for the built-in data."""
        return protocols_of(of_retraining(self.folder))

    @property
    def final_loss(self) -> float | None:
        """Mean training loss over the last tenth of its steps, in nats; None where it is not recorded."""
        losses = [row["loss"] for row in read_table(self.folder / "metrics.csv", STEP) if row["loss"] is not None]
        last = losses[-max(1, len(losses) // 10) :]
        return sum(last) / len(last) if last else None


class FoldsRun(Run):
    """A run of `nas retrain --folds`; it stands for the network that each fold trains."""

    made_by, nas = FOLDS, RETRAIN
    summary_pattern = CROSS_VALIDATION

    @property
    def accuracy(self) -> float:
        """Mean over the seeds of the share of all videos that are right, in [0, 1]; raises `ValueError` before."""
        return float(self.summary["accuracy"])

    @property
    def runs(self) -> list[RetrainRun]:
        """The trainings of a finished one, in order of seed and fold; raises `ValueError` before the end."""
        return [RetrainRun.open(self.folder / row["run"]) for row in self.summary["trainings"]]


class FamilyRun(Run):
    """A run of `nas scale`; it stands for no single network."""

    made_by = nas = FAMILY

    @property
    def finished(self) -> bool:
        """Whether the family is whole."""
        return (self.folder / COEFFICIENTS).is_file()


class FamilyTrainingRun(Run):
    """A run of `nas retrain` of a family, in the folder of that; it stands for no single network."""

    made_by, nas = FAMILY_TRAINING, RETRAIN

    def resume(self) -> str:
        """The command that goes on with it, which names the family."""
        return go_on(self.nas, self.folder, self.folder.parent)


AnyRun: TypeAlias = SearchRun | RetrainRun | FoldsRun | FamilyRun | FamilyTrainingRun

_KINDS: dict[str, type[AnyRun]] = {
    kind.made_by: kind for kind in (SearchRun, RetrainRun, FoldsRun, FamilyRun, FamilyTrainingRun)
}


def open_run(place: RunPlace) -> AnyRun:
    """Opens a run as the kind that its config.json says.

    Raises:
        ValueError: its config.json is damaged, or says a command that this version does not know.
    """
    kind = _KINDS.get(place.command or "")
    if kind is None:
        command = read_json(place.folder / CONFIG, COMMAND).get("command")
        raise ValueError(
            f"{place.folder / CONFIG}: command is {show(command)}; allowed: {', '.join(_KINDS)}; restore the file from "
            "a copy, or give another run"
        )
    return kind(place.folder, place.command)


def find_run(path: str | os.PathLike[str]) -> AnyRun | None:
    """The run that a path is; None where there is none, or one that says nothing of its kind."""
    found = at(path) if Path(path).is_dir() else None
    return open_run(found) if isinstance(found, RunPlace) and found.command in _KINDS else None
