"""Which command takes which kind of thing, by the one word that the user gives for it (`searchspace.targets`)."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from searchspace import targets
from searchspace.targets import ExportedFile, RunPlace, Target, TrainedFolder, WeightsFile
from training.run.reader import FamilyRun, FamilyTrainingRun, RetrainRun, open_run
from training.run.search_run import SearchRun


@dataclasses.dataclass(frozen=True)
class Takes:
    """What a command takes.

    Attributes:
        kinds: of targets; None for all, of which those that stand for no architecture say so when they are asked for
            it.
        names: whether published names mean networks; otherwise words are paths, and names of runs.
        remedy: said of others, behind the word; empty where they are refused for want of trained weights.
    """

    kinds: tuple[type, ...] | None = None
    names: bool = True
    remedy: str = ""


_WEIGHTS = Takes((TrainedFolder, WeightsFile, ExportedFile, RetrainRun), names=False)

TAKES = {
    "cost": Takes(),
    "evaluate": _WEIGHTS,
    "import": Takes(),
    "plot": Takes((SearchRun,), remedy=": nas plot draws runs of nas search (nas show --png draws networks)"),
    "predict": _WEIGHTS,
    "probe": _WEIGHTS,
    "report": Takes((TrainedFolder, RetrainRun, FamilyRun, FamilyTrainingRun), names=False),
    "retrain": Takes(),
    "scale": Takes(),
    "show": Takes(),
}
"""What commands of `nas` take, and the calls below them."""


def accept(command: str, word: str | os.PathLike[str], runs: Path | None = None, others: Sequence[str] = ()) -> Target:
    """What a word means to a command, runs opened as their kind.

    Args:
        command: a key of `TAKES`.
        word, runs, others: as of `searchspace.targets.resolve`.

    Raises:
        ValueError: nothing of that name, or something that the command does not take; says what to give, or to do.
    """
    takes = TAKES[command]
    found = targets.resolve(word, runs, others) if takes.names else targets.at(word, runs)
    if isinstance(found, RunPlace):
        found = open_run(found)
    if takes.kinds is not None and not isinstance(found, takes.kinds):
        raise ValueError(f"{found}{takes.remedy or f' holds no trained weights; {found.instead()}'}")
    return found
