"""A family on disk: coefficients.json, a space and an architecture for each member."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import searchspace
from controller.neighbours import changes
from scaling.base import Base
from scaling.coefficients import Coefficients, published_scaling
from scaling.mapping import map_choices
from scaling.members import Member, bring
from searchspace import Architecture, Clip, Space, cost, format_quantity
from searchspace.schema import Fields, write_atomically
from training.run import read_json

SCHEMA = "movinas/family/1"
MOST_MACS = 2**62
COEFFICIENTS, SPACE, BASE = "coefficients.json", "space.yaml", "base.json"


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
    fields = _read(file)
    found = []
    for i, record in enumerate(fields.items("members", 100)):
        own = Fields(record, f"{file}: members[{i}]")
        architecture = Architecture.load(folder / Path(own.text("architecture")).name)
        found.append(
            FamilyMember(
                own.text("name"),
                own.integer("exponent", -100, 100),
                own.number("target", 0, MOST_MACS),
                architecture,
                *(own.integer(name, 0, MOST_MACS) for name in ("macs", "params", "state_bytes", "changed")),
            )
        )
    Clip.parse(fields.fields("base").text("clip"))
    return Family(folder, Coefficients.read(fields.raw("coefficients"), str(file)), tuple(found), read_json(file))


def reuse(path: Path, space: Space) -> tuple[Coefficients, float]:
    """Coefficients of an earlier family, with the ratio that they were found for.

    Args:
        path: the family's folder, or its coefficients.json.
        space: that they are wanted for.

    Raises:
        ValueError: no family there, or one of another space.
    """
    file = path / COEFFICIENTS if path.is_dir() else path
    fields = _read(file)
    theirs = file.parent / SPACE
    if theirs.is_file() and searchspace.load(theirs).decisions != space.decisions:
        raise ValueError(
            f"{file} was found for space {fields.text('space')!r} ({theirs}), whose choices differ from those of "
            f"{space.name!r}: coefficients of another space mean nothing here; give that family's base, or search anew"
        )
    return Coefficients.read(fields.raw("coefficients"), str(file)), fields.number("ratio", 1, 1e6)


def _read(file: Path) -> Fields:
    data = read_json(file)
    if data.get("schema") != SCHEMA:
        raise ValueError(f"{file} is not the coefficients.json of a family; give one that nas scale wrote")
    return Fields(data, str(file))
