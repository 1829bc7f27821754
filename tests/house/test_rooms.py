"""The rooms and their arrows: who may import whom, as pyproject.toml says it."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ROOMS: list[str] = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]


def lint_imports(config: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("lint-imports"), "--config", config, "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_arrows_point_down_only() -> None:
    result = lint_imports(ROOT / "pyproject.toml", ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("importer", "statement"),
    [
        ("searchspace", "import networks"),
        ("networks", "import supernet"),
        ("controller", "import video"),
        ("controller", "import networks"),
        ("video", "import controller"),
        ("video", "import searchspace.space"),
        ("training", "import experiments"),
        ("training", "import scaling"),
        ("scaling", "import supernet"),
        ("searchspace", "import torch"),
        ("controller", "import torch"),
        ("networks.kernels", "import networks.layers"),
        ("networks.kernels.ops", "import networks.inference"),
        ("networks.kernels", "import networks.weights"),
        ("networks.inference", "import networks.movinet"),
        ("networks.inference", "import networks.weights"),
        ("networks.movinet", "import networks.weights.saved_weights"),
        ("networks.layers", "import networks.inference.folding"),
        ("networks.weights", "import networks.inference"),
        ("networks.weights.tflite", "import networks.movinet"),
        ("training.run", "import torch"),
        ("training.run", "import networks"),
    ],
)
def test_a_wrong_arrow_is_found(tmp_path: Path, importer: str, statement: str) -> None:
    for room in ROOMS:
        for module in (ROOT / room).rglob("*.py"):
            empty = tmp_path / module.relative_to(ROOT)
            empty.parent.mkdir(parents=True, exist_ok=True)
            empty.touch()
    place = tmp_path / importer.replace(".", "/")
    (place / "__init__.py" if place.is_dir() else place.with_suffix(".py")).write_text(f"{statement}\n")
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    result = lint_imports(tmp_path / "pyproject.toml", tmp_path)
    assert result.returncode != 0
    assert "is not allowed to import" in result.stdout
    assert f" {importer} -> " in result.stdout


def test_one_list_of_rooms_everywhere() -> None:
    tools = PROJECT["tool"]
    assert tools["mypy"]["packages"] == ROOMS
    assert tools["importlinter"]["root_packages"] == ROOMS
    assert [*ROOMS, "tests"] == tools["ruff"]["lint"]["isort"]["known-first-party"]
    layers = " ".join(tools["importlinter"]["contracts"][0]["layers"]).replace("|", " ").split()
    assert sorted(layers) == sorted(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_are_typed_and_introduce_themselves(room: str) -> None:
    assert (ROOT / room / "py.typed").exists()
    docstring = ast.get_docstring(ast.parse((ROOT / room / "__init__.py").read_text()))
    assert docstring


def test_each_dependency_says_who_needs_it() -> None:
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    named = [line for line in lines if line.startswith('    "') and ">=" in line]
    extras = PROJECT["project"]["optional-dependencies"].values()
    assert len(named) == len(PROJECT["project"]["dependencies"]) + sum(map(len, extras))
    assert all("# " in line for line in named)


def test_every_dependency_has_a_tested_version() -> None:
    pinned = {
        line.split("==")[0].lower().replace("_", "-") for line in (ROOT / "constraints.txt").read_text().splitlines()
    }
    needed = PROJECT["project"]["dependencies"] + PROJECT["project"]["optional-dependencies"]["dev"]
    missing = {need.split(">=")[0].split("[")[0].lower().replace("_", "-") for need in needed} - pinned
    assert not missing
