"""One process, several, or Ray: the same table; and whatever is killed, a resume computes exactly what is missing."""

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scaling.scale_family import scale
from scaling.trial import TrialJob
from tests.scaling.small_family import lines, settings
from training.machine.interrupt import Interrupted
from training.workers import Lost, Workers

SCRIPT = Path(__file__).with_name("killed_scaling.py")


def run(folder: Path, engine: str, moment: str = "never", count: int = 1) -> subprocess.CompletedProcess[str]:
    given = folder / "settings.json"
    given.write_text(json.dumps(settings(folder)))
    command = [sys.executable, str(SCRIPT), str(given), str(folder / "runs"), engine, moment, str(count)]
    return subprocess.run(command, capture_output=True, text=True)


def table(folder: Path) -> str:
    return (folder / "runs" / "a" / "coefficients.json").read_text()


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("straight")
    result = run(folder, "here")
    assert result.returncode == 0, result.stderr
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["processes", "ray"])
def test_every_engine_gives_the_same_table(straight: Path, tmp_path: Path, engine: str) -> None:
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
def test_a_killed_driver(straight: Path, tmp_path: Path, engine: str, moment: str, count: int) -> None:
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
def test_a_lost_worker(straight: Path, tmp_path: Path, engine: str) -> None:
    result = run(tmp_path, engine, "worker", 4)
    assert result.returncode == 0, result.stderr
    assert table(tmp_path) == table(straight)


def test_ray_that_does_not_start_is_an_error_of_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    def slow(**_: object) -> None:
        raise Exception("The current node timed out during startup.\nThis could happen because")  # as Ray has it

    monkeypatch.setattr(ray, "init", slow)
    with pytest.raises(ValueError, match=r"did not start on this machine \(The current node timed out.*--resume"):
        scale(settings(tmp_path), runs=tmp_path / "runs", name="a", ray="local")
    assert not ray.is_initialized()
    assert not list((tmp_path / "runs").iterdir())


def test_ray_that_is_not_there_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Ray at '127.0.0.1:1' cannot be reached.*ray start --head"):
        scale(settings(tmp_path), runs=tmp_path / "runs", name="a", ray="127.0.0.1:1")
    assert not list((tmp_path / "runs").iterdir())


def test_a_training_whose_worker_is_lost_for_good_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first: list[TrialJob] = []

    def lost(self: Workers, function: object, take: Callable[[], TrialJob]) -> Iterator[tuple[TrialJob, Lost]]:
        first.append(take())
        yield first[0], Lost("its worker was lost 3 times")

    monkeypatch.setattr(Workers, "map", lost)
    with pytest.raises(ValueError, match=r"training 'trial .*' has no result: its worker was lost 3 times; .*--resume"):
        scale(settings(tmp_path), runs=tmp_path / "runs", name="a")


def test_a_signal_that_ray_answers_by_an_interrupt_of_its_own_keeps_its_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def waiting(self: Workers, function: object, take: Callable[[], TrialJob]) -> Iterator[tuple[TrialJob, Lost]]:
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(Workers, "map", waiting)
    with pytest.raises(Interrupted, match="nas scale --resume --name a") as stop:
        scale(settings(tmp_path), runs=tmp_path / "runs", name="a")
    assert stop.value.exit_code == 143
