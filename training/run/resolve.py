"""What a word of a user means, with runs opened, and which command takes which of these."""

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
        remedy: with which others are refused; empty where they are refused for want of trained weights.
    """

    kinds: tuple[type, ...] | None = None
    names: bool = True
    remedy: str = ""


_WEIGHTS = Takes((TrainedFolder, WeightsFile, ExportedFile, RetrainRun), names=False)

TAKES = {
    "cost": Takes(),
    "evaluate": _WEIGHTS,
    "import": Takes(),
    "plot": Takes((SearchRun,), remedy="nas plot draws runs of nas search (nas show --png draws networks)"),
    "predict": _WEIGHTS,
    "probe": _WEIGHTS,
    "report": Takes((TrainedFolder, RetrainRun, FamilyRun, FamilyTrainingRun), names=False),
    "retrain": Takes(),
    "scale": Takes(),
    "show": Takes(),
}
"""What commands of `nas` take, and the calls below them."""


def resolve(word: str | os.PathLike[str], runs: Path | None = None) -> Target:
    """What a word means: a published name, then what lies at a path, then a run by its name, opened as its kind.

    Args:
        word: as of `searchspace.targets.resolve`.
        runs: a folder of runs, in which a run is found by its name; None for none.

    Raises:
        ValueError: nothing of that name, or a run of which nothing can be read.
    """
    return _opened(targets.resolve(word, runs))


def accept(command: str, word: str | os.PathLike[str], runs: Path | None = None, others: Sequence[str] = ()) -> Target:
    """What a word means to a command.

    Args:
        command: a key of `TAKES`.
        word, runs, others: as of `searchspace.targets.resolve`.

    Raises:
        ValueError: nothing of that name, or something that the command does not take; says what to give, or to do.
    """
    takes = TAKES[command]
    found = _opened(targets.resolve(word, runs, others) if takes.names else targets.at(word, runs))
    if takes.kinds is not None and not isinstance(found, takes.kinds):
        if takes.remedy:
            raise ValueError(f"{found} {found.what}; {takes.remedy}")
        raise ValueError(f"{found} holds no trained weights; {found.instead()}")
    return found


def _opened(found: Target) -> Target:
    return open_run(found) if isinstance(found, RunPlace) else found
