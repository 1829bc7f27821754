"""A training for each fold: every video is tested once, what is finished is kept, and one report counts all."""

import csv
import json
import shutil

import numpy as np
import pytest

import networks
from controller.front import wilson
from tests.training.networks_of_seconds import architecture, network
from tests.video.conftest import write
from training.progress import Silent
from training.retrain.cross_validation import cross_validate
from training.retrain.run_retrain import PROBES_FILE
from training.run import FoldsRun

SETTINGS = {
    "clip": "2x16x16@5",
    "recipe": "finetune",
    "schedule.epochs": 1,
    "schedule.least_steps": 2,
    "optimizer.batch": 4,
    "evaluation.views": 1,
    "group": r"^(p\d)",
    "threads": 1,
}


class Crash(Exception):
    pass


class Heard(Silent):
    """Keeps remarks; crashes at one that begins like that."""

    def __init__(self, crash=None):
        self.lines, self.crash = [], crash

    def line(self, text):
        self.lines.append(text)
        if self.crash is not None and text.startswith(self.crash):
            raise Crash


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Bright and dark videos of six people."""
    root = tmp_path_factory.mktemp("people")
    for name, value in (("bright", 200), ("dark", 40)):
        for person in range(6):

            def content(index, height, width, value=value + person):
                return np.full((height, width, 3), value, np.uint8)

            write(root / name / f"p{person}_1.mp4", 4, content=content)
    return root


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    networks.save_weights(network(stream=True), path)
    return path


def test_every_video_is_tested_once_and_what_a_linear_classifier_has_stands_beside_it(people, weights, tmp_path):
    heard = Heard()
    settings = {**SETTINGS, "data": str(people), "seed": 3}
    result = cross_validate(weights, settings, folds=3, seeds=2, runs=tmp_path, progress=heard)
    summary = result.summary
    assert result.folder.name == "folds-1" and [run.name for run in result.runs] == [
        f"fold-{fold}-seed-{seed}" for seed in (3, 4) for fold in (1, 2, 3)
    ]
    assert summary["clips"] == 12 and summary["folds"] == 3 and summary["seeds"] == 2
    right = {seed: 0 for seed in (3, 4)}
    tested = {seed: [] for seed in (3, 4)}
    for row in summary["trainings"]:
        own = json.loads((result.folder / row["run"] / "summary.json").read_text())
        assert (row["correct"], row["clips"]) == (round(own["accuracy"] * own["clips"]), own["clips"])
        right[row["seed"]] += row["correct"]
        with open(result.folder / row["run"] / "evaluation-1" / "videos-clip.csv", newline="") as file:
            tested[row["seed"]] += [answer["video"] for answer in csv.DictReader(file)]
        assert networks.load(result.folder / row["run"]).classes == ("bright", "dark")
    assert summary["correct"] == list(right.values())
    assert result.accuracy == pytest.approx(sum(right.values()) / 24)
    assert (summary["low"], summary["high"]) == pytest.approx(tuple(map(float, wilson(result.accuracy, 12))))
    names = sorted(path.relative_to(people).as_posix() for path in people.rglob("*.mp4"))
    assert sorted(tested[3]) == sorted(tested[4]) == names
    assert {protocol["videos"] for protocol in summary["protocols"].values()} == {12}
    probes = [json.loads((run.folder / PROBES_FILE).read_text())["probes"][0] for run in result.runs[:3]]
    assert summary["probes"][0]["tested"] == {
        "correct": sum(one["tested"]["correct"] for one in probes), "clips": 12,
    }  # fmt: skip
    confusion = list(csv.reader((result.folder / "confusion.csv").read_text().splitlines()))
    assert confusion[0] == ["bright", "dark"]
    assert sum(int(cell) for row in confusion[1:] for cell in row) == 24
    assert any(line.startswith("a linear classifier on weights") for line in heard.lines)
    assert FoldsRun.open(result.folder).summary == summary


def test_what_is_finished_stays_after_a_crash(people, tmp_path):
    settings = {**SETTINGS, "data": str(people), "recipe": "videos", "network.recalibrate": 4}
    tiny = architecture()
    with pytest.raises(Crash):
        cross_validate(tiny, settings, folds=3, runs=tmp_path, name="x", progress=Heard("fold 3 of 3"))
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "x").rglob("summary.json")}
    assert len(kept) == 2
    cut = cross_validate(None, runs=tmp_path, name="x", resume=True)
    assert kept.items() <= {path: path.stat().st_mtime_ns for path in (tmp_path / "x").rglob("summary.json")}.items()
    straight = cross_validate(tiny, settings, folds=3, runs=tmp_path, name="y")
    timeless = [{k: v for k, v in found.summary.items() if k != "seconds"} for found in (cut, straight)]
    assert timeless[0] == timeless[1]
    assert {one["features"] for one in cut.summary["probes"]} == {"one frame", "motion", "picture shape"}
    with pytest.raises(ValueError, match=r"was started with another configuration \(folds: 3 in the run, 4 now\)"):
        cross_validate(None, runs=tmp_path, name="x", resume=True, folds=4)


def test_data_that_was_moved_is_where_it_is_said_to_be_from_then_on(people, tmp_path):
    data = shutil.copytree(people, tmp_path / "data")
    settings = {**SETTINGS, "data": str(data), "recipe": "videos", "network.recalibrate": 4}
    with pytest.raises(Crash):
        cross_validate(architecture(), settings, folds=2, runs=tmp_path, name="x", progress=Heard("fold 2 of 2"))
    data.rename(tmp_path / "moved")
    there, config = {"data": str(tmp_path / "moved")}, tmp_path / "x" / "config.json"
    with pytest.raises(Crash):  # the first fold is finished, and compares nothing
        cross_validate(None, there, runs=tmp_path, name="x", resume=True, progress=Heard("fold 2 of 2"))
    assert json.loads(config.read_text())["data"] == str(data)
    cross_validate(None, there, runs=tmp_path, name="x", resume=True)
    assert json.loads(config.read_text())["data"] == str(tmp_path / "moved")


@pytest.mark.parametrize(
    ("settings", "folds", "said"),
    [
        ({"data": None}, 2, "folds are for videos: give a folder of them with --data"),
        ({}, 7, "7 folds of 6 groups of videos; allowed: from 2 to 6"),
        ({}, 1, "fold '1/1' is not allowed"),
        ({"fold": "1/2"}, 2, "a single fold was given"),
        ({"group": r"^(x\d)"}, 2, "does not match"),
        ({"init": "nowhere"}, 2, "nowhere: no such file or folder"),
    ],
)
def test_a_mistake_is_told_before_anything_is_trained_and_leaves_nothing(people, tmp_path, settings, folds, said):
    with pytest.raises(ValueError, match=said):
        cross_validate(architecture(), {**SETTINGS, "data": str(people), **settings}, folds=folds, runs=tmp_path)
    assert not list(tmp_path.glob("folds*"))
