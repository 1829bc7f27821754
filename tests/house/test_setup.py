"""`make search` and `make test` set themselves up: quick the second time, and each failure is one line of advice.

The interpreters are shell scripts that answer as a broken one would; no network, no real installation.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# A python that is new enough and whose virtual environment holds a fake pip: that appends its arguments to pip.calls
# and fails with the text in $PIP_SAYS, if there is any.
WORKING = r"""#!/bin/sh
case "$*" in
*"-m venv"*) for last; do :; done; mkdir -p "$last/bin"; cp "$0" "$last/bin/python" ;;
*"import torch"*) exit 1 ;;
*"-m pip"*)
    echo "$*" >>pip.calls
    log=""; report=""; before=""
    for word; do
        [ "$before" = --log ] && log=$word
        [ "$before" = --report ] && report=$word
        before=$word
    done
    if [ -n "${PIP_SAYS:-}" ]; then echo "$PIP_SAYS" >>"$log"; exit 1; fi
    [ -z "$report" ] || echo '{"install": [{"metadata": {"version": "'"${TORCH_BUILD:-2.13.0+cpu}"'"}}]}' >"$report" ;;
*"import json"*) exec REAL "$@" ;;
*--version*) echo "Python 3.12.0" ;;
*) exit 0 ;;
esac
"""


class Clone:
    """A copy of what set-up reads, with a PATH of our own in front."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.bin = root / "fake-bin"
        self.bin.mkdir()
        (root / ".ci").mkdir()
        for name in ("Makefile", "pyproject.toml", "constraints.txt", ".ci/setup.sh"):
            shutil.copy(ROOT / name, root / name)
        self.script("python3", WORKING.replace("REAL", sys.executable))
        self.script("df", 'echo "Filesystem"; echo "disk 9 9 ${FREE_KB:-99000000} 9% /"')
        self.script("uname", "echo Linux")

    def script(self, name: str, text: str) -> None:
        path = self.bin / name
        path.write_text(text if text.startswith("#!") else f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def make(self, target: str = "search", **environment: str) -> subprocess.CompletedProcess[str]:
        # What an outer `make test` passes down would change what the inner make says, and where.
        foreign = ("PIP_", "VENV", "PYTHON", "MAKE", "MFLAGS", "SETUP_GOAL")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        path = f"{self.bin}:{os.environ['PATH']}"
        words = [f"{name}={environment.pop(name)}" for name in ("PYTHON", "PIP_FLAGS") if name in environment]
        return subprocess.run(
            ["make", target, *words],
            cwd=self.root,
            env=clean | {"PATH": path, "PYTHON": "python3"} | environment,
            capture_output=True,
            text=True,
        )

    def fails(self, *parts: str, **environment: str) -> None:
        result = self.make(**environment)
        errors = [line for line in result.stderr.splitlines() if not line.startswith("make")]
        assert result.returncode != 0
        assert len(errors) == 1, result.stderr
        assert errors[0].startswith("set-up: error: ")
        for part in parts:
            assert part in errors[0]


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


def ready(clone: Clone) -> None:
    """`nas` itself is not there in a fake environment: let `make search` find one that says so."""
    (clone.root / ".venv" / "bin").mkdir(parents=True, exist_ok=True)
    nas = clone.root / ".venv" / "bin" / "nas"
    nas.write_text('#!/bin/sh\necho "nas $*"\n')
    nas.chmod(0o755)


def test_no_python(clone: Clone) -> None:
    clone.fails("Python 3.11 or newer is needed, none was found", "install one", PYTHON="no-such-python")


def test_python_too_old(clone: Clone) -> None:
    clone.script("python3", 'case "$*" in *python_version*) echo "this is Python 3.9.2" ;; *) exit 1 ;; esac')
    clone.fails("Python 3.11 or newer is needed, this is Python 3.9.2", "make search PYTHON=python3.11")
    assert not (clone.root / ".venv").exists()


def test_no_venv_module(clone: Clone) -> None:
    clone.script("python3", 'case "$*" in *ensurepip*) exit 1 ;; *) exit 0 ;; esac')
    clone.fails("no venv or ensurepip", "apt install python3-venv")


def test_little_disk(clone: Clone) -> None:
    clone.fails("2560 MB of free disk, 97 MB are left", "VENV=", FREE_KB="100000")
    assert not (clone.root / ".venv").exists()


def test_disk_too_small_for_the_gpu_build(clone: Clone) -> None:
    clone.fails("torch with its GPU libraries needs 8192 MB", TORCH_BUILD="2.13.0", FREE_KB=str(3 * 1024 * 1024))


def test_disk_full_on_the_way(clone: Clone) -> None:
    clone.fails("the disk is full", "make search", PIP_SAYS="OSError: [Errno 28] No space left on device")


def test_no_network(clone: Clone) -> None:
    clone.fails(
        "the package index cannot be reached",
        "make search",
        PIP_SAYS="NewConnectionError: [Errno -3] Temporary failure in name resolution",
    )


def test_any_other_failure_of_pip_names_the_log(clone: Clone) -> None:
    clone.fails("pip failed: No matching one", "setup.log", PIP_SAYS="2026-01-01 ERROR: No matching one")


def test_says_what_comes_then_is_quick(clone: Clone) -> None:
    ready(clone)
    flags = "--extra-index-url https://mirror.example/simple"
    first = clone.make(PIP_FLAGS=flags)
    assert first.returncode == 0, first.stderr
    lines = first.stdout.splitlines()
    told = next(number for number, line in enumerate(lines) if "about to download torch 2.13.0+cpu" in line)
    assert "200 MB" in lines[told]
    assert lines[-1] == "nas search --budget 600MFLOPs"
    calls = (clone.root / "pip.calls").read_text().splitlines()
    assert len(calls) == 3  # which torch, torch, the rest
    assert all("constraints.txt" in call and call.endswith(flags) for call in calls)

    second = clone.make()
    assert second.stdout.splitlines() == ["nas search --budget 600MFLOPs"]
    assert len((clone.root / "pip.calls").read_text().splitlines()) == 3


def test_gpu_build_tells_how_to_get_the_small_one(clone: Clone) -> None:
    ready(clone)
    told = clone.make(TORCH_BUILD="2.13.0").stdout
    assert "about 3 GB" in told
    assert 'make search PIP_FLAGS="--extra-index-url URL"' in told


def test_changed_requirements_set_up_again(clone: Clone) -> None:
    ready(clone)
    clone.make()
    calls = len((clone.root / "pip.calls").read_text().splitlines())
    with (clone.root / "constraints.txt").open("a") as file:
        file.write("# newer\n")
    clone.make()
    assert len((clone.root / "pip.calls").read_text().splitlines()) > calls


def test_an_interrupted_installation_goes_on(clone: Clone) -> None:
    ready(clone)
    clone.fails("pip failed", PIP_SAYS="ERROR: broken")
    assert clone.make().returncode == 0


def test_help_lists_every_target() -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("search", "test", "test-all", "bench", "clean"):
        assert f"make {target} " in listed
