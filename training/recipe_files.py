"""Recipes as YAML files: those of the project, a folder for each command that takes them, and a user's own."""

from __future__ import annotations

import os
from importlib import resources
from importlib.resources.abc import Traversable

from searchspace.naming import located
from searchspace.schema import nearest, parse_yaml, read_text


def is_file(name_or_path: object) -> bool:
    """Whether a recipe is meant as a user's file, not by name."""
    return str(name_or_path).endswith((".yaml", ".yml"))


def names(kind: str) -> tuple[str, ...]:
    """The recipes that come with the project for `retrain` or `search`."""
    found = (item.name for item in _folder(kind).iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in found if is_file(name)))


def read(kind: str, name_or_path: str | os.PathLike[str]) -> object:
    """What a recipe of ours, by name, or the user's file holds.

    Raises:
        ValueError: no such recipe or file, or no YAML.
    """
    name = str(name_or_path)
    if name in names(kind):
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
