"""Temporal ensembles as plain data: several networks that take turns at the frames of one video.

Kondratyuk et al., arXiv 2103.11511, section 3.3: two networks are trained apart at half the frame rate over the same
duration; one of them gets its frames offset by one, so that together they see all; the mean of their logits,
unweighted, goes into the softmax. Here any number of networks, at any frame rates that divide the video's.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from searchspace.clip import MAX_FRAMES, Clip, ClipLike
from searchspace.cost import FLOAT_BYTES, clip_bytes
from searchspace.layer_specs import MAX_NAME, check_kind, check_name, check_whole, read_clip, read_provenance
from searchspace.naming import named_after
from searchspace.quantities import QUANTITIES, Cost, Part
from searchspace.schema import Fields, plain
from searchspace.spec import Member, NetworkSpec, family, spec_of
from searchspace.state_shapes import FRAME_COUNT, LOGITS, member_name, named

MAX_MEMBERS = 16
RATE_TOLERANCE = 1e-4  # relative: a third of 25 frames a second is written 8.333333


@family
@dataclasses.dataclass(frozen=True)
class Ensemble(NetworkSpec):
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

    family = "ensemble"
    schema = "movinas/ensemble/1"

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
        if len(own.members) > 1:
            raise ValueError(f"{at} is an ensemble; allowed: networks that are none")
        if not own.answers_clips:
            raise ValueError(f"{at} answers each frame or position; allowed in an ensemble: one answer a clip")
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
    def interleave(cls, architectures: Sequence[NetworkSpec], name: str | None = None) -> Ensemble:
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

    def member_costs(self, clip: ClipLike | None = None) -> list[Cost]:
        """Cost of each member at its share of a clip; without MACs where that has no frame for it."""
        clip = self.clip if clip is None else Clip.of(clip)
        costs = []
        for i, member in enumerate(self.members):
            frames = self.frames(i, clip.frames)
            own = Clip(max(1, frames), *self.size(i, clip.height, clip.width), member.architecture.clip.fps)
            counted = member.architecture.cost(own)
            costs.append(counted if frames else dataclasses.replace(counted, macs=0))
        return costs

    def parts(self, clip: ClipLike) -> Iterator[tuple[Part, Cost]]:
        """See `NetworkSpec.parts`: those of all members, one after the other; its cost is not their sum."""
        for member, counted in zip(self.members, self.member_costs(clip), strict=True):
            yield from member.architecture.parts(counted.clip)

    def cost(self, clip: ClipLike | None = None) -> Cost:
        """Cost of the whole, each member at its share of the frames.

        Members run one after the other, each on a copy of its frames; streams carry their latest logits as well. A
        frame costs what it does on average: some are taken by one member, some by several or none.
        """
        clip = self.clip if clip is None else Clip.of(clip)
        costs = self.member_costs(clip)
        logits = FLOAT_BYTES * self.classes * len(costs) if self.causal else 0
        more = []
        for name, _ in costs[0].more:
            amounts = [dict(cost.more)[name] for cost in costs]
            if QUANTITIES[name].frame_of:
                amounts = [round(amount / self.stride(i)) for i, amount in enumerate(amounts)]
            more.append((name, functools.reduce(QUANTITIES[name].joined, amounts)))
        return Cost(
            macs=sum(cost.macs for cost in costs),
            params=sum(cost.params for cost in costs),
            activation_bytes=clip_bytes(clip) + max(cost.activation_bytes for cost in costs),
            state_bytes=sum(cost.state_bytes for cost in costs) + logits,
            frame_macs=round(sum(cost.frame_macs / self.stride(i) for i, cost in enumerate(costs))),
            clip=clip,
            more=tuple(more),
        )

    def lines(self) -> list[str]:
        """Its name alone: each member has lines of its own."""
        return [self.name]

    def form_text(self) -> str:
        """How the members compute, each way once."""
        return "; ".join(dict.fromkeys(member.architecture.form_text() for member in self.members))

    def depth_text(self) -> str:
        """How deep the members are."""
        return " + ".join(member.architecture.depth_text() for member in self.members)

    def state_shapes(self, height: int, width: int) -> Mapping[str, tuple[int, ...]]:
        """See `NetworkSpec.state_shapes`: how many frames came, and of each member its latest logits and state."""
        result: dict[str, tuple[int, ...]] = {FRAME_COUNT: ()}
        for i, member in enumerate(self.members):
            own = member.architecture.state_shapes(*self.size(i, height, width))
            result |= named({LOGITS: (self.classes,), **own}, member_name(i))
        return result

    @property
    def receptive_frames(self) -> int:
        """Frames at the full rate that the convolutions of the member with the longest view span."""
        views = (member.architecture.receptive_frames for member in self.members)
        return max(1 + (view - 1) * self.stride(i) for i, view in enumerate(views))

    def stride(self, member: int) -> int:
        """Every how many frames a member takes one."""
        return round(self.clip.fps / self.members[member].architecture.clip.fps)

    def size(self, member: int, height: int, width: int) -> tuple[int, int]:
        """What a member sees of frames of a size: its own size where they have the ensemble's, else in proportion."""
        own = self.members[member].architecture.clip
        return (
            max(1, round(height * own.height / self.clip.height)),
            max(1, round(width * own.width / self.clip.width)),
        )

    def with_classes(self, classes: int) -> Ensemble:
        """The ensemble of its members with another number of classes."""
        return self.map(lambda member: member.with_classes(classes))

    def with_gate(self, gate: str) -> Ensemble:
        """The ensemble of its members with another gate."""
        return self.map(lambda member: member.with_gate(gate))

    def map(self, change: Callable[[Any], Any]) -> Ensemble:
        """The ensemble with every member's architecture changed."""
        members = (dataclasses.replace(member, architecture=change(member.architecture)) for member in self.members)
        return dataclasses.replace(self, members=tuple(members))

    def streaming(self, position_encoding: bool = False) -> Ensemble:
        """The ensemble of its members' causal forms; see `NetworkSpec.streaming`."""
        if self.causal:
            return self
        causal = self.map(lambda architecture: architecture.streaming(position_encoding))
        return dataclasses.replace(causal, name=named_after(self.name, "-stream", MAX_NAME))

    def key(self) -> str:
        """Ten hexadecimal digits that name the layers of all members and their frames; see `NetworkSpec.key`."""
        data = [str(self.clip), *([member.offset, member.architecture.key()] for member in self.members)]
        return hashlib.sha256(json.dumps(data).encode()).hexdigest()[:10]

    def to_dict(self) -> dict[str, Any]:
        """The content of an arch.json."""
        return {
            "schema": self.schema,
            "family": self.family,
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
    def from_dict(cls, data: object, where: str = "arch.json") -> Ensemble:
        """Reads the content of an arch.json; see `from_json`."""
        top = Fields(data, where)
        top.one_of("schema", [cls.schema])
        top.one_of("family", [cls.family], cls.family)
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


def _read_member(fields: Fields) -> Member:
    offset = fields.integer("offset", 0, MAX_FRAMES)
    architecture = spec_of(fields.raw("architecture"), f"{fields.where}.architecture")
    fields.done()
    return Member(architecture, offset)


def _member_text(member: Member) -> str:
    inner = textwrap.indent(member.architecture.to_json().rstrip(), "    ").lstrip()
    return f'    {{"offset": {member.offset}, "architecture": {inner}}}'
