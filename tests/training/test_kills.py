"""SIGKILL at named and at random moments: the run goes on to the same end, bit for bit."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.training.small import assert_equal_runs, settings

SCRIPT = Path(__file__).with_name("killed.py")


def start(given: Path, runs: Path, moment: str = "never", count: int = 1) -> subprocess.Popen:
    command = [sys.executable, str(SCRIPT), str(given), str(runs), moment, str(count)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)


def finish(given: Path, runs: Path) -> float:
    begin = time.monotonic()
    process = start(given, runs)
    _, errors = process.communicate()
    assert process.returncode == 0, errors.decode()
    return time.monotonic() - begin


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    folder = tmp_path_factory.mktemp("straight")
    given = folder / "settings.json"
    given.write_text(json.dumps(settings(folder, steps=60, checkpoint_every=3)))
    return given, folder / "runs", finish(given, folder / "runs")


@pytest.mark.slow
@pytest.mark.parametrize(
    "moment", ["checkpoint", "checkpoint 3", "after 2", "ledger 5", "rescoring", "rescoring 9", "results"]
)
def test_killed_at_a_named_moment(straight, tmp_path, moment):
    moment, count = [*moment.split(), 1][:2]
    given, runs, _ = straight
    process = start(given, tmp_path, moment, count)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "a" / "summary.json").exists()
    finish(given, tmp_path)
    assert_equal_runs(runs / "a", tmp_path / "a")


@pytest.mark.slow
def test_killed_at_twenty_random_moments(straight, tmp_path):
    given, runs, seconds = straight
    draw = random.Random(0)
    kills = finished = 0
    while kills < 20:
        assert finished < 200, "runs end before they are killed"
        process = start(given, tmp_path)
        try:
            process.wait(draw.uniform(0.2, 1.0) * seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        process.communicate()
        if (tmp_path / "a" / "summary.json").exists():
            assert_equal_runs(runs / "a", tmp_path / "a")
            (tmp_path / "a").rename(tmp_path / f"done-{finished}")
            finished += 1
    finish(given, tmp_path)
    assert_equal_runs(runs / "a", tmp_path / "a")


@pytest.mark.slow
def test_ctrl_c_saves_says_how_to_go_on_and_goes_on_to_the_same_end(straight, tmp_path):
    given, runs, _ = straight
    process = start(given, tmp_path)
    while not (tmp_path / "a" / "checkpoints" / "step-00000006").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode != 0 and b"nas search --resume --name a" in errors
    finish(given, tmp_path)
    assert_equal_runs(runs / "a", tmp_path / "a")
