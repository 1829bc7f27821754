"""The folders of evaluations that a run holds, `evaluation-1` and so on, read without torch.

videos-PROTOCOL.csv, .parquet   a row for every video
classes-PROTOCOL.csv            a row for every class
evaluation.json                 what was asked, by whom, and the table of protocols; an evaluation that was stopped
                                has none
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from training.run.formats import PROTOCOLS
from training.run.run_folder import read_json

RECORD = "evaluation.json"
BY_EVALUATION, BY_RETRAINING = "evaluate", "retrain"
"""Whose evaluation it is, in the record."""

_NUMBERED = re.compile(r"evaluation-([1-9]\d{0,8})")


def of_retraining(run: Path) -> Path | None:
    """The folder of a retraining's own evaluation; None where there is none, whatever other evaluations are there."""
    records = ((folder, read_json(folder / RECORD, {"by?": str})) for folder in evaluations(run))
    return next((folder for folder, record in records if record.get("by") == BY_RETRAINING), None)


def protocols_of(folder: Path | None) -> list[dict[str, Any]]:
    """The table of protocols of an evaluation; empty for None."""
    return [] if folder is None else list(read_json(folder / RECORD, PROTOCOLS)["protocols"])


def evaluations(run: Path) -> list[Path]:
    """Folders of the finished evaluations in a run, in the order in which they were begun.

    The order is that of their numbers: times of change are other ones in a copy.
    """
    numbers = {}
    for folder in run.glob("evaluation-*"):
        match = _NUMBERED.fullmatch(folder.name)
        if match is not None and (folder / RECORD).is_file():
            numbers[folder] = int(match[1])
    return sorted(numbers, key=lambda folder: numbers[folder])


def home(checkpoint: Path) -> Path:
    """The run that a trained network is in, or else the folder that it lies in."""
    return checkpoint.parent.parent if checkpoint.parent.name == "checkpoints" else checkpoint.parent
