"""A family on disk: coefficients.json, a space and an architecture for each member."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import searchspace
from controller.neighbours import changes
from scaling.coefficients import DIMENSIONS, Coefficients, published_scaling
from scaling.family_base import Base
from scaling.map_choices import map_choices
from scaling.members import Member, bring, name_of
from searchspace import Architecture, Clip, Space, cost, format_quantity
from searchspace.schema import show, write_atomically
from searchspace.stored import (
    AMOUNT,
    COUNT,
    SHARE,
    Each,
    Maybe,
    Number,
    Some,
    Whole,
    Words,
    conform,
    naming,
    read_json,
)
from searchspace.targets import COEFFICIENTS

SCHEMA = "movinas/family/1"
MAX_BYTES = 50_000_000
"""Of a coefficients.json; one of ten thousand trials has ten million."""

_FACTORS = dict.fromkeys((*DIMENSIONS, "macs"), AMOUNT)
FAMILY: dict[str, Any] = {
    "schema": str,
    "coefficients": dict,
    "space": str,
    "base": {"clip": str},
    "members": Some(
        {
            "name": str,
            "exponent": Whole(-100, 100),
            "target": Number(1, 2**62),
            "architecture": str,
            **dict.fromkeys(("macs", "params", "state_bytes", "changed"), COUNT),
        }
    ),
    "published": {"steps": _FACTORS, "fit": _FACTORS},
    "ratio": Number(1, 1e6),
    "growth": AMOUNT,
    "trials": [{"rungs": [{"accuracy": Maybe(SHARE)}]}],
    "points": [
        {
            "kind": Words("trial", "member", "single"),
            "number": COUNT,
            "exponent": Whole(-100, 100),
            "network": COUNT,
            "clips": COUNT,
            "seed": COUNT,
            "cost": {"macs": COUNT, "params": COUNT, "state_bytes": COUNT},
            "accuracy": SHARE,
            "held_out": Whole(1),
        }
    ],
    "verdict": Maybe({"text": str}),
    "chosen?": COUNT,
    "picture_clips?": COUNT,
    "proxies?": Each({"least": AMOUNT, "most": AMOUNT, "share": AMOUNT}),
}
"""What is read from coefficients.json; what a search adds to it is there where it has a verdict."""

SPACE, BASE = "space.yaml", "base.json"


@dataclasses.dataclass(frozen=True)
class FamilyMember:
    """A member as it was written.

    Attributes:
        name, exponent, target: see `members.Member`.
        architecture: content of its arch.json.
        macs, params, state_bytes: of it at its own clip.
        changed: decisions that bringing it to its target changed.
    """

    name: str
    exponent: int
    target: float
    architecture: Architecture
    macs: int
    params: int
    state_bytes: int
    changed: int

    def to_dict(self) -> dict[str, Any]:
        """Plain data, the architecture left to its own file."""
        data = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {**data, "clip": str(self.architecture.clip), "architecture": f"{self.name}.json"}


@dataclasses.dataclass(frozen=True)
class Family:
    """What `scale` ends with.

    Attributes:
        folder: the run, which is the family's folder.
        coefficients: of one step.
        members: ascending.
        data: the content of coefficients.json.
    """

    folder: Path
    coefficients: Coefficients
    members: tuple[FamilyMember, ...]
    data: dict[str, Any]


def mapped(base: Base, member: Member, coefficients: Coefficients) -> Architecture:
    """The base in a member's space, brought to its target.

    Raises:
        ValueError: no network of that cost was found.
    """
    member.check()
    found = bring(base.choices[None], base.space, 0, member, coefficients)
    if not found.inside[0]:
        raise ValueError(
            f"member {member.name}: no network of {format_quantity('macs', member.target)} was found near the base; "
            "give other --targets"
        )
    return member.space.architecture(
        found.choices[0], member.name, base=base.architecture.key(), exponent=member.exponent
    )


def describe(base: Base, member: Member, architecture: Architecture, coefficients: Coefficients) -> FamilyMember:
    """What is to be known about a member's architecture."""
    row = member.space.choices(architecture)
    straight = map_choices(base.choices[None], base.space, member.space, coefficients.depth**member.exponent)
    counted = cost(architecture)
    return FamilyMember(
        member.name,
        member.exponent,
        member.target,
        architecture,
        counted.macs,
        counted.params,
        counted.state_bytes,
        int(changes(member.space.decisions, straight, row[None])[0]),
    )


