"""A family from outside, as a plugin brings it: the mean of a clip's frames, one linear layer on its pixels' means."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

import networks
from networks import VideoNetwork
from networks.temporal import State, StateLike
from searchspace import Clip, ClipLike, Cost, NetworkSpec
from searchspace.quantities import Part, count_more
from searchspace.schema import Fields
from searchspace.spec import register


@register
@dataclasses.dataclass(frozen=True)
class Toy(NetworkSpec):
    family = "toy"
    schema = "toy/1"

    name: str
    clip: Clip
    classes: int
    width: int
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)

    def parts(self, clip: ClipLike) -> Iterator[tuple[Part, Cost]]:
        clip = Clip.of(clip)
        pixels = clip.frames * clip.height * clip.width
        for what, inputs, outputs, macs in (
            ("pointwise", 3, self.width, pixels * 3 * self.width),
            ("classifier", self.width, self.classes, self.width * self.classes),
        ):
            part = Part(what, inputs, outputs, clip, clip.height, clip.width, name=what)
            counted = Cost(macs, inputs * outputs + outputs, 4 * pixels * (3 + self.width), 0, 0, clip)
            yield part, count_more(part, counted)

    def to_dict(self) -> dict[str, Any]:
        return {
            "schema": self.schema,
            "family": self.family,
            "name": self.name,
            "clip": str(self.clip),
            "classes": self.classes,
            "width": self.width,
            "provenance": dict(self.provenance),
        }

    @classmethod
    def from_dict(cls, data: object, where: str = "arch.json") -> Toy:
        top = Fields(data, where)
        top.one_of("schema", [cls.schema])
        top.one_of("family", [cls.family])
        name, clip = top.text("name"), Clip.parse(top.text("clip"))
        classes, width = top.integer("classes", 1, 1000), top.integer("width", 1, 1000)
        provenance = top.raw("provenance", {})
        top.done()
        return cls(name, clip, classes, width, provenance)


@networks.register(Toy)
class ToyNetwork(VideoNetwork[Toy]):
    def __init__(self, architecture: Toy, generator: torch.Generator | None = None) -> None:
        super().__init__(architecture)
        self.pointwise = nn.Linear(3, architecture.width)
        self.classifier = nn.Linear(architecture.width, architecture.classes)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.5, 0.5, generator=generator)

    def compute(self, clip_NCTHW: Tensor, state: StateLike | None = None, donate: bool = False) -> tuple[Tensor, State]:
        maps = torch.relu(self.pointwise(clip_NCTHW.movedim(1, -1)))
        return self.classifier(maps.mean((1, 2, 3))), State()
