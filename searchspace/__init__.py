"""What can be built, as plain data: spaces, architectures, their cost in closed form, budgets with units."""

from __future__ import annotations

import os
from importlib import resources

from searchspace.architecture import Architecture
from searchspace.budget import Budget, format_quantity
from searchspace.clip import Clip, ClipLike, Kernel
from searchspace.cost_tables import CostModel, SpaceCosts, Term, tabulate
from searchspace.decisions import Choices, Decision, Decisions, Probabilities
from searchspace.ensemble import Ensemble
from searchspace.form import BASE, STREAM, Form, squeeze_width
from searchspace.layer_choices import LAYER_CHOICES, LayerChoice
from searchspace.layer_specs import Block, Head, Layer, Position, Stem
from searchspace.published import published, published_ensembles, published_names
from searchspace.quantities import QUANTITIES, Cost, Quantity
from searchspace.schema import nearest, parse_yaml, read_text
from searchspace.space import BlockSpace, Nearest, Space, read_space
from searchspace.spec import Member, NetworkSpec, cost, load_spec, read_spec
from searchspace.targets import find, is_published

__all__ = [
    "BASE",
    "LAYER_CHOICES",
    "QUANTITIES",
    "STREAM",
    "Architecture",
    "Block",
    "BlockSpace",
    "Budget",
    "Choices",
    "Clip",
    "ClipLike",
    "Cost",
    "CostModel",
    "Decision",
    "Decisions",
    "Ensemble",
    "Form",
    "Head",
    "Kernel",
    "Layer",
    "LayerChoice",
    "Member",
    "Nearest",
    "NetworkSpec",
    "Position",
    "Probabilities",
    "Quantity",
    "Space",
    "SpaceCosts",
    "Stem",
    "Term",
    "cost",
    "find",
    "format_quantity",
    "is_published",
    "load",
    "load_spec",
    "names",
    "published",
    "published_ensembles",
    "published_names",
    "read_spec",
    "squeeze_width",
    "tabulate",
]


def names() -> tuple[str, ...]:
    """Names of the built-in spaces."""
    folder = resources.files("searchspace").joinpath("spaces")
    return tuple(sorted(item.name.removesuffix(".yaml") for item in folder.iterdir() if item.name.endswith(".yaml")))


def load(space: str | os.PathLike[str]) -> Space:
    """Loads a search space.

    Args:
        space: the name of a built-in one (`"movinet"`), or the path of a YAML file (with a `.yaml` or `.yml` ending
            or a folder in it).

    Raises:
        ValueError: no such space, or a file that is not one; names key, value and what is allowed.
    """
    text = os.fspath(space)
    if text in names():
        where = f"{text}.yaml"
        content = resources.files("searchspace").joinpath("spaces", where).read_text(encoding="utf-8")
        return read_space(parse_yaml(content, where), where)
    if not os.path.exists(text) and not text.endswith((".yaml", ".yml")) and os.sep not in text:
        raise ValueError(
            f"space {text!r} is not built in{nearest(text, names())}; "
            f"known: {', '.join(names())}, or the path of a YAML file"
        )
    return read_space(parse_yaml(read_text(text, "space YAML"), text), text)
