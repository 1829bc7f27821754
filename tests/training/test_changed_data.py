"""Data that changed, or lies elsewhere, when a run goes on with it; and starts that fail, which leave nothing."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import networks
from experiments.report_data import read_entry
from scaling import trial
from scaling.family_training import retrain_family
from scaling.scale_family import scale
from tests.scaling.small_family import settings as scale_settings
from tests.training.networks_of_seconds import architecture
from tests.training.small import settings as search_settings
from tests.video.conftest import write
from training.evaluation.evaluation_data import open_videos
from training.open_data import DATA, VIDEOS
from training.progress import Progress, Silent
from training.retrain.run_retrain import retrain
from training.search.run_search import search
from video.measure import DECODER

SHORT = {"clip": "4x16x16@5", "schedule.epochs": 3, "optimizer.batch": 4, "network.recalibrate": 8, "threads": 1}


class Crash(Exception):
    pass


class CrashAt(Silent):
    def __init__(self, step: int) -> None:
        self.step = step

    def status(self, status) -> None:
        if status.step == self.step:
            raise Crash


class Heard(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)


def videos(root: Path, count: int = 8, sides: tuple[str, ...] = ("",)) -> Path:
    """Two classes that differ in their brightness; every video has another length."""
    rng = np.random.default_rng(0)
    for side in sides:
        for label, name in enumerate("ab"):
            for i in range(count):
                shade = rng.integers(0, 60, (16, 16, 3)) + 120 * label
                content = lambda index, *_, shade=shade: (shade + index).astype(np.uint8)  # noqa: E731
                write(root / side / name / f"s{i}.mkv", 8 + i, "ffv1", 10, "bgr0", (16, 16), content=content)
    return root


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return videos(tmp_path_factory.mktemp("videos") / "set")


def own(data: Path, place: Path) -> Path:
    return Path(shutil.copytree(data, place))


def begun(runs: Path, kind: str, data: Path) -> dict:
    """Starts a run over data and crashes it after its first checkpoint; how to go on with it."""
    if kind == "search":
        given = search_settings(
            runs.parent, data=str(data), budgets=["1.7M"], steps=6, checkpoint_every=2, look_clips=2
        )
        with pytest.raises(Crash):
            search({**given, "micro_batch": 2}, runs=runs, name="x", progress=CrashAt(3))
    else:
        with pytest.raises(Crash):
            retrain(architecture(), {**SHORT, "data": str(data)}, runs=runs, name="x", progress=CrashAt(5))
    return {"runs": runs, "name": "x", "resume": True}


def resume(kind: str, how: dict, **given):
    return search(given, **how) if kind == "search" else retrain(None, given, **how)


KINDS = ["search", "retrain"]


@pytest.mark.parametrize("kind", KINDS)
def test_changed_data_is_refused_with_the_difference(tmp_path: Path, data: Path, kind: str) -> None:
    here = own(data, tmp_path / "data")
    how = begun(tmp_path / "runs", kind, here)
    run = tmp_path / "runs" / "x"
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != "log.txt"}
    (here / "a" / "s3.mkv").rename(tmp_path / "aside")
    with pytest.raises(
        ValueError, match=r"the data has changed since .*x was started .*1 of 16 videos is gone: a/s3\.mkv"
    ):
        resume(kind, how)
    write(here / "a" / "s3.mkv", 20, "ffv1", 10, "bgr0", (16, 16))
    with pytest.raises(ValueError, match=r"1 of 16 videos is changed: a/s3\.mkv"):
        resume(kind, how)
    write(here / "a" / "s3.mkv", 11, "ffv1", 10, "bgr0", (16, 16))  # as long as before, and as large
    with pytest.raises(ValueError, match=r"1 of 16 videos is changed: a/s3\.mkv"):
        resume(kind, how)
    shutil.copy(tmp_path / "aside", here / "a" / "s3.mkv")
    shutil.copy(tmp_path / "aside", here / "b" / "new.mkv")
    with pytest.raises(ValueError, match=r"1 of 16 videos is new: b/new\.mkv"):
        resume(kind, how)
    assert all(path.read_bytes() == content for path, content in before.items() if path.name != "scan.json")
    (here / "b" / "new.mkv").unlink()
    resume(kind, how)
    assert (run / "summary.json").exists()


def test_a_run_that_did_not_keep_the_sizes_of_files_goes_on(tmp_path: Path, data: Path) -> None:
    how = begun(tmp_path / "runs", "search", data)
    table = tmp_path / "runs" / "x" / VIDEOS
    rows = list(csv.reader(table.read_text().splitlines()))
    assert rows[0][-1] == "bytes"
    table.write_text("".join(",".join(row[:-1]) + "\n" for row in rows))
    resume("search", how)


@pytest.mark.parametrize("kind", KINDS)
def test_a_resume_says_when_an_older_decoder_read_the_data(tmp_path: Path, data: Path, kind: str) -> None:
    """Runs of before have no version in their description; frames that were read rightly then are the same now."""
    how = begun(tmp_path / "runs", kind, data)
    record = tmp_path / "runs" / "x" / DATA
    described = json.loads(record.read_text())
    assert described.pop("decoder") == DECODER
    record.write_text(json.dumps(described))
    heard = Heard()
    resume(kind, {**how, "progress": heard})
    told = [line for line in heard.lines if "was read by an older decoder (version 1, now 2)" in line]
    assert len(told) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_moved_data_goes_on_to_the_same_end(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """From another working directory, with data that was given relative to the first one and lies elsewhere now."""
    monkeypatch.chdir(tmp_path)
    own(data, Path("data"))
    how = begun(tmp_path / "runs", kind, Path("data"))
    config = tmp_path / "runs" / "x" / "config.json"
    assert json.loads(config.read_text())["data"] == str(tmp_path / "data")
    straight = {**how, "runs": shutil.copytree(tmp_path / "runs", tmp_path / "straight")}
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    one = resume(kind, straight)
    (tmp_path / "data").rename(tmp_path / "elsewhere" / "moved")
    with pytest.raises(
        ValueError, match=r"data '.*/data' does not exist: .* takes the new place of data that was moved"
    ):
        resume(kind, how)
    two = resume(kind, how, data="moved")
    assert json.loads(config.read_text())["data"] == str(tmp_path / "elsewhere" / "moved")
    assert json.loads(config.read_text())["command"] == kind
    volatile = {"seconds"}
    ours, theirs = ({k: v for k, v in result.summary.items() if k not in volatile} for result in (one, two))
    if kind == "retrain":
        ours, theirs = ({**summary, "members": [{**summary["members"][0], "seconds": 0}]} for summary in (ours, theirs))
    assert ours == theirs
    assert resume(kind, how).summary == two.summary  # finished, and known to be there
    others = videos(tmp_path / "others", 9)
    (tmp_path / "runs" / "x" / "summary.json").unlink()
    with pytest.raises(ValueError, match="the data has changed since"):
        resume(kind, how, data=str(others))


def test_data_of_a_run_on_the_built_in_clips_cannot_be_given(tmp_path: Path, data: Path) -> None:
    given = search_settings(tmp_path, steps=4)
    with pytest.raises(Crash):
        search(given, runs=tmp_path, name="x", progress=CrashAt(2))
    with pytest.raises(ValueError, match=r"data: None in the run, .* now"):
        search({"data": str(data)}, runs=tmp_path, name="x", resume=True)


def test_what_a_run_keeps_of_its_data(tmp_path: Path, data: Path) -> None:
    begun(tmp_path / "runs", "search", data)
    rows = list(csv.DictReader((tmp_path / "runs" / "x" / VIDEOS).read_text().splitlines()))
    assert len(rows) == 16 and {row["part"] for row in rows} == {"weights", "controller", "rescoring"}
    assert next(row for row in rows if row["video"] == "b/s2.mkv") == {
        "video": "b/s2.mkv", "class": "b", "seconds": "1.000", "frames": "10", "width": "16", "height": "16",
        "bytes": str((data / "b" / "s2.mkv").stat().st_size),
        "part": next(row["part"] for row in rows if row["video"] == "b/s2.mkv"),
    }  # fmt: skip
    assert json.loads((tmp_path / "runs" / "x" / DATA).read_text())["classes"] == ["a", "b"]


def test_scaling(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = own(data, tmp_path / "data")
    calls: list[int] = []
    train = trial.train

    def crashing(job: trial.TrialJob, progress: Progress, **given: Any) -> dict[str, Any]:
        calls.append(1)
        if len(calls) == 3:
            raise Crash
        return train(job, progress, **given)

    monkeypatch.setattr(trial, "train", crashing)
    given = scale_settings(tmp_path, trials=2, data=str(here), clips=8, first_clips=8, batch=4)
    with pytest.raises(Crash):
        scale(given, runs=tmp_path / "runs", name="x")
    done = (tmp_path / "runs" / "x" / "trials.jsonl").read_text()
    (here / "b" / "s1.mkv").rename(tmp_path / "aside")
    with pytest.raises(ValueError, match=r"1 of 16 videos is gone: b/s1\.mkv"):
        scale({}, runs=tmp_path / "runs", name="x", resume=True)
    assert (tmp_path / "runs" / "x" / "trials.jsonl").read_text() == done
    (tmp_path / "aside").rename(here / "b" / "s1.mkv")
    here.rename(tmp_path / "moved")
    found = scale({"data": str(tmp_path / "moved")}, runs=tmp_path / "runs", name="x", resume=True)
    assert json.loads((found.folder / "config.json").read_text())["data"] == str(tmp_path / "moved")
    shutil.rmtree(tmp_path / "moved")
    assert scale({}, runs=tmp_path / "runs", name="x", resume=True).data == found.data  # finished: it needs no data


def test_families(tmp_path: Path, data: Path) -> None:
    here = own(data, tmp_path / "data")
    family = scale(
        scale_settings(tmp_path, coeffs="1.2,1.1,1.1,1.2", members="A1:A2"), runs=tmp_path, name="family"
    ).folder
    given = {**SHORT, "data": str(here), "recipe": "demo"}
    with pytest.raises(Crash):
        retrain_family(family, given, seeds=1, name="g", progress=CrashAt(3))
    (here / "a" / "s5.mkv").rename(tmp_path / "aside")
    with pytest.raises(ValueError, match=r"1 of 16 videos is gone: a/s5\.mkv"):
        retrain_family(family, resume=True, name="g")
    (tmp_path / "aside").rename(here / "a" / "s5.mkv")
    here.rename(tmp_path / "moved")
    result = retrain_family(family, {"data": str(tmp_path / "moved")}, resume=True, name="g")
    assert not result.failed
    for config in (family / "g").rglob("config.json"):
        assert json.loads(config.read_text())["data"] == str(tmp_path / "moved")


def test_what_was_held_out_is_not_guessed_of_changed_data(tmp_path: Path, data: Path) -> None:
    here = own(data, tmp_path / "data")
    run = retrain(architecture(), {**SHORT, "data": str(here)}, runs=tmp_path, name="x").folder
    held_out = open_videos(networks.load(run))[0].names
    moved = Path(shutil.move(here, tmp_path / "moved"))
    with pytest.raises(ValueError, match="is not here; give its new place with --data"):
        open_videos(networks.load(run))
    again, notes = open_videos(networks.load(run), str(moved))
    assert again.names == held_out and "held out of training" in notes[0]
    (moved / "a" / "s0.mkv").unlink()
    assert len(open_videos(networks.load(run), str(moved))[0].names) == 15  # other data, all of it
    shutil.move(moved, here)
    for given in (None, str(here)):
        with pytest.raises(ValueError, match=r"has changed since .* was trained, so what of it was held out"):
            open_videos(networks.load(run), given)


def test_moved_data_is_the_same_data_in_a_report(tmp_path: Path, data: Path) -> None:
    entries = []
    for name, changes in (("x", {}), ("y", {"seed": 1}), ("z", {})):
        place = own(data, tmp_path / name)
        if name == "z":
            (place / "a" / "s1.mkv").unlink()
        result = retrain(architecture(), {**SHORT, "data": str(place), **changes}, runs=tmp_path / "runs", name=name)
        entries.append(read_entry(result))
    assert entries[0].data == entries[1].data != entries[2].data


def test_a_validation_side_that_changed_is_told(tmp_path: Path) -> None:
    here = videos(tmp_path / "data", 4, ("train", "val"))
    run = retrain(architecture(), {**SHORT, "data": str(here)}, runs=tmp_path, name="x").folder
    assert len(open_videos(networks.load(run))[0].names) == 8
    (here / "train" / "a" / "s0.mkv").unlink()
    assert len(open_videos(networks.load(run))[0].names) == 8  # nothing that it is judged on
    (here / "val" / "a" / "s0.mkv").unlink()
    with pytest.raises(ValueError, match=r"was validated on have changed since; restore them, or give --data .*data"):
        open_videos(networks.load(run))
    _, notes = open_videos(networks.load(run), str(here))
    assert any("they have changed since" in note for note in notes)
    shutil.rmtree(run / "evaluation-1")
    heard = Heard()
    retrain(None, runs=tmp_path, name="x", resume=True, progress=heard)
    assert any(line.startswith("not judged by the protocols of evaluation: the videos") for line in heard.lines)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda root: [path.unlink() for path in (root / "a").iterdir() if path.stem > "s1"], "class 'a' has 2 usable"),
        (lambda root: [path.write_bytes(b"x") for path in root.rglob("*.mkv")], "none of the 16 files"),
        (lambda root: [path.write_bytes(b"x") for path in (root / "b").iterdir()], "class 'b' has 0 usable videos"),
        (lambda root: shutil.rmtree(root / "b"), "has a single class, 'a'"),
        (lambda root: shutil.rmtree(root), "does not exist"),
    ],
)
@pytest.mark.parametrize("kind", [*KINDS, "scale", "family"])
def test_a_start_that_fails_for_its_data_leaves_no_run(
    tmp_path: Path, data: Path, kind: str, change, said: str
) -> None:
    here = own(data, tmp_path / "data")
    change(here)
    runs = tmp_path / "runs"
    if kind == "family":
        given = scale_settings(tmp_path, coeffs="1.2,1.1,1.1,1.2", members="A2")
        runs = scale(given, runs=tmp_path / "families", name="f").folder
    before = sorted(runs.iterdir()) if runs.exists() else []
    with pytest.raises(ValueError, match=said):
        if kind == "search":
            search(search_settings(tmp_path, data=str(here)), runs=runs)
        elif kind == "retrain":
            retrain(architecture(), {**SHORT, "data": str(here)}, runs=runs)
        elif kind == "scale":
            scale(scale_settings(tmp_path, data=str(here)), runs=runs)
        else:
            retrain_family(runs, {**SHORT, "data": str(here), "recipe": "demo"})
    assert (sorted(runs.iterdir()) if runs.exists() else []) == before


def test_a_start_that_fails_for_its_settings_leaves_no_run(tmp_path: Path, data: Path) -> None:
    teacher = networks.create(architecture(classes=3))
    networks.save_trained(
        tmp_path / "teacher", teacher, classes=["x", "y", "z"], recipe={}, data={}, metrics={}, step=1
    )
    with pytest.raises(ValueError, match="knows other classes"):
        retrain(architecture(), {**SHORT, "data": str(data), "teacher": str(tmp_path / "teacher")}, runs=tmp_path / "r")
    assert not (tmp_path / "r").exists() or not list((tmp_path / "r").iterdir())
