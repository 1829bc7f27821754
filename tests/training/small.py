"""A search of seconds, and what it means for two runs to be equal."""

import csv
import json
from pathlib import Path

from safetensors.numpy import load_file

from training.search.run_search import WALL_CLOCK
from training.steps import checkpoint

SPACE = """
name: small
clip: 4x32x32@5
classes: 18
stem: {width: 8, kernel: 1x3x3}
choices:
  multipliers: [0.75, 1, 1.5]
  depth: [1, 2, 3]
  kernel: [1x3x3, 3x3x3, 5x1x1]
  expansion: [1, 2, 3]
  se: [false, true]
blocks:
  - {width: 16, stride: 2}
  - {width: 24, stride: 2}
head: {width: 32, multipliers: [0.5, 1], hidden: 32}
"""


def settings(folder: Path, **changes):
    """Settings of a search of the small space, at 4x16x16, one thread."""
    path = folder / "small.yaml"
    if not path.exists():
        path.write_text(SPACE)
    return {
        "space": str(path),
        "clip": "4x32x32@5",
        "search_resolution": 16,
        "budgets": ["2M"],
        "steps": 12,
        "micro_batch": 8,
        "look_clips": 16,
        "checkpoint_every": 4,
        "threads": 1,
        **changes,
    }


def without_clock(name: str, text: str):
    """A file's content with the wall-clock fields taken out."""
    if name.endswith(".csv"):
        rows = list(csv.DictReader(text.splitlines()))
        return [{key: value for key, value in row.items() if key not in WALL_CLOCK} for row in rows]
    if name.endswith(".json"):
        return {key: value for key, value in json.loads(text).items() if key not in WALL_CLOCK}
    return text


def assert_equal_runs(one: Path, two: Path) -> None:
    """Same ledgers, results and winner, and bit-identical weights; wall-clock fields aside."""
    for name in ("ledger.jsonl", "metrics.csv", "policy.jsonl", "scores.jsonl", "pareto.csv", "summary.json"):
        ours, theirs = ((run / name).read_text() for run in (one, two))
        assert without_clock(name, ours) == without_clock(name, theirs), name
    assert (one / "best" / "arch.json").read_text() == (two / "best" / "arch.json").read_text()
    assert sorted(p.name for p in (one / "front").iterdir()) == sorted(p.name for p in (two / "front").iterdir())
    names = [checkpoint.names(run / "checkpoints")[-1] for run in (one, two)]
    assert names[0] == names[1]
    for group in ("supernet", "optimizer"):
        ours, theirs = (load_file(run / "checkpoints" / names[0] / f"{group}.safetensors") for run in (one, two))
        assert ours.keys() == theirs.keys()
        for key in ours:
            assert ours[key].tobytes() == theirs[key].tobytes(), key
