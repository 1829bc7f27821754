"""Temporal ensembles as plain data: several networks that take turns at the frames of one video.

Kondratyuk et al., arXiv 2103.11511, section 3.3: two networks are trained apart at half the frame rate over the same
duration; one of them gets its frames offset by one, so that together they see all; the mean of their logits,
unweighted, goes into the softmax. Here any number of networks, at any frame rates that divide the video's.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from searchspace.architecture import (
    MAX_NAME,
    SCHEMA,
    Architecture,
    check_kind,
    check_name,
    check_whole,
    read_clip,
    read_provenance,
)
from searchspace.clip import MAX_FRAMES, Clip
from searchspace.naming import named_after
from searchspace.schema import Fields, parse_json, plain, write_atomically
from searchspace.weights_header import read_arch_json

ENSEMBLE_SCHEMA = "movinas/ensemble/1"
MAX_MEMBERS = 16
RATE_TOLERANCE = 1e-4  # relative: a third of 25 frames a second is written 8.333333


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """One network of an ensemble.

    Attributes:
        architecture: the network; its clip says which frame rate, duration and size it is meant for.
        offset: index of its first frame in the ensemble's clip.
    """

    architecture: Architecture
    offset: int

    def __post_init__(self) -> None:
        check_kind(self.architecture, Architecture, "architecture of a member")
        check_whole(self.offset, 0, MAX_FRAMES, "offset of a member")


@dataclasses.dataclass(frozen=True)
class Ensemble:
    """Networks that see different frames of one clip and answer with the mean of their logits.

    A member takes the frames `offset, offset + stride, ...`, where its stride is the ensemble's frame rate over its
    own. Several members may take the same frame, and some frames may be taken by none. A member that is meant for
    smaller pictures than the ensemble gets them scaled in proportion (our choice).

    Attributes:
        name: for people.
        clip: frames at the full rate; each member's own clip must follow from it.
        members: all of the same classes, and all causal or none.
        provenance: where it came from; never needed to build it.
    """

    name: str
    clip: Clip
    members: tuple[Member, ...]
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        check_name(self.name)
        object.__setattr__(self, "clip", Clip.of(self.clip))
        check_kind(self.members, tuple, "members")
        check_kind(self.provenance, Mapping, "provenance")
        check_whole(len(self.members), 1, MAX_MEMBERS, "number of members")
        for i, member in enumerate(self.members):
            check_kind(member, Member, f"members[{i}]")
            self._check_member(i, member)
        if all(member.offset for member in self.members):
            offset = self.members[0].offset
            raise ValueError(f"members[0].offset is {offset}, and no other is 0; allowed: one that takes frame 0")

    def _check_member(self, i: int, member: Member) -> None:
        """The relations between members, and between a member's clip and the ensemble's."""
        own, first = member.architecture, self.members[0].architecture
        at = f"members[{i}].architecture"
        for key, value, other in (
            ("classes", own.classes, first.classes),
            ("causal", own.causal, first.causal),
        ):
            if value != other:
                raise ValueError(f"{at}.{key} is {value}, that of members[0] {other}; allowed: the same in all members")
        if not own.form.answers_clips:
            raise ValueError(
                f"{at}.head_pool is {own.form.head_pool!r}; allowed in an ensemble: '3d', one answer a clip"
            )
        ratio = self.clip.fps / own.clip.fps
        stride = round(ratio)
        here = f"{at}.clip is {own.clip}, the ensemble's clip {self.clip}"
        if stride < 1 or abs(ratio - stride) > RATE_TOLERANCE * stride:
            raise ValueError(
                f"{here}: its frame rate is {1 / ratio:.4g} of the ensemble's; allowed: 1, 1/2, 1/3, ... of it "
                f"(1/{len(self.members)} for {len(self.members)} members that take turns)"
            )
        if member.offset >= stride:
            raise ValueError(
                f"members[{i}].offset is {member.offset}; allowed: 0 to {stride - 1}, as its clip {own.clip} takes "
                f"every {stride}. frame of the ensemble's clip {self.clip}"
            )
        if self.frames(i, self.clip.frames) != own.clip.frames:
            raise ValueError(
                f"{here}, of which it takes {self.frames(i, self.clip.frames)} frames, every {stride}. from "
                f"{member.offset} on; allowed: {own.clip.frames * stride} frames in the ensemble's clip"
            )

    @classmethod
    def interleave(cls, architectures: Sequence[Architecture], name: str | None = None) -> Ensemble:
        """Networks of one frame rate and duration that take turns, as in the paper: of n, network i takes i, i + n, ...

        Raises:
            ValueError: clips of different frames or frame rates, or members that do not go together.
        """
        check_whole(len(architectures), 1, MAX_MEMBERS, "number of members")
        clips = [architecture.clip for architecture in architectures]
        count, first = len(clips), clips[0]
        for clip in clips:
            if (clip.frames, clip.fps) != (first.frames, first.fps):
                raise ValueError(
                    f"clips {first} and {clip}; allowed: one number of frames and one frame rate in members that take "
                    "turns; build other ensembles from their members"
                )
        size = max(clip.height for clip in clips), max(clip.width for clip in clips)
        names = "+".join(architecture.name for architecture in architectures)[:MAX_NAME]
        members = tuple(Member(architecture, i) for i, architecture in enumerate(architectures))
        return cls(name or names, Clip(count * first.frames, *size, count * first.fps), members)

    @property
    def classes(self) -> int:
        """Outputs of every member."""
        return self.members[0].architecture.classes

    @property
    def causal(self) -> bool:
        """Whether the members, and so the ensemble, run frame by frame."""
        return self.members[0].architecture.causal

    @property
    def receptive_frames(self) -> int:
        """Frames at the full rate that the convolutions of the member with the longest view span."""
        views = (member.architecture.receptive_frames for member in self.members)
        return max(1 + (view - 1) * self.stride(i) for i, view in enumerate(views))

    def stride(self, member: int) -> int:
        """Every how many frames a member takes one."""
        return round(self.clip.fps / self.members[member].architecture.clip.fps)

    def frames(self, member: int, frames: int) -> int:
        """How many of the first `frames` frames a member takes."""
        return len(range(self.members[member].offset, frames, self.stride(member)))

    def size(self, member: int, height: int, width: int) -> tuple[int, int]:
        """What a member sees of frames of a size: its own size where they have the ensemble's, else in proportion."""
        own = self.members[member].architecture.clip
        return (
            max(1, round(height * own.height / self.clip.height)),
            max(1, round(width * own.width / self.clip.width)),
        )

    def map(self, change: Callable[[Architecture], Architecture]) -> Ensemble:
        """The ensemble with every member's architecture changed."""
        members = (dataclasses.replace(member, architecture=change(member.architecture)) for member in self.members)
        return dataclasses.replace(self, members=tuple(members))

    def streaming(self, position_encoding: bool = False) -> Ensemble:
        """The ensemble of its members' causal forms; see `Architecture.streaming`."""
        if self.causal:
            return self
        causal = self.map(lambda architecture: architecture.streaming(position_encoding))
        return dataclasses.replace(causal, name=named_after(self.name, "-stream", MAX_NAME))

    def key(self) -> str:
        """Ten hexadecimal digits that name the layers of all members and their frames; see `Architecture.key`."""
        data = [str(self.clip), *([member.offset, member.architecture.key()] for member in self.members)]
        return hashlib.sha256(json.dumps(data).encode()).hexdigest()[:10]

    def to_dict(self) -> dict[str, Any]:
        """The content of an arch.json."""
        return {
            "schema": ENSEMBLE_SCHEMA,
            "name": self.name,
            "clip": str(self.clip),
            "members": [{"offset": m.offset, "architecture": m.architecture.to_dict()} for m in self.members],
            "provenance": plain(self.provenance, "provenance"),
        }

    def to_json(self) -> str:
        """arch.json, one layer a line; each member as it stands in a file of its own."""
        lines = []
        for key, value in self.to_dict().items():
            text = json.dumps(value, ensure_ascii=False)
            if key == "members":
                texts = [_member_text(member) for member in self.members]
                text = "\n".join(["[", ",\n".join(texts), "  ]"])
            lines.append(f"  {json.dumps(key)}: {text}")
        return "\n".join(["{", ",\n".join(lines), "}", ""])

    @classmethod
    def from_json(cls, text: str, where: str = "arch.json") -> Ensemble:
        """Reads the ensemble form of an arch.json.

        Args:
            text: the file's content.
            where: what errors call it.

        Raises:
            ValueError: as `Architecture.from_json` does, or members that do not go together.
        """
        return cls.from_dict(parse_json(text, where), where)

    @classmethod
    def from_dict(cls, data: object, where: str = "arch.json") -> Ensemble:
        """Reads the content of an arch.json; see `from_json`."""
        top = Fields(data, where)
        top.one_of("schema", [ENSEMBLE_SCHEMA])
        name = top.text("name", "unnamed", MAX_NAME)
        clip = read_clip(top)
        items = enumerate(top.items("members", MAX_MEMBERS))
        members = [_read_member(Fields(item, f"{where}.members[{i}]")) for i, item in items]
        provenance = read_provenance(top, where)
        top.done()
        try:
            return cls(name, clip, tuple(members), provenance)
        except ValueError as error:
            raise ValueError(f"{where}.{error}") from None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes arch.json to a temporary file and renames it."""
        write_atomically(path, self.to_json())


Buildable: TypeAlias = Architecture | Ensemble
"""What an arch.json holds, what is counted, and what is built."""


def read_architecture(text: str, where: str = "arch.json") -> Buildable:
    """Reads an arch.json of either form.

    Raises:
        ValueError: see `Architecture.from_json` and `Ensemble.from_json`.
    """
    data = parse_json(text, where)
    kind = Fields(data, where).one_of("schema", [SCHEMA, ENSEMBLE_SCHEMA])
    return Ensemble.from_dict(data, where) if kind == ENSEMBLE_SCHEMA else Architecture.from_dict(data, where)


def load_architecture(path: str | os.PathLike[str]) -> Buildable:
    """Loads an arch.json of either form, a network or an ensemble, or the one in the header of a safetensors file.

    Raises:
        ValueError: as `read_architecture` does, or where there is no such file or no architecture in it.
    """
    return read_architecture(*read_arch_json(path))


def _read_member(fields: Fields) -> Member:
    offset = fields.integer("offset", 0, MAX_FRAMES)
    architecture = Architecture.from_dict(fields.raw("architecture"), f"{fields.where}.architecture")
    fields.done()
    return Member(architecture, offset)


def _member_text(member: Member) -> str:
    inner = textwrap.indent(member.architecture.to_json().rstrip(), "    ").lstrip()
    return f'    {{"offset": {member.offset}, "architecture": {inner}}}'
