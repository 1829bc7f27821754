"""One process, several, or Ray: the same table; and whatever is killed, a resume computes exactly what is missing."""

import dataclasses
import json
import multiprocessing
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scaling import engines
from scaling.config import ScaleConfig
from scaling.jobs import Job
from tests.scaling.small import lines, settings

SCRIPT = Path(__file__).with_name("killed.py")
CONFIG = {"config": ScaleConfig().to_dict(), "scan_cache": None}


class Answered:
    """Jobs that end at once: their clip cannot be read."""

    def __init__(self, count: int) -> None:
        blank = Job("trial", 0, 8, 0, 0, 0, "not a clip", 1, {}, {})
        self.waiting = [dataclasses.replace(blank, number=number) for number in range(count)]
        self.told: dict[int, str] = {}

    def take(self) -> Job | None:
        return self.waiting.pop(0) if self.waiting else None

    @property
    def finished(self) -> bool:
        return not self.waiting

    def tell(self, job: Job, result) -> None:
        assert job.number not in self.told
        self.told[job.number] = result["error"]


def test_here_and_in_processes() -> None:
    here, apart = Answered(3), Answered(3)
    engines.run_here(here, CONFIG)
    engines.run_in_processes(apart, CONFIG, 2)
    assert here.told == apart.told
    assert all("not a clip" in error for error in here.told.values()) and len(here.told) == 3
    assert multiprocessing.active_children() == []


class Deadly(Answered):
    """Kills the workers whenever a further job is asked for."""

    kills = 0
    most = 0

    def take(self) -> Job | None:
        for child in multiprocessing.active_children()[: int(self.kills < self.most)]:
            child.kill()
            self.kills += 1
        return super().take()


@pytest.mark.slow
def test_a_dead_worker_costs_its_jobs_time_only() -> None:
    work = Deadly(6)
    work.most = 2
    engines.run_in_processes(work, CONFIG, 2)
    assert work.kills == 2 and sorted(work.told) == list(range(6))


def run(folder: Path, engine: str, moment: str = "never", count: int = 1) -> subprocess.CompletedProcess[str]:
    given = folder / "settings.json"
    given.write_text(json.dumps(settings(folder)))
    command = [sys.executable, str(SCRIPT), str(given), str(folder / "runs"), engine, moment, str(count)]
    return subprocess.run(command, capture_output=True, text=True)


def table(folder: Path) -> str:
    return (folder / "runs" / "a" / "coefficients.json").read_text()


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    folder = tmp_path_factory.mktemp("straight")
    result = run(folder, "here")
    assert result.returncode == 0, result.stderr
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["processes", "ray"])
def test_every_engine_gives_the_same_table(straight, tmp_path, engine) -> None:
    result = run(tmp_path, engine)
    assert result.returncode == 0, result.stderr
    assert table(tmp_path) == table(straight)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "moment", "count"),
    [
        ("here", "result", 5),
        ("here", "line", 11),
        ("here", "members", 2),
        ("processes", "result", 7),
        ("ray", "result", 7),
    ],
)
def test_a_killed_driver(straight, tmp_path, engine, moment, count) -> None:
    assert run(tmp_path, engine, moment, count).returncode == -signal.SIGKILL
    assert not (tmp_path / "runs" / "a" / "coefficients.json").exists()
    before = (
        [record["job"] for record in lines(tmp_path / "runs" / "a") if record["kind"] == "result"]
        if (moment != "line")
        else []
    )
    result = run(tmp_path, "here")
    assert result.returncode == 0, result.stderr
    assert table(tmp_path) == table(straight)
    after = [record["job"] for record in lines(tmp_path / "runs" / "a") if record["kind"] == "result"]
    assert after[: len(before)] == before and len(set(after)) == len(after)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["processes", "ray"])
def test_a_lost_worker(straight, tmp_path, engine) -> None:
    result = run(tmp_path, engine, "worker", 4)
    assert result.returncode == 0, result.stderr
    assert table(tmp_path) == table(straight)


def test_ray_that_does_not_start_is_an_error_of_one_line(tmp_path, monkeypatch) -> None:
    import ray

    from scaling.scale import scale

    def slow(**_: object) -> None:
        raise Exception("The current node timed out during startup.\nThis could happen because")  # as Ray has it

    monkeypatch.setattr(ray, "init", slow)
    with pytest.raises(ValueError, match=r"did not start on this machine \(The current node timed out.*--resume"):
        scale(settings(tmp_path), runs=tmp_path / "runs", name="a", ray="local")
    assert not ray.is_initialized()
    assert not list((tmp_path / "runs").iterdir())


def test_ray_that_is_not_there_is_an_error_of_one_line(tmp_path) -> None:
    from scaling.scale import scale

    with pytest.raises(ValueError, match=r"Ray at '127.0.0.1:1' cannot be reached.*ray start --head"):
        scale(settings(tmp_path), runs=tmp_path / "runs", name="a", ray="127.0.0.1:1")
    assert not list((tmp_path / "runs").iterdir())
