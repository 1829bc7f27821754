"""SIGKILL at named and at random moments: the run goes on to the same end, bit for bit."""

import json
import signal
import time

import pytest

from tests.training.kills import Script
from tests.training.small import assert_equal_runs, settings

SCRIPT = Script("killed.py")


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    folder = tmp_path_factory.mktemp("straight")
    given = folder / "settings.json"
    given.write_text(json.dumps(settings(folder, steps=60, checkpoint_every=3)))
    return given, folder / "runs", SCRIPT.finish(given, folder / "runs")


@pytest.mark.slow
@pytest.mark.parametrize(
    "moment", ["starting 3", "checkpoint", "checkpoint 3", "after 2", "ledger 5", "rescoring", "rescoring 9", "results"]
)
def test_killed_at_a_named_moment(straight, tmp_path, moment):
    given, runs, _ = straight
    SCRIPT.die_at(moment, given, tmp_path)
    assert_equal_runs(runs / "a", tmp_path / "a")


@pytest.mark.slow
def test_killed_at_twenty_random_moments(straight, tmp_path):
    given, runs, seconds = straight
    SCRIPT.die_often(20, (0.2, 1.0), given, tmp_path, seconds, lambda: assert_equal_runs(runs / "a", tmp_path / "a"))


@pytest.mark.slow
def test_ctrl_c_saves_says_how_to_go_on_and_goes_on_to_the_same_end(straight, tmp_path):
    given, runs, _ = straight
    process = SCRIPT.start(given, tmp_path)
    while not (tmp_path / "a" / "checkpoints" / "step-00000006").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode != 0 and b"nas search --resume --name a" in errors
    SCRIPT.finish(given, tmp_path)
    assert_equal_runs(runs / "a", tmp_path / "a")
