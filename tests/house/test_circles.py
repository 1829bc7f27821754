"""No circle between files: who imports whom, read off the source, imports inside functions and for types included."""

from __future__ import annotations

import ast
import graphlib
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ROOMS: list[str] = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]


def modules(root: Path, rooms: list[str]) -> dict[str, Path]:
    """Every file of the rooms by the name that it is imported by."""
    found = {}
    for room in rooms:
        for file in (root / room).rglob("*.py"):
            parts = file.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imported(file: Path, known: Mapping[str, Path]) -> set[str]:
    """The modules that a file names in its imports, each as deep as it is named."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module is not None, f"{file}: imports are absolute"
            for alias in node.names:
                inside = f"{node.module}.{alias.name}"
                found.add(inside if inside in known else node.module)
    return {name for name in found if name in known}


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Circles, one after the other: an arrow of each is taken away until there are none."""
    arrows, found = {name: set(to) for name, to in graph.items()}, []
    while True:
        try:
            graphlib.TopologicalSorter(arrows).prepare()
        except graphlib.CycleError as error:
            circle = error.args[1]  # each is imported by the next, the first one again at the end
            found.append(circle)
            arrows[circle[1]].discard(circle[0])
        else:
            return found


def graph(root: Path, rooms: list[str]) -> dict[str, set[str]]:
    known = modules(root, rooms)
    return {name: imported(file, known) - {name} for name, file in known.items()}


def test_no_circle_between_files() -> None:
    assert not circles(graph(ROOT, ROOMS))


@pytest.mark.parametrize(
    ("files", "circle"),
    [
        ({"a": "import room.b", "b": "from room import a"}, {"room.a", "room.b"}),
        (
            {"a": "def f():\n    from room.b import x", "b": "from room.c import y", "c": "import room.a"},
            {"room.a", "room.b", "room.c"},
        ),
        ({"__init__": "from room.a import x", "a": "from room import x"}, {"room", "room.a"}),
        ({"__init__": "from room.a import x", "a": "from room import b", "b": "import torch"}, set()),
    ],
)
def test_a_circle_is_found(files: dict[str, str], circle: set[str], tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    for name, text in files.items():
        (tmp_path / "room" / f"{name}.py").write_text(text)
    found = circles(graph(tmp_path, ["room"]))
    assert {name for one in found for name in one} == circle


def test_no_two_files_of_one_name() -> None:
    """Suites of tests that users import are named alike: `controller.testing` and the like."""
    names = [file.name for room in ROOMS for file in (ROOT / room).rglob("*.py")]
    assert {name for name in names if names.count(name) > 1} == {"__init__.py", "testing.py"}
