"""SIGKILL of a retraining at named and at random moments: it goes on to the same end, bit for bit."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.training.networks_of_seconds import architecture
from tests.training.test_retrain import SETTINGS, assert_equal_trainings

SCRIPT = Path(__file__).with_name("retrain_killed.py")


def start(given: Path, runs: Path, moment: str = "never", count: int = 1) -> subprocess.Popen:
    command = [sys.executable, str(SCRIPT), str(given), str(runs), moment, str(count)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)


def finish(given: Path, runs: Path) -> float:
    begin = time.monotonic()
    process = start(given, runs)
    _, errors = process.communicate()
    assert process.returncode == 0, errors.decode()
    return time.monotonic() - begin


@pytest.fixture(scope="module", params=["plain", "ensemble"])
def straight(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("straight")
    architecture().save(folder / "arch.json")
    given = folder / "settings.json"
    more = {"ensemble": 2} if request.param == "ensemble" else {}
    given.write_text(json.dumps({**SETTINGS, "schedule.epochs": 4, **more}))
    return given, folder / "runs", finish(given, folder / "runs")


def assert_equal(one: Path, two: Path) -> None:
    members = sorted(path.name for path in (one / "members").glob("*"))
    for place in [f"members/{name}" for name in members] or ["."]:
        assert_equal_trainings(one / place, two / place)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["checkpoint", "checkpoint 2", "after 2", "best", "best 3", "ledger 5"])
def test_killed_at_a_named_moment(straight, tmp_path, moment):
    moment, count = [*moment.split(), 1][:2]
    given, runs, _ = straight
    process = start(given, tmp_path, moment, count)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "a" / "summary.json").exists()
    finish(given, tmp_path)
    assert_equal(runs / "a", tmp_path / "a")


@pytest.mark.slow
def test_killed_at_ten_random_moments(straight, tmp_path):
    given, runs, seconds = straight
    draw = random.Random(0)
    kills = finished = 0
    while kills < 10:
        assert finished < 100, "runs end before they are killed"
        process = start(given, tmp_path)
        try:
            process.wait(draw.uniform(0.3, 1.0) * seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        process.communicate()
        if (tmp_path / "a" / "summary.json").exists():
            assert_equal(runs / "a", tmp_path / "a")
            (tmp_path / "a").rename(tmp_path / f"done-{finished}")
            finished += 1
    finish(given, tmp_path)
    assert_equal(runs / "a", tmp_path / "a")
