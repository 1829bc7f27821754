"""A search over coefficients of seconds, and a stand-in for its trainings."""

import hashlib
import json
import math
from pathlib import Path

from scaling.config import ScaleConfig
from scaling.scale import open_base
from scaling.work import Work
from tests.training.small import SPACE
from training.progress import Silent


def settings(folder: Path, **changes):
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


def open_work(folder: Path, **changes) -> Work:
    """The work of a run in a folder, begun or gone on with."""
    config = ScaleConfig.resolve(**settings(folder, **changes))
    return Work(config, open_base(config, folder), folder, Silent())


def pretend(job) -> dict:
    """A result that is a function of the job alone: better with resolution, a little luck, and failures of no one."""
    luck = int(hashlib.sha256(job.key.encode()).hexdigest()[:8], 16) / 2**32
    accuracy = 0.3 + 0.1 * math.log10(job.clips) + 0.2 * luck + 0.001 * int(job.clip.split("x")[1])
    return {"accuracy": accuracy, "loss": 2 - accuracy, "held_out": 64, "seconds": 0.0}


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]
