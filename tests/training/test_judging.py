"""What evaluations keep of themselves, and which one is a retraining's own."""

import json
import os
import shutil
from pathlib import Path

import pytest

import networks
from searchspace.schema import read_text
from tests.training.networks_of_seconds import architecture
from tests.training.test_retrain import Heard
from tests.training.tiny import trained_run
from tests.training.video_folders import folder
from training.evaluation.judging import evaluate_videos, judge_retraining
from training.retrain.run_retrain import retrain
from training.run.evaluation_folders import RECORD, evaluations, of_retraining, protocols_of
from video.asked import Videos

SETTINGS = {"clip": (4, 16, 16), "recipe": "demo", "schedule.epochs": 1, "optimizer.batch": 4, "threads": 1}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """A retraining from Python on real videos."""
    result = retrain(architecture(), {**SETTINGS, "data": data}, runs=tmp_path_factory.mktemp("runs"), name="a")
    assert [one["protocol"] for one in result.protocols] == ["clip"]
    return result.folder


def files(run: Path) -> set[str]:
    return {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}


def test_the_record_says_what_was_asked_and_by_whom(finished: Path, data: Path, tmp_path: Path) -> None:
    own = json.loads(read_text(finished / "evaluation-1" / RECORD, "record"))
    assert (own["by"], own["data"], own["clips_below"], own["videos"]) == ("retrain", str(data), None, 8)
    other = folder(tmp_path / "other", ("train",))
    asked = evaluate_videos(networks.load(finished), lambda _: ["clip"], data=str(other), out=tmp_path / "o")
    assert (asked.record["by"], asked.record["data"]) == ("evaluate", str(other))
    again = evaluate_videos(networks.load(finished), lambda _: ["clip"], out=tmp_path / "again")
    assert again.record["digest"] == own["digest"] != asked.record["digest"]
    assert again.record["checkpoint"] == str(finished / "checkpoints" / "best")


def test_videos_of_another_size_are_others_and_a_copy_is_the_same(finished: Path, data: Path, tmp_path: Path) -> None:
    """Two encodings of one video, of the same frames and length, have the same name and give other answers."""
    digests = []
    for name, extra in (("same", b""), ("other", b"\0" * 64)):
        copy = shutil.copytree(data, tmp_path / name)
        file = sorted((copy / "val").rglob("*.mkv"))[0]
        file.write_bytes(file.read_bytes() + extra)
        found = evaluate_videos(networks.load(finished), lambda _: ["clip"], data=str(copy), out=tmp_path / f"o-{name}")
        digests.append((found.record["videos"], found.record["digest"]))
    own = json.loads(read_text(finished / "evaluation-1" / RECORD, "record"))
    assert digests[0] == (own["videos"], own["digest"])
    assert digests[1][0] == own["videos"] and digests[1][1] != own["digest"]


def test_a_retrainings_own_evaluation_is_known_whatever_else_is_there(finished: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished, tmp_path / "a")
    shutil.move(run / "evaluation-1", run / "evaluation-12")
    (run / "evaluation-13").mkdir()  # stopped: no record
    for number in (2, 3):
        evaluate_videos(networks.load(run), lambda _: ["clip"], out=run / f"evaluation-{number}")
    for number, name in enumerate(("evaluation-12", "evaluation-2", "evaluation-3")):
        os.utime(run / name / RECORD, (1000 - number, 1000 - number))
    assert [path.name for path in evaluations(run)] == ["evaluation-2", "evaluation-3", "evaluation-12"]
    assert of_retraining(run) == run / "evaluation-12"
    shutil.rmtree(run / "evaluation-12")
    assert of_retraining(run) is None and protocols_of(None) == []
    judge_retraining(run)  # a user's evaluation does not stand for it
    assert of_retraining(run) == run / "evaluation-1"
    before = files(run)
    judge_retraining(run)
    assert files(run) == before


def test_a_run_that_cannot_be_judged_is_finished_all_the_same(tmp_path: Path) -> None:
    data, heard = folder(tmp_path / "data"), Heard()
    retrain(architecture(), {**SETTINGS, "data": str(data)}, runs=tmp_path, name="a")
    shutil.rmtree(tmp_path / "a" / "evaluation-1")
    shutil.rmtree(data)
    result = retrain(None, runs=tmp_path, name="a", resume=True, progress=heard)
    assert result.accuracy >= 0 and result.protocols == []
    assert any("not judged by the protocols of evaluation" in line and "is not here" in line for line in heard.lines)
    assert not list((tmp_path / "a").glob("evaluation-*"))


@pytest.mark.parametrize("given", [None, "given", "deep/er/given"])
def test_an_evaluation_of_nothing_leaves_nothing(tmp_path: Path, given: str | None) -> None:
    data = folder(tmp_path / "data")
    trained = networks.load(trained_run(tmp_path / "run", ("a b", "c")))

    def choose(videos: Videos) -> list[str]:
        for path in (data / "val").rglob("*.mkv"):  # they were looked through before
            path.write_bytes(b"")
        return ["clip"]

    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match="none of the 8 videos can be read"):
        evaluate_videos(trained, choose, data=str(data), out=None if given is None else tmp_path / given)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_stranger_in_the_folder_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, run = folder(tmp_path / "data"), trained_run(tmp_path / "run", ("a b", "c"))

    def broken(*_: object, **__: object) -> None:
        (run / "evaluation-1" / "mine.txt").touch()
        raise ValueError("none")

    monkeypatch.setattr("training.evaluation.judging.judge", broken)
    with pytest.raises(ValueError, match="none"):
        evaluate_videos(networks.load(run), lambda _: ["clip"], data=str(data))
    assert (run / "evaluation-1" / "mine.txt").exists()
