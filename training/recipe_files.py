"""Recipes as YAML files: those of the project, a folder for each command that takes them, and a user's own."""

from __future__ import annotations

import os
from importlib import resources
from importlib.resources.abc import Traversable

from searchspace.naming import located
from searchspace.plugins import brought
from searchspace.schema import nearest, parse_yaml, read_text

KINDS = ("retrain", "search")
"""Commands that take recipes."""

_REGISTERED: dict[tuple[str, str], str] = {}
"""Files of plugins, by kind and name."""


def register(kind: str, name: str, file: str | os.PathLike[str]) -> None:
    """Adds a recipe of a plugin by a name; what stands in the file is read, and checked, when it is used.

    Args:
        kind: of `KINDS`.
        name: that `--recipe` takes.
        file: the YAML file.

    Raises:
        ValueError: an unknown kind, a name that is taken, or no such file.
    """
    if kind not in KINDS:
        raise ValueError(f"recipe {name!r} is for {kind!r}; allowed: {', '.join(KINDS)}")
    if name in names(kind):
        raise ValueError(f"recipe {name!r}: there is one of this name; give another")
    if not is_file(file) or not located(file).is_file():
        raise ValueError(f"recipe {name!r}: {os.fspath(file)} is no YAML file; give the path of one")
    _REGISTERED[kind, name] = os.path.abspath(file)
    brought("recipe", name)


def is_file(name_or_path: object) -> bool:
    """Whether a recipe is meant as a user's file, not by name."""
    return str(name_or_path).endswith((".yaml", ".yml"))


def names(kind: str) -> tuple[str, ...]:
    """The recipes of a kind that come with the project or with a plugin."""
    found = (item.name for item in _folder(kind).iterdir())
    registered = (name for own, name in _REGISTERED if own == kind)
    return tuple(sorted([*(name.removesuffix(".yaml") for name in found if is_file(name)), *registered]))


def read(kind: str, name_or_path: str | os.PathLike[str]) -> object:
    """What a recipe of ours, by name, or the user's file holds.

    Raises:
        ValueError: no such recipe or file, or no YAML.
    """
    name = str(name_or_path)
    if (kind, name) in _REGISTERED:
        text = read_text(_REGISTERED[kind, name], "recipe")
    elif name in names(kind):
        text = _folder(kind).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    elif is_file(name):
        text = read_text(located(name), "recipe")
    else:
        raise ValueError(
            f"recipe {name!r} is not known{nearest(name, names(kind))} "
            f"(known: {', '.join(names(kind))}; or give a .yaml file)"
        )
    return parse_yaml(text, name) or {}


def _folder(kind: str) -> Traversable:
    return resources.files("training").joinpath("recipes", kind)