def write_member(folder: Path, member: Member, architecture: Architecture) -> None:
    """Writes its space, the target in a comment, and its arch.json."""
    target = format_quantity("macs", member.target)
    head = f"# {member.name}: exponent {member.exponent}, target {target} at clip {member.space.clip}.\n"
    write_atomically(folder / f"{member.name}.yaml", head + member.space.to_yaml())
    architecture.save(folder / f"{member.name}.json")


def write(
    folder: Path, base: Base, coefficients: Coefficients, found: Sequence[FamilyMember], more: dict[str, Any]
) -> Family:
    """Writes coefficients.json, last of all: a folder that has one is a whole family."""
    published = published_scaling()
    data = {
        "schema": SCHEMA,
        "coefficients": coefficients.to_dict(),
        "product": coefficients.product,
        "space": base.space.name,
        "base": {"key": base.architecture.key(), "macs": base.macs, "clip": str(base.space.clip)},
        "members": [member.to_dict() for member in found],
        "published": {"steps": dict(published.steps), "fit": dict(published.fit)},
        **more,
    }
    write_atomically(folder / COEFFICIENTS, json.dumps(data, indent=2, allow_nan=False) + "\n")
    return Family(folder, coefficients, tuple(found), data)


def load(folder: Path) -> Family:
    """Reads a family; raises `ValueError` where there is none, or it is damaged."""
    file = folder / COEFFICIENTS
    data, found = _read(file), []
    for i, record in enumerate(data["members"]):
        if record["name"] != name_of(record["exponent"]):
            raise ValueError(f"{file}: members[{i}].name is {show(record['name'])}; allowed: the name of its exponent")
        architecture = Architecture.load(folder / Path(record["architecture"]).name)
        numbers = (record[name] for name in ("macs", "params", "state_bytes", "changed"))
        found.append(FamilyMember(record["name"], record["exponent"], float(record["target"]), architecture, *numbers))
    with naming(file):
        Clip.parse(data["base"]["clip"])
    return Family(folder, Coefficients.read(data["coefficients"], str(file)), tuple(found), data)


def reuse(path: Path, space: Space) -> tuple[Coefficients, float]:
    """Coefficients of an earlier family, with the ratio that they were found for.

    Args:
        path: the family's folder, or its coefficients.json.
        space: that they are wanted for.

    Raises:
        ValueError: no family there, or one of another space.
    """
    file = path / COEFFICIENTS if path.is_dir() else path
    data = _read(file)
    theirs = file.parent / SPACE
    if theirs.is_file() and searchspace.load(theirs).decisions != space.decisions:
        raise ValueError(
            f"{file} was found for space {data['space']!r} ({theirs}), whose choices differ from those of "
            f"{space.name!r}: coefficients of another space mean nothing here; give that family's base, or search anew"
        )
    return Coefficients.read(data["coefficients"], str(file)), float(data["ratio"])


def _read(file: Path) -> dict[str, Any]:
    data: dict[str, Any] = read_json(file, dict, MAX_BYTES)
    if data.get("schema") != SCHEMA:
        raise ValueError(f"{file} is not the coefficients.json of a family; give one that nas scale wrote")
    searched = {key.removesuffix("?"): pattern for key, pattern in FAMILY.items()}
    conform(data, FAMILY if data.get("verdict") is None else searched, str(file))
    return data
