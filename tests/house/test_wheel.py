"""What is installed works outside the clone: data files travel, and a user's own folders shadow nothing."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRINT_PLACES = (
    "import json, sys; names = sys.argv[1:]; import importlib; "
    "print(json.dumps({name: importlib.import_module(name).__file__ for name in names}))"
)


def build(folder: Path) -> Path:
    """Builds the wheel from a copy of what git would give to a fresh clone, the working tree's changes included."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    source = folder / "source"
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder / "dist", source]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = (folder / "dist").glob("movinas-*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with our wheel, and with the libraries of this one behind it (torch alone is 700 MB).

    The libraries' folder comes last on the path and its .pth files are not read, so the editable clone is not there.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    command = [sys.executable, "-m", "pip", "--quiet", "--python", folder / "bin" / "python", "install"]
    subprocess.run([*command, "--no-deps", "--no-index", wheel], check=True)
    variables = {"base": str(folder), "platbase": str(folder)}
    site = Path(sysconfig.get_path("purelib", vars=variables))
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


@pytest.fixture
def working_directory(tmp_path: Path) -> Path:
    """A user's own project, whose packages have the names of ours and break whoever imports them."""
    for name in ("video", "training", "networks", "searchspace"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('a user\\'s own package was imported')\n")
    return tmp_path


def run(environment: Path, folder: Path, *words: str) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    result = subprocess.run(
        [environment / "bin" / words[0], *words[1:]], cwd=folder, env=clean, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_data_files_are_in_the_wheel_and_tests_are_not(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for path in ("searchspace/spaces/movinet.yaml", "searchspace/published.yaml", "experiments/plots/front.html"):
        assert path in names
    rooms = {"searchspace", "networks", "supernet", "controller", "video", "training", "scaling", "experiments"}
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == rooms
    assert all(f"{room}/py.typed" in names for room in rooms)
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_commands_outside_the_clone(environment: Path, working_directory: Path) -> None:
    assert "10^99.1" in run(environment, working_directory, "nas", "space", "movinet")
    assert "607.3 M" in run(environment, working_directory, "nas", "show", "a2", "--clip", "8x128x128@5")
    light = ("--search-resolution", "16", "--set", "look_clips=8", "--set", "micro_batch=4")  # it measures a few steps
    dry = run(environment, working_directory, "nas", "search", "--budget", "600MFLOPs", "--dry-run", *light)
    assert "published A2 here: 607.3 M" in dry
    assert run(environment, working_directory, "nas", "--version").startswith("nas 0.")


def test_nothing_comes_from_the_clone_or_the_working_directory(environment: Path, working_directory: Path) -> None:
    rooms = (
        "searchspace",
        "controller",
        "video",
        "training",
        "networks",
        "supernet",
        "experiments.commands.search_command",
    )
    places = json.loads(run(environment, working_directory, "python", "-P", "-c", PRINT_PLACES, *rooms))
    assert all(place.startswith(str(environment)) for place in places.values()), places


def test_worker_processes_are_safe_too(environment: Path, working_directory: Path) -> None:
    """`nas data check` scans in worker processes; a user's `video` package must not reach them."""
    run(environment, working_directory, "nas", "data", "demo", "-o", "demo", "--train", "3", "--val", "0",
        "--clip", "4x16x16@10")  # fmt: skip
    answer = run(environment, working_directory, "nas", "data", "check", "demo", "--workers", "2")
    assert "next: nas search --data demo" in answer
