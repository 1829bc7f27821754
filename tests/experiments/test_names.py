"""Names that are not UTF-8, spelled in two ways, or padded, through every command that meets them."""

import csv
import json
import os
from pathlib import Path

import pytest

from tests.experiments.conftest import Nas
from tests.training.networks_of_seconds import architecture
from tests.training.small import SPACE
from tests.training.tiny import trained_run
from tests.video.conftest import write

SHORT = ["--clip", "4x16x16", "--epochs", "1", "--batch", "4", "--threads", "1", "--device", "cpu", "--workers", "0"]
SEARCH = ["--space", "small.yaml", "--budget", "1.7M", "--steps", "2", "--search-resolution", "16", "--threads", "1"]
SEARCH += ["--device", "cpu", "--workers", "0", "--set", "micro_batch=2", "--set", "look_clips=2"]


def videos(root: bytes, *names: bytes, count: int = 3) -> None:
    for name in names:
        for i in range(count):
            write(Path(os.fsdecode(os.path.join(root, name, b"%d\xff.mkv" % i))), 6 + i, "ffv1", 10, "bgr0", (16, 16))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(SPACE)
    architecture().save("arch.json")
    return tmp_path


def test_names_that_are_not_utf_8_go_through_every_command(nas: Nas, here: Path) -> None:
    videos(b"set\xe9", b"caf\xe9", b"b")
    data, shown = os.fsdecode(b"set\xe9"), r"set\xe9"
    checked = nas("data", "check", data, "--workers", 0, "--json")
    assert checked.code == 0, checked.err
    assert json.loads(checked.out)["classes"] == ["b", r"caf\xe9"]
    assert nas("data", "check", shown, "--workers", 0, "--json").out == checked.out  # as it is printed, it can be typed
    searched = nas("search", "--data", data, *SEARCH, "--json")
    assert searched.code == 0, searched.err
    trained = nas("retrain", "runs/search-1", *SHORT, "--json")
    assert trained.code == 0, trained.err
    again = nas("retrain", "--resume", "--name", "retrain-1", "--data", shown, "--json")
    assert again.code == 0 and json.loads(again.out)["classes"] == 2, again.err
    judged = nas("evaluate", "runs/retrain-1", "--workers", 0, "--json")
    assert judged.code == 0, judged.err
    asked = nas("predict", "runs/retrain-1", data, "--format", "json")
    assert asked.code == 0, asked.err
    answers = json.loads(asked.out)
    assert {answer["video"] for answer in answers} >= {rf"set\xe9/caf\xe9/{i}\xff.mkv" for i in range(3)}
    assert {found["class"] for answer in answers for found in answer["classes"]} == {"b", r"caf\xe9"}
    assert nas("report", "runs/retrain-1").code == 0
    for file in (here / "runs").rglob("*.json"):
        json.loads(file.read_text(encoding="utf-8").encode())
    rows = list(csv.DictReader((here / "runs/retrain-1/evaluation-1/videos-clip.csv").read_text().splitlines()))
    assert {row["class"] for row in rows} == {"b", r"caf\xe9"}
    assert json.loads((here / "runs/search-1/config.json").read_text())["data"] == str(here / shown)


def test_spellings_and_blanks_are_one_class_from_check_to_evaluation(nas: Nas, here: Path) -> None:
    for side, name in (("train", "café"), ("val", "cafe\u0301")):
        videos(f"set/{side}".encode(), name.encode(), b"b")
    run = nas("retrain", "arch.json", "--data", "set", *SHORT, "--json")
    assert run.code == 0, run.err
    assert json.loads(run.out)["classes"] == 2
    judged = json.loads(nas("evaluate", "runs/retrain-1", "--protocol", "clip", "--workers", 0, "--json").out)
    assert judged["protocols"][0]["videos"] == 6
    rows = ["label,youtube_id,split"]
    for i in range(8):
        write(here / "clips" / f"v{i}.mkv", 6, "ffv1", 10, "bgr0", (16, 16))
        rows.append(f"{('bowling ', 'archery')[i % 2] if i < 6 else ('bowling', 'archery')[i % 2]},v{i},train")
    (here / "a.csv").write_text("\n".join(rows))
    found = json.loads(nas("data", "check", "a.csv", "--videos", "clips", "--workers", 0, "--json").out)
    assert found["classes"] == ["archery", "bowling"] and sum(found["parts"].values()) == 8
    trained = nas("retrain", "arch.json", "--data", "a.csv", "--videos", "clips", *SHORT, "--name", "x", "--json")
    assert trained.code == 0 and json.loads(trained.out)["classes"] == 2, trained.err
    told = nas("search", "--data", "a.csv", "--videos", "nowhere", *SEARCH, "--dry-run")
    assert (told.code == 2 and "'nowhere' does not exist" in told.err) or str(here / "nowhere") in told.err


def test_one_class_alone_can_be_judged(nas: Nas, here: Path) -> None:
    run = trained_run(here / "runs" / "x")
    videos(b"one", b"b")
    answer = nas("evaluate", run, "--data", "one", "--workers", 0, "--json")
    assert answer.code == 0, answer.err
    assert {protocol["videos"] for protocol in json.loads(answer.out)["protocols"]} == {3}
    refused = nas("search", "--data", "one", *SEARCH)
    assert refused.code == 2 and "has a single class, 'b': training needs at least two" in refused.err


def test_a_poster_beside_videos_is_left_out(nas: Nas, here: Path) -> None:
    from PIL import Image

    run = trained_run(here / "runs" / "x")
    videos(b"seen", b"", count=2)
    Image.new("RGB", (40, 30)).save(here / "seen" / "poster.jpg")
    answer = nas("predict", run, "seen", "--format", "csv", "--top", 1)
    assert answer.code == 0, answer.err
    assert len(answer.out.splitlines()) == 3 and "poster" not in answer.out
    assert "left out: seen/poster.jpg: a picture beside videos" in answer.err


@pytest.mark.parametrize("command", [["search"], ["retrain", "arch.json"], ["scale", "movinet"]])
@pytest.mark.parametrize(
    ("name", "said"),
    [("a" * 201, "has 201 characters"), ("train/x", "single class"), ("test/a", "has no training videos")],
)
def test_data_that_cannot_be_trained_on_is_told_in_a_rehearsal(
    nas: Nas, here: Path, command: list[str], name: str, said: str
) -> None:
    (here / "set" / name).mkdir(parents=True)
    (here / "set" / name / "v.mp4").write_bytes(b"")
    if "/" not in name:
        (here / "set" / "b").mkdir()
    answer = nas(*command, "--data", "set", "--dry-run")
    assert answer.code == 2 and said in answer.err.splitlines()[-1]
    assert not (here / "runs").exists()
