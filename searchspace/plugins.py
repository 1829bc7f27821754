"""Code of a user's own that brings searchers, quantities, families of networks, protocols or recipes.

A plugin is a Python file (`nas --plugin FILE.py`) or a module that an installed package names in the entry points
`movinas.plugins`. It is run once, before anything else, and calls the `register` functions of the rooms. Processes
that we start run it, too: its path stands in the environment variable `MOVINAS_PLUGINS`.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Iterable
from pathlib import Path

VARIABLE = "MOVINAS_PLUGINS"
"""Paths of files, with `os.pathsep` between them."""

GROUP = "movinas.plugins"
"""Of entry points."""

LOADED: list[str] = []
"""What was loaded in this process: paths of files, names of entry points."""

BROUGHT: list[str] = []
"""What was registered in this process, such as `searcher mine`."""


def environment() -> dict[str, str]:
    """Variables by which other processes load the same files."""
    return {VARIABLE: os.environ[VARIABLE]} if os.environ.get(VARIABLE) else {}


def loaded_files() -> list[str]:
    """Paths of the files that were loaded, which commands that we print name."""
    return [name for name in LOADED if name.endswith(".py")]


def brought(kind: str, name: str) -> None:
    """Notes what a plugin registers; the `register` functions of the rooms call it."""
    BROUGHT.append(f"{kind} {name}")


def load(files: Iterable[str] = ()) -> list[str]:
    """Runs plugins that were not run in this process yet: the files, those of the environment, and entry points.

    Args:
        files: paths; kept in the environment for processes that this one starts.

    Returns:
        What is loaded, of this call and of earlier ones.

    Raises:
        ValueError: no such file, or one that cannot be run; says in which line.
    """
    known = [path for path in os.environ.get(VARIABLE, "").split(os.pathsep) if path]
    paths = list(dict.fromkeys([*known, *(os.path.abspath(file) for file in files)]))
    for path in paths:
        if path not in LOADED:
            _run(Path(path))
            LOADED.append(path)
    if paths:
        os.environ[VARIABLE] = os.pathsep.join(paths)
    for point in importlib.metadata.entry_points(group=GROUP):
        if point.name not in LOADED:
            try:
                point.load()
            except Exception as error:
                raise ValueError(f"plugin {point.name} ({point.value}): {_text(error)}; mend or remove it") from error
            LOADED.append(point.name)
    return list(LOADED)


def _run(path: Path) -> None:
    if not path.is_file() or path.suffix != ".py":
        raise ValueError(f"plugin {path}: no such Python file; give the path of a .py file")
    name = f"movinas_plugin_{path.stem}"
    specification = importlib.util.spec_from_file_location(name, path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module  # dataclasses look their module up
    try:
        specification.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise ValueError(f"plugin {path}{_line(error, path)}: {_text(error)}") from error


def _line(error: Exception, path: Path) -> str:
    """Where in the plugin it went wrong."""
    if isinstance(error, SyntaxError):
        return f", line {error.lineno}"
    trace, line = error.__traceback__, None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return "" if line is None else f", line {line}"


def _text(error: Exception) -> str:
    return str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
