"""What the files of runs look like, as patterns of `searchspace.stored`: what readers use, not all that is written.

Light, for the command line reads runs without torch.
"""

from __future__ import annotations

from typing import Any

from searchspace.decisions import Decisions
from searchspace.quantities import QUANTITIES
from searchspace.stored import AMOUNT, COUNT, SHARE, Each, Maybe, Some, Whole, Words

COMMAND = {"command?": str}
"""Of any config.json."""

# A search

SEARCH_CONFIG: dict[str, Any] = {
    "budgets": Some(str),
    "clip": str,
    "data?": Maybe(str),
    "search_resolution": Whole(1, 4096),
    "searcher": str,
    "space": str,
    "steps": Whole(1),
    "stream?": bool,
}
LOOK = {"step": COUNT, "architecture": str, "macs": COUNT, "quality": SHARE, "learned": bool, "progress": SHARE}
"""A line of ledger.jsonl."""

MOMENT = {"step": COUNT, "entropy": float, "expected_macs": AMOUNT, "probabilities": Each(Some(SHARE))}
"""A line of policy.jsonl."""


def policy_of(moment: dict[str, Any], decisions: Decisions, where: str) -> dict[str, list[float]]:
    """The vectors of a `MOMENT` by decision, in their order; raises `ValueError` where they do not fit the space."""
    table: dict[str, list[float]] = moment["probabilities"]
    for path, size in zip(decisions.paths, decisions.sizes, strict=True):
        vector = table.get(path, [])
        if len(vector) != size or not sum(vector) > 0:
            raise ValueError(f"{where}: probabilities of {path!r} do not fit the run's space; restore the file")
    return {path: table[path] for path in decisions.paths}


CHUNKS = {"purpose": str, "choices": str, "clips": COUNT, "chunks": [(COUNT, float)]}
"""A line of scores.jsonl."""

POINT = {
    "macs": COUNT,
    "params": COUNT,
    "accuracy": SHARE,
    "low": SHARE,
    "high": SHARE,
    "loss": float,
    "clips": Whole(1),
    "on_front": bool,
    "winner": bool,
    "choices": str,
    "path": str,
}
"""A row of pareto.csv."""

_COUNTED = {"correct": COUNT, "clips": Whole(1)}
PROBED = {"features": str, "how": str, **_COUNTED, "tested": _COUNTED}
PROBES = {"probes": Some(PROBED)}
"""probes.json: what linear classifiers make of the videos before anything is trained; a summary has it, too."""

SEARCH_SUMMARY: dict[str, Any] = {
    "budget": {"texts": Some(str), "quantity": Words(*QUANTITIES), "target": AMOUNT, "clip": str},
    "classes": Whole(1),
    "winner": {
        "cost": COUNT,
        "cost_over_target": AMOUNT,
        "macs": COUNT,
        "params": COUNT,
        "accuracy": SHARE,
        "loss": float,
        "clips": Whole(1),
        "times_chance": AMOUNT,
        "origin": str,
    },
    "argmax": {"cost": COUNT, "cost_over_target": AMOUNT, "decisions_changed_by_repair": COUNT},
    "controls": {
        "policy_minus_uniform_accuracy": {"mean": float, "low": float, "high": float, "pairs": COUNT},
        "steering": {"policy": float, "start": float},
        "uniform_at_budget": {"accuracy": float, "count": COUNT, "beaten_by_winner": COUNT},
    },
    "validation": Maybe({"accuracy": SHARE, "clips": Whole(1)}),
    "probes?": Maybe(Some(PROBED)),
    "seconds": {"training": AMOUNT, "selection": AMOUNT, "front_and_controls": AMOUNT},
}

# A retraining

_SCORED = {"accuracy": SHARE, "clips": Whole(1)}
MEMBER = {"steps": COUNT, "clips": COUNT, "skipped": COUNT, "best": _SCORED, "last": _SCORED, "seconds": AMOUNT}
"""member.json, and each entry of a summary's `members`."""

RETRAIN_SUMMARY: dict[str, Any] = {
    **_SCORED,
    "loss?": Maybe(float),
    "classes": Whole(1),
    "times_chance": AMOUNT,
    "clip": str,
    "members": Some(MEMBER),
    "probes?": Maybe(Some(PROBED)),
    "seconds": AMOUNT,
}
EPOCH = {"step": COUNT, "epoch": AMOUNT, "clips": Whole(1), "correct": COUNT, "loss": Maybe(float), "accuracy": SHARE}
"""A line of scores.jsonl."""

STEP = {"step": COUNT, "epoch": AMOUNT, "loss": Maybe(float), "rate": AMOUNT}
"""A row of metrics.csv."""

CROSS_VALIDATION: dict[str, Any] = {
    "accuracy": SHARE,
    "low": SHARE,
    "high": SHARE,
    "clips": Whole(1),
    "folds": Whole(2),
    "seeds": Whole(1),
    "correct": Some(COUNT),
    "trainings": Some({"seed": COUNT, "fold": Whole(1), "run": str, "correct": COUNT, "clips": Whole(1)}),
    "protocols": Each({"correct": AMOUNT, "videos": Whole(1)}),
    "probes": list,
    "seconds": AMOUNT,
}
"""summary.json of a cross-validation."""

RETRAIN_CONFIG = {
    "data": Maybe(str),
    "device": str,
    "workers": Whole(0, 256),
    "evaluation.views": Whole(1, 100),
    "augmentation.frames?": Maybe(Whole(1)),
}

# An evaluation

_ANSWERED = {"protocol": Words("clip", "multiclip", "stream"), "videos": Whole(1), "accuracy": SHARE}
EVALUATION: dict[str, Any] = {"by?": str, "checkpoint": str, "data?": Maybe(str), "protocols": Some(_ANSWERED)}
"""evaluation.json: who asked about what, and how often each protocol was right."""

PROTOCOLS: dict[str, Any] = {
    "protocols": Some(
        {
            **_ANSWERED,
            "views": Whole(1),
            "low": SHARE,
            "high": SHARE,
            "top5": SHARE,
            "mean_class_accuracy": SHARE,
            "calibration_error": float,
            "errors": COUNT,
            "macs": AMOUNT,
            "memory_bytes": COUNT,
            "seconds": AMOUNT,
        }
    ),
}
"""evaluation.json: the whole table of protocols."""

JUDGED = {
    "video": str,
    "class": Maybe(str),
    "answer": Maybe(str),
    "correct": Maybe(bool),
    "probability": Maybe(SHARE),
    "class_probability": Maybe(SHARE),
}
"""A row of videos-PROTOCOL.csv."""
