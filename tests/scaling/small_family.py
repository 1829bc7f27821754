"""A search over coefficients of seconds, stand-ins for its trainings, and families of seconds."""

import hashlib
import json
import math
import random
from pathlib import Path
from typing import Any

from scaling.scale_config import ScaleConfig
from scaling.scale_family import open_base
from scaling.trial import TrialJob
from scaling.trial_ledger import TrialLedger
from tests.training.small import SPACE
from training.progress import Silent

SHORT = {
    "clip": "4x16x16@5",
    "schedule.epochs": 2,
    "schedule.epoch_clips": 32,
    "optimizer.batch": 8,
    "evaluation.clips": 16,
    "network.recalibrate": 16,
    "threads": 1,
}
"""Settings of a training of a second."""


def settings(folder: Path, **changes: Any) -> dict[str, Any]:
    """Settings of a search in the small space at 4x16x16."""
    path = folder / "small.yaml"
    if not path.exists():
        path.write_text(SPACE)
    return {
        "base": str(path),
        "trials": 5,
        "members": "A1:A3",
        "budget": "2M",
        "clip": "4x32x32@5",
        "search_resolution": 16,
        "clips": 16,
        "first_clips": 8,
        "reduction": 2,
        "batch": 8,
        **changes,
    }


def open_trials(folder: Path, **changes: Any) -> TrialLedger:
    """The trials of a run in a folder, begun or gone on with."""
    config = ScaleConfig.resolve(**settings(folder, **changes))
    return TrialLedger(config, open_base(config, folder), folder, Silent())


def pretend(job: TrialJob) -> dict[str, Any]:
    """A result that is a function of the job alone: better with resolution, a little luck, and failures of no one."""
    luck = int(hashlib.sha256(job.name.encode()).hexdigest()[:8], 16) / 2**32
    accuracy = 0.3 + 0.1 * math.log10(job.clips) + 0.2 * luck + 0.001 * int(job.clip.split("x")[1])
    return {"accuracy": accuracy, "loss": 2 - accuracy, "held_out": 64, "seconds": 0.0}


def play(trials: TrialLedger, order: int | None = None, stop_after: int | None = None) -> bool:
    """Pretends to run jobs, several open at a time and ended in random order; whether it came to the end."""
    draw, told = random.Random(order), 0
    open_jobs: list[TrialJob] = []
    while True:
        while len(open_jobs) < (1 if order is None else 3) and (job := trials.take()) is not None:
            open_jobs.append(job)
        if not open_jobs:
            return True
        job = open_jobs.pop(draw.randrange(len(open_jobs)))
        trials.tell(job, pretend(job))
        told += 1
        if told == stop_after:
            return False


def lines(folder: Path) -> list[dict[str, Any]]:
    """The records of a search's ledger."""
    return [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]
