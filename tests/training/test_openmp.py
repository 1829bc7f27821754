"""The waiting policy of OpenMP's threads: set in time, for whom, and never against the user."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from training.machine import openmp
from training.workers import open_workers

OURS = {"GOMP_SPINCOUNT": str(openmp.SPINS), "KMP_BLOCKTIME": str(openmp.BLOCKTIME_MS)}
BESIDE_OTHERS = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the user nor `nas` has set anything."""
    for name in openmp.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(openmp, "_set_here", {})
    monkeypatch.setattr(openmp, "is_busy", lambda: False)


def given() -> dict[str, str]:
    return {name: os.environ[name] for name in openmp.VARIABLES if name in os.environ}


def nas(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "import sys; from experiments.cli import main; sys.exit(main())", *words]
    path = {"PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(command, env={**os.environ, **path, **environment}, capture_output=True, text=True)


def test_the_library_of_torch_reads_what_nas_sets_and_what_the_user_set() -> None:
    """libgomp itself prints what it read."""
    ours = {f"GOMP_SPINCOUNT={openmp.SPINS}": str(openmp.SPINS), "OMP_WAIT_POLICY=PASSIVE": "0"}  # by the load just now
    for own, spins, by in (({}, ours, "nas"), ({"GOMP_SPINCOUNT": "77"}, {"GOMP_SPINCOUNT=77": "77"}, "you")):
        answer = nas("doctor", "--json", OMP_DISPLAY_ENV="VERBOSE", **own)
        told = json.loads(answer.stdout)["machine"]["OpenMP"]
        if "libgomp" not in told:
            pytest.skip(f"torch has another library here: {told}")
        start, _, what = told.partition(f", set by {by}: ")
        assert start == "libgomp.so.1" and f"GOMP_SPINCOUNT = '{spins[what]}'" in answer.stderr


def test_the_load_at_the_start_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    for used, busy in ((0.0, False), (0.04, False), (0.1, True), (None, False)):
        counts = iter([100.0, None if used is None else 100.0 + used])
        monkeypatch.setattr(openmp, "core_seconds", lambda counts=counts: next(counts))
        assert openmp.is_busy() is busy
    assert openmp.ours(False) == OURS and openmp.ours(True) == BESIDE_OTHERS


def test_commands_without_torch_do_not_wait_for_it() -> None:
    imports = "import sys; from experiments.cli import main; from training.machine import openmp"
    code = f"{imports}; main(); print(openmp.given())"
    for words, chosen in (
        (["cost", "a0"], False),
        (["--version"], False),
        (["data", "--help"], False),
        (["doctor"], True),
    ):
        path = {"PYTHONPATH": str(Path(__file__).parents[2])}
        run = subprocess.run(
            [sys.executable, "-c", code, *words], env={**os.environ, **path}, capture_output=True, text=True
        )
        assert (run.stdout.splitlines()[-1] != "{}") == chosen, run


@pytest.mark.parametrize("name", openmp.VARIABLES)
def test_a_users_own_setting_wins(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "7")
    assert not openmp.choose() and given() == {name: "7"} == openmp.environment()
    with openmp.inherited():
        assert given() == {name: "7"}
    assert "set by you" in openmp.described("/lib/libgomp.so.1")


def test_it_is_set_once_and_before_torch_only(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "torch", object())
        assert not openmp.choose() and not given()
    assert openmp.described(None) == "unknown library, nothing set"
    for name in openmp.VARIABLES:  # given back afterwards
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    with monkeypatch.context() as patch:
        patch.delitem(sys.modules, "torch", raising=False)
        assert openmp.choose() and given() == OURS and openmp.is_ours()
        assert not openmp.choose() and openmp.is_ours()


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("/torch/lib/libgomp-a34b3233.so.1", f"libgomp-a34b3233.so.1, set by nas: GOMP_SPINCOUNT={openmp.SPINS}"),
        ("/env/lib/libiomp5.so", "libiomp5.so, set by nas: KMP_BLOCKTIME=1 (untried with this library)"),
        ("/torch/lib/libomp.dylib", "libomp.dylib, set by nas: KMP_BLOCKTIME=1 (untried with this library)"),
    ],
)
def test_doctor_tells_what_the_library_reads(monkeypatch: pytest.MonkeyPatch, file: str, told: str) -> None:
    for name, text in OURS.items():
        monkeypatch.setenv(name, text)
    monkeypatch.setattr(openmp, "_set_here", OURS)
    assert openmp.described(file) == told


def test_the_library_is_found_among_the_files_of_a_process(tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    lines = ["7f00-7f01 r-xp 00000000 fe:00 77 /usr/lib/libgompertz.so", "7f02-7f03 rw-p 00000000 00:00 0"]
    maps.write_text("\n".join(lines))
    assert openmp.library(maps) is None and openmp.library(tmp_path / "none") is None
    maps.write_text("\n".join([*lines, "7f04-7f05 r-xp 0 fe:00 78 /a folder/torch/lib/libgomp.so.1"]))
    assert openmp.library(maps) == "/a folder/torch/lib/libgomp.so.1"


def test_workers_of_ray_are_started_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    options: dict[str, Any] = {}
    monkeypatch.setattr(ray, "init", lambda **given: options.update(given))
    monkeypatch.setattr(ray, "nodes", lambda: [{"Resources": {"CPU": 1.0}}])
    with open_workers(ray="local"):
        assert options["runtime_env"] == {"env_vars": OURS}
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    with open_workers(ray="local"):
        pass
    assert options["runtime_env"] == {"env_vars": {"OMP_WAIT_POLICY": "ACTIVE"}}
