"""Families trained: what is planned, what is done side by side, and what a resume adds."""

import contextlib
import dataclasses
import json
import math
import multiprocessing
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from scaling import family_plan, family_training
from scaling.family_folder import Family
from scaling.family_plan import plan, training_clip
from scaling.family_training import RunJob, load_trained, retrain_family
from scaling.member_gains import MeasuredMember, member_gains
from scaling.scale_family import scale
from searchspace import Clip, cost
from tests.scaling.small_family import SHORT, settings
from tests.training.video_folders import Looks, folder
from training.machine.interrupt import Interrupted
from training.progress import Progress, Silent
from training.run import FamilyTrainingRun
from video import motion


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Family:
    """A1 to A3 of the small space, in a folder of their own."""
    monkeypatch.setitem(motion.DEFAULT_SIZES, "val", 32)
    return scale(settings(tmp_path, coeffs="1.2,1.1,1.1,1.2"), runs=tmp_path, name="family")


def test_what_is_planned(found: Family) -> None:
    planned = plan(found, SHORT, "A1,A3", 2)
    assert [one.name for one in planned.trainings] == ["A1-seed0", "A1-seed1", "A3-seed0", "A3-seed1"]
    assert planned.clips == 64 and planned.config["members"] == "A1,A3" and planned.config["seeds"] == 2
    for one in planned.trainings:
        own, clip = one.member.architecture.clip, one.resolved.members[0].clip
        assert (clip.height, clip.frames) == (round(own.height / 2), own.frames)  # the base's 32 pixels are 16 here
        assert clip.seconds == pytest.approx(4 / 5, rel=1e-4)
        assert one.macs == cost(one.resolved.members[0]).macs
    assert any("built-in motion, on which the family was made" in line for line in planned.remarks)
    given = plan(found, {**SHORT, "seed": 7}, "A1", 2)
    assert [one.seed for one in given.trainings] == [7, 8]


