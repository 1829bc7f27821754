"""A command leaves the same folder as the call from Python: pictures aside, the same files with the same content."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from scaling import trial
from scaling.scale_family import scale
from tests.experiments.conftest import Nas
from tests.scaling.small_family import settings as scale_settings
from tests.training.networks_of_seconds import architecture
from tests.training.small import settings as search_settings
from tests.training.test_questions import folder as videos
from training.retrain.run_retrain import retrain
from training.search.run_search import search
from video import motion

CLOCK = ("data_ms", "step_ms", "seconds")
PROCESS = ("process", "machine")
PICTURES = (".png", ".html")


def left(run: Path) -> dict[str, Any]:
    """What there is in a run's folder by name, without times, processes, pictures and TensorBoard's own files."""
    found = {}
    for path in sorted(run.rglob("*")):
        name = str(path.relative_to(run))
        if path.is_file() and path.suffix not in PICTURES and not name.startswith("tensorboard") and name != "lock":
            found[name] = _content(path, str(run))
    return found


def _content(path: Path, run: str) -> Any:
    """The content of a file, the run's own place in it as RUN."""
    if path.suffix == ".safetensors":
        with safe_open(path, "numpy") as file:
            return {key: file.get_tensor(key).tobytes() for key in file.keys()}, _timeless(file.metadata() or {}, run)  # noqa: SIM118
    if path.suffix == ".parquet":
        return None  # the same table as in the CSV beside it
    text = path.read_text()
    if path.name == "log.txt":
        return [line[len("2026-01-01 00:00:00 ") :].replace(run, "RUN") for line in text.splitlines()]
    if path.suffix == ".csv":
        return [_timeless(row, run) for row in csv.DictReader(text.splitlines())]
    if path.suffix == ".jsonl":
        return [_timeless(json.loads(line), run) for line in text.splitlines()]
    return _timeless(json.loads(text), run) if path.suffix == ".json" else text.replace(run, "RUN")


def _timeless(value: Any, run: str) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(one, run) for key, one in value.items() if key not in (*CLOCK, *PROCESS)}
    if isinstance(value, list):
        return [_timeless(one, run) for one in value]
    return value.replace(run, "RUN") if isinstance(value, str) else value


def assert_same(python: Path, command: Path, pictures: set[str]) -> None:
    ours, theirs = left(python), left(command)
    assert ours.keys() == theirs.keys()
    for name in ours:
        assert ours[name] == theirs[name], name
    assert not [path for path in python.rglob("*") if path.suffix in PICTURES]
    assert {str(path.relative_to(command)) for path in command.rglob("*") if path.suffix in PICTURES} == pictures


def test_a_search(nas: Nas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("rescoring", "val"):
        monkeypatch.setitem(motion.DEFAULT_SIZES, part, 64)
    given = search_settings(tmp_path, steps=4)
    python = search(given, runs=tmp_path / "python", name="a").folder
    words = ["--space", given["space"], "--clip", given["clip"], "--search-resolution", 16, "--budget", "2M"]
    words += ["--steps", 4, "--set", "micro_batch=8", "--set", "look_clips=16", "--set", "checkpoint_every=4"]
    words += ["--threads", 1, "--device", "cpu", "--runs", tmp_path / "command", "--name", "a"]
    answer = nas("search", *words)
    assert answer.code == 0, answer.err
    assert_same(python, tmp_path / "command" / "a", {"pareto.png", "pareto.html", "policy.png"})


RETRAINED = {"curves.png", "curves.html", "confusion.png"}
JUDGED = {"evaluation-1/confusion.png", "evaluation-1/mistakes.png"}


@pytest.mark.parametrize(
    ("data", "pictures"),
    [(lambda _: None, RETRAINED), (videos, RETRAINED | JUDGED)],
    ids=["motion", "videos"],
)
def test_a_retraining(
    nas: Nas,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    data: Callable[[Path], Path | None],
    pictures: set[str],
) -> None:
    monkeypatch.setitem(motion.DEFAULT_SIZES, "val", 64)
    monkeypatch.chdir(tmp_path)
    place = data(tmp_path / "data")
    architecture().save("arch.json")
    given = {"clip": "4x16x16", "recipe": "demo", "schedule.epochs": 1, "optimizer.batch": 4, "threads": 1}
    given |= {"schedule.epoch_clips": 32, **({} if place is None else {"data": str(place)})}
    python = retrain(architecture(), given, runs=tmp_path / "python", name="a").folder
    words = ["--clip", "4x16x16", "--recipe", "demo", "--epochs", 1, "--batch", 4, "--threads", 1, "--device", "cpu"]
    words += ["--set", "schedule.epoch_clips=32", *(() if place is None else ("--data", place, "--workers", 0))]
    answer = nas("retrain", "arch.json", *words, "--runs", tmp_path / "command", "--name", "a")
    assert answer.code == 0, answer.err
    command = tmp_path / "command" / "a"
    assert_same(python, command, pictures)
    assert (command / "evaluation-1").is_dir() == (place is not None)


def test_a_family(nas: Nas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "HELD_OUT", 16)
    given = scale_settings(tmp_path, trials=2, members="A1:A2", picture_clips=8)
    python = scale(given, runs=tmp_path / "python", name="a").folder
    words = [given["base"]]
    for name in ("trials", "members", "budget", "clip", "search_resolution", "clips", "first_clips", "reduction"):
        words += [f"--{name.replace('_', '-')}", given[name]]
    words += ["--picture-clips", 8, "--batch", 8, "--workers", 1, "--runs", tmp_path / "command", "--name", "a"]
    answer = nas("scale", *words)
    assert answer.code == 0, answer.err
    assert_same(python, tmp_path / "command" / "a", {"family.png"})
