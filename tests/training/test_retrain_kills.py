"""SIGKILL of a retraining at named and at random moments: it goes on to the same end, bit for bit."""

import json
from pathlib import Path

import pytest

from tests.training.kills import Script
from tests.training.networks_of_seconds import architecture
from tests.training.test_retrain import SETTINGS, assert_equal_trainings

SCRIPT = Script("retrain_killed.py")


@pytest.fixture(scope="module", params=["plain", "ensemble"])
def straight(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("straight")
    architecture().save(folder / "arch.json")
    given = folder / "settings.json"
    more = {"ensemble": 2} if request.param == "ensemble" else {}
    given.write_text(json.dumps({**SETTINGS, "schedule.epochs": 4, **more}))
    return given, folder / "runs", SCRIPT.finish(given, folder / "runs")


def assert_equal(one: Path, two: Path) -> None:
    members = sorted(path.name for path in (one / "members").glob("*"))
    for place in [f"members/{name}" for name in members] or ["."]:
        assert_equal_trainings(one / place, two / place)


@pytest.mark.slow
@pytest.mark.parametrize(
    "moment", ["starting 2", "checkpoint", "checkpoint 2", "after 2", "best", "best 3", "ledger 5"]
)
def test_killed_at_a_named_moment(straight, tmp_path, moment):
    given, runs, _ = straight
    SCRIPT.die_at(moment, given, tmp_path)
    assert_equal(runs / "a", tmp_path / "a")


@pytest.mark.slow
def test_killed_at_ten_random_moments(straight, tmp_path):
    given, runs, seconds = straight
    SCRIPT.die_often(10, (0.3, 1.0), given, tmp_path, seconds, lambda: assert_equal(runs / "a", tmp_path / "a"))