def test_videos_are_looked_through_once_before_several_trainings_are(
    found: Family, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = folder(tmp_path / "data")
    looks = Looks()
    seen: list[list[tuple[int, int]]] = []

    def nothing(*_: object) -> dict[str, str]:
        seen.append(list(looks.first))
        return {}

    monkeypatch.setattr(family_training, "_train", nothing)
    for name, workers in (("here", 1), ("there", 2)):
        given = {**SHORT, "data": str(data), "recipe": "demo"}
        retrain_family(found.folder, given, members="A1", seeds=2, name=name, workers=workers, progress=looks)
    assert seen == [[(0, 16)], [(0, 16), (16, 16)]]  # the second time nothing is new


def test_a_training_that_was_stopped_before_it_was_judged_is_judged_by_a_resume(found: Family, tmp_path: Path) -> None:
    given = {**SHORT, "data": str(folder(tmp_path / "data")), "recipe": "demo", "clip": "4x16x16"}
    for key in ("schedule.epoch_clips", "evaluation.clips"):
        del given[key]
    first = retrain_family(found.folder, given, members="A1", name="videos")
    (row,) = first.rows
    own = row.path / "evaluation-1"
    before = json.loads((own / "evaluation.json").read_text())["protocols"]
    shutil.rmtree(own)
    retrain_family(found.folder, name="videos", resume=True)
    again = json.loads((own / "evaluation.json").read_text())["protocols"]
    assert [one["accuracy"] for one in again] == [one["accuracy"] for one in before] and before


def test_dear_members_are_left_out_on_the_built_in_data_only(found: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(family_plan, "DEMO_MACS", plan(found, SHORT, "A2").trainings[0].macs)
    planned = plan(found, SHORT)
    assert [one.member.name for one in planned.trainings] == ["A1", "A2"]
    assert any("--members A1:A3 trains all" in line for line in planned.remarks)
    assert len(plan(found, SHORT, "A1:A3").trainings) == 3
    (found.folder / "videos").mkdir()
    assert len(plan(found, {**SHORT, "data": str(found.folder / "videos")}).trainings) == 3


@pytest.mark.parametrize(
    ("given", "members", "said"),
    [
        ({}, "A0:A2", "has no member A0; it has A1, A2, A3"),
        ({"init": "weights"}, None, "'init' is not for families"),
        ({"ensemble": 2}, None, "'ensemble' is not for families"),
        ({"optimizer.lrr": 1}, None, "did you mean 'optimizer.lr'"),
    ],
)
def test_mistakes_leave_no_folder(found: Family, given: dict[str, Any], members: str | None, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        retrain_family(found.folder, {**SHORT, **given}, members=members)
    assert not list(found.folder.glob("retrained*"))


def test_clips_shrink_alike() -> None:
    base, member = Clip(8, 128, 128, 5.0), Clip(12, 160, 200, 7.5)
    assert training_clip(member, base, None) == member
    assert training_clip(member, base, Clip(8, 64, 64, 5.0)) == Clip(12, 80, 100, 7.5)
    assert training_clip(member, base, Clip(4, 8, 8, 5.0)) == Clip(6, 10, 12, 7.5)


def test_a_resume_trains_exactly_what_is_missing(found: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    real, begun = family_training.train, list[str]()

    def train(job: RunJob, progress: Progress) -> dict[str, Any]:
        begun.append(job.name)
        return {"error": "came apart"} if job.name == "A2-seed0" and len(begun) < 5 else real(job, progress)

    monkeypatch.setattr(family_training, "train", train)
    first = retrain_family(found.folder, SHORT, members="A1:A2", seeds=2)
    assert first.folder.name == "retrained-1" and begun == ["A1-seed0", "A1-seed1", "A2-seed0", "A2-seed1"]
    assert [(row.name, row.error) for row in first.failed] == [("A2-seed0", "came apart")]
    assert not (first.folder / "summary.json").exists()
    again = retrain_family(found.folder, SHORT, members="A1:A2", seeds=2, resume=True)
    assert begun[4:] == ["A2-seed0"] and not again.failed
    assert json.loads((again.folder / "summary.json").read_text())["accuracy"] == {
        row.name: row.accuracy for row in again.rows
    }
    assert load_trained(FamilyTrainingRun.open(again.folder)) == again
    assert [measured.name for measured in again.measured()] == ["A1", "A2"]
    assert all(len(measured.losses) == 2 for measured in again.measured())
    kept = (again.folder / "trainings.jsonl").read_text().splitlines()
    assert len(kept) == 5
    assert retrain_family(found.folder, resume=True) == again and len(begun) == 5
    with pytest.raises(ValueError, match="seeds: 2 in the run, 3 now"):
        retrain_family(found.folder, seeds=3, resume=True)
    # Each is an ordinary run: the same training alone gives the same network.
    from searchspace import Architecture
    from training.retrain.run_retrain import retrain

    one = plan(found, SHORT, "A1", 1).trainings[0]
    alone = retrain(Architecture.load(found.folder / "A1.json"), one.settings, runs=found.folder.parent, name="alone")
    assert alone.accuracy == again.rows[0].accuracy
    assert weights(alone.folder) == weights(again.rows[0].path)


def weights(run: Path) -> dict[str, bytes]:
    return {k: v.tobytes() for k, v in load_file(run / "checkpoints" / "last" / "model.safetensors").items()}


class Killing(Silent):
    """Kills the process of a run whenever that reports, once it has a folder."""

    def __init__(self, run: Path) -> None:
        self.run, self.kills = run, 0

    def line(self, text: str) -> None:
        if text.startswith(f"{self.run.name}: ") and (self.run / "lock").exists():
            process = int((self.run / "lock").read_text().split()[1])
            with contextlib.suppress(ProcessLookupError):  # what is said of its death comes here, too
                os.kill(process, signal.SIGKILL)
                self.kills += 1


def test_side_by_side_in_processes_and_one_that_is_killed_again_and_again(found: Family) -> None:
    killing = Killing(found.folder / "retrained-1" / "A2-seed0")
    result = retrain_family(found.folder, SHORT, members="A1:A2", workers=2, progress=killing)
    assert killing.kills >= 3
    assert [row.name for row in result.failed] == ["A2-seed0"] and result.rows[0].accuracy is not None
    assert "lost 3 times, at last its process ended with code -9" in result.failed[0].error
    assert result.failed[0].error.endswith("then lower --parallel); go on with --resume")
    again = retrain_family(found.folder, resume=True, workers=2)
    assert not again.failed
    assert multiprocessing.active_children() == []
    straight = retrain_family(found.folder, SHORT, members="A1:A2", name="here")
    for one, other in zip(again.rows, straight.rows, strict=True):
        assert weights(one.path) == weights(other.path)


def test_a_wish_to_stop_begins_nothing_more(found: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []

    def train(job: RunJob, progress: Progress) -> dict[str, Any]:
        begun.append(job.name)
        if len(begun) == 2:
            signal.raise_signal(signal.SIGTERM)
        return {"accuracy": 0.5}

    monkeypatch.setattr(family_training, "train", train)
    with pytest.raises(Interrupted, match=r"nas retrain .*family --resume --name retrained-1") as stop:
        retrain_family(found.folder, SHORT, members="A1:A3")
    assert stop.value.exit_code == 143 and len(begun) == 2
    assert len((found.folder / "retrained-1" / "trainings.jsonl").read_text().splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["workers=2", "ray='local'"])
def test_a_killed_family_goes_on_to_the_same_networks(found: Family, engine: str) -> None:
    long = {**SHORT, "schedule.epoch_clips": 512}
    folder, script = found.folder, "from scaling.family_training import retrain_family as r\n"
    call = f"r({str(folder)!r}, {long!r}, members='A1:A2', seeds=1, name='a', resume=True, {engine})"
    process = subprocess.Popen([sys.executable, "-c", script + call])
    deadline = time.monotonic() + 120
    while not list(folder.glob("a/A1-seed0/checkpoints/step*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert not (folder / "a" / "summary.json").exists()
    while any(_locked(lock) for lock in folder.glob("a/*/lock")):  # workers end when their parent has
        time.sleep(0.1)
    subprocess.run([sys.executable, "-c", script + call], check=True)
    straight = retrain_family(folder, long, members="A1:A2", seeds=1, name="b")
    for row in straight.rows:
        assert weights(row.path) == weights(folder / "a" / row.name)


def _locked(path: Path) -> bool:
    import fcntl

    with open(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_steps_say_whether_they_are_shown_and_why_not() -> None:
    low = MeasuredMember("A0", (0.60, 0.62, 0.61), (1.2,) * 3)
    high = MeasuredMember("A1", (0.64, 0.63, 0.65), (1.1,) * 3)
    (step,) = member_gains([low, high])
    error = math.sqrt(statistics.variance(low.accuracies) / 3 + statistics.variance(high.accuracies) / 3)
    assert step.error == pytest.approx(error) and step.gain == pytest.approx(0.03) and step.shown
    assert str(step) == "step A0 -> A1: +3.0 points, standard error 0.8: shown"
    lucky = MeasuredMember("A1", (0.63, 0.63, 0.63), tested=1000)  # three seeds that agree by accident
    assert lucky.error == pytest.approx(math.sqrt(0.63 * 0.37 / 3000))
    guessing = MeasuredMember("A1", (0.0605, 0.0605, 0.0606), tested=2048, classes=18)
    full = MeasuredMember("A0", (0.99, 0.99))
    for small, large, why in (
        (dataclasses.replace(guessing, accuracies=(0.05, 0.05)), guessing, "A1 stands at chance (5.6%)"),
        (low, MeasuredMember("A1", (0.7,)), "one seed tells nothing"),
        (low, MeasuredMember("A1", (0.5, 0.75)), "within its standard error, and A0 leaves 39.0 points to gain"),
        (high, MeasuredMember("A2", (0.6, 0.6), (1.4, 1.4)), "ended at 1.40, the other's at 1.10, so it needs longer"),
        (high, MeasuredMember("A2", (0.6, 0.6), (0.9, 0.9)), "needs more of them"),
        (full, dataclasses.replace(full, name="A1"), "A0 leaves 1.0 points to gain; harder data"),
    ):
        (step,) = member_gains([small, large])
        assert not step.shown and "not shown, because" in str(step) and why in str(step)
    assert [f"{s.small.name}{s.large.name}" for s in member_gains([low, high, low])] == ["A0A1", "A1A0"]
