"""One network as plain data: concrete layers, and the arch.json that stores them.

An arch.json needs nothing but itself: every width is written out, so it loads without the space that made it.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from searchspace.clip import Clip, ClipLike
from searchspace.cost import FLOAT_BYTES, RGB, halve, head_cost, layer_cost, stem_cost
from searchspace.form import BASE, Form
from searchspace.layer_specs import (
    MAX_BLOCKS,
    MAX_CLASSES,
    MAX_EXPAND,
    MAX_NAME,
    MAX_RATE,
    MAX_WIDTH,
    Block,
    Head,
    Layer,
    Position,
    Stem,
    check_kind,
    check_name,
    check_whole,
    read_block,
    read_clip,
    read_provenance,
    read_stem_kernel,
)
from searchspace.naming import named_after
from searchspace.quantities import Cost, Part
from searchspace.schema import Fields, plain, show
from searchspace.spec import NetworkSpec, family
from searchspace.state_shapes import state_shapes
from searchspace.weights_header import read_arch_json


@family
@dataclasses.dataclass(frozen=True)
class Architecture(NetworkSpec):
    """A MoViNet, concretely.

    Attributes:
        name: for people.
        clip: the shape that it is meant for; pre-processing follows from it (RGB in [0, 1]).
        classes: outputs of the classifier.
        stem, blocks, head: the layers.
        dropout: before the classifier.
        drop_path: stochastic depth of the last layer; it grows linearly from the first.
        form: how the layers compute: causal or not, convolutions, squeeze-excitation, activations.
        provenance: where it came from (space, seed, step, measured accuracy, cost); never needed to build it.
    """

    family = "movinet"
    schema = "movinas/architecture/1"

    name: str
    clip: Clip
    classes: int
    stem: Stem
    blocks: tuple[Block, ...]
    head: Head
    dropout: float = 0.2
    drop_path: float = 0.2
    form: Form = BASE
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        check_name(self.name)
        object.__setattr__(self, "clip", Clip.of(self.clip))
        for value, kind, what in (
            (self.stem, Stem, "stem"),
            (self.blocks, tuple, "blocks"),
            (self.head, Head, "head"),
            (self.form, Form, "form"),
            (self.provenance, Mapping, "provenance"),
        ):
            check_kind(value, kind, what)
        check_whole(self.classes, 1, MAX_CLASSES, "number of classes")
        check_whole(len(self.blocks), 1, MAX_BLOCKS, "number of blocks")
        for block in self.blocks:
            check_kind(block, Block, "block")
        for what, rate in (("dropout", self.dropout), ("drop_path", self.drop_path)):
            if type(rate) not in (int, float) or not 0 <= rate <= MAX_RATE:
                raise ValueError(f"{what} is {show(rate)}; allowed: a number from 0 to {MAX_RATE}")

    def layers(self) -> Iterator[Position]:
        """Walks the bottlenecks from input to output."""
        in_width = self.stem.width
        for b, block in enumerate(self.blocks):
            for index, layer in enumerate(block.layers):
                yield Position(b, index, in_width, block.width, layer)
                in_width = block.width

    @property
    def depth(self) -> int:
        """Number of bottlenecks."""
        return sum(len(block.layers) for block in self.blocks)

    @property
    def causal(self) -> bool:
        """Whether no frame sees a later one, so that the network also runs frame by frame."""
        return self.form.causal

    @property
    def answers_clips(self) -> bool:
        """Whether there is one answer a clip; see `Form`."""
        return self.form.answers_clips

    @property
    def receptive_frames(self) -> int:
        """Frames that the kernels and shifts above one frame of the last block see."""
        return 1 + sum(position.layer.kernel.frames(self.causal) - 1 for position in self.layers())

    def parts(self, clip: ClipLike) -> Iterator[tuple[Part, Cost]]:
        """See `NetworkSpec.parts`: the stem, each layer, the head."""
        clip, form, stem, head = Clip.of(clip), self.form, self.stem, self.head
        part = Part(stem, RGB, stem.width, clip, clip.height, clip.width, form, name="stem")
        yield part, stem_cost(stem.width, stem.kernel, clip, form)
        height, width, channels = halve(clip.height, 2), halve(clip.width, 2), stem.width
        for position in self.layers():
            layer = position.layer
            name = f"{position.block + 1}.{position.index + 1}"
            part = Part(layer, position.in_width, position.width, clip, height, width, form, name=name)
            yield part, layer_cost(layer, position.in_width, position.width, clip, height, width, form)
            height, width = halve(height, layer.stride), halve(width, layer.stride)
            channels = position.width
        part = Part(head, channels, head.width, clip, height, width, form, self.classes, "head")
        yield part, head_cost(channels, head.width, head.hidden, self.classes, clip, height, width, form)

    def saved_bytes(self, clip: ClipLike) -> int:
        """Activations of one clip that a training step keeps for its backward pass, float32, about.

        Of a bottleneck its input; the expanded tensor before BatchNorm, before and after the activation; the same
        three behind the depthwise convolution, and one more with squeeze-excitation; and the projection's output twice.
        """
        clip = Clip.of(clip)
        height, width = halve(clip.height, 2), halve(clip.width, 2)
        total = 3 * self.stem.width * height * width
        for position in self.layers():
            layer, before = position.layer, height * width
            height, width = halve(height, layer.stride), halve(width, layer.stride)
            after = height * width
            total += (position.in_width + 3 * layer.expand) * before
            total += ((4 if layer.squeeze else 3) * layer.expand + 2 * position.width) * after
        total += 3 * self.head.width * height * width
        return FLOAT_BYTES * clip.frames * total

    def weight_bytes(self) -> int:
        """Weights and BatchNorm's moving statistics of a network, float32."""
        channels = self.stem.width + self.head.width
        for position in self.layers():
            _, temporal = self.form.parts(position.layer.kernel)
            channels += position.layer.expand * (2 if temporal is None else 3)
            channels += position.width * (2 if position.has_projection else 1)
        return FLOAT_BYTES * (self.cost().params + 2 * channels)

    def last_map(self, clip: ClipLike) -> tuple[int, int]:
        """See `NetworkSpec.last_map`: that of the last layer."""
        clip = Clip.of(clip)
        height, width = halve(clip.height, 2), halve(clip.width, 2)
        for position in self.layers():
            height, width = halve(height, position.layer.stride), halve(width, position.layer.stride)
        return height, width

    def lines(self) -> list[str]:
        """One line a block, equal neighbours counted: `40 wide: 3x3x3/96+se, 2 of 3x3x3/120+se`."""
        result = []
        for block in self.blocks:
            runs = [(text, len(list(group))) for text, group in itertools.groupby(map(str, block.layers))]
            layers = ", ".join(text if count == 1 else f"{count} of {text}" for text, count in runs)
            result.append(f"{block.width} wide: {layers}")
        return result

    def form_text(self) -> str:
        """How the layers compute: `causal, 2plus1d convolutions, squeeze-excitation 2plus3d, hard_swish, gate ...`."""
        form = self.form
        words = ["causal" if form.causal else "whole clips", f"{form.convolution} convolutions"]
        squeezes = any(position.layer.squeeze for position in self.layers())
        kind = f"squeeze-excitation {form.squeeze_kind}" + ", positional encoding" * form.position_encoding
        words += [kind if squeezes else "no squeeze-excitation", form.activation]
        words += [f"gate {form.gate}"] if squeezes else []
        words += [] if form.dense_activation == BASE.dense_activation else [f"dense layer {form.dense_activation}"]
        words += [] if form.answers_clips else [f"head pool {form.head_pool}"]
        return ", ".join(words)

    def depth_text(self) -> str:
        """How deep: `26 bottlenecks in 5 blocks`."""
        return f"{self.depth} bottlenecks in {len(self.blocks)} blocks"

    def state_shapes(self, height: int, width: int) -> Mapping[str, tuple[int, ...]]:
        """See `NetworkSpec.state_shapes`."""
        if not self.causal:
            raise self.not_causal()
        return state_shapes(self.form, tuple(self.layers()), self.head.width, height, width)

    def trained_as(
        self, clip: ClipLike, classes: int | None = None, dropout: float | None = None, drop_path: float | None = None
    ) -> Architecture:
        """See `NetworkSpec.trained_as`."""
        return dataclasses.replace(
            self,
            clip=Clip.of(clip),
            classes=classes or self.classes,
            dropout=self.dropout if dropout is None else dropout,
            drop_path=self.drop_path if drop_path is None else drop_path,
        )

    def with_gate(self, gate: str) -> Architecture:
        """See `NetworkSpec.with_gate`."""
        return dataclasses.replace(self, form=dataclasses.replace(self.form, gate=gate))

    @property
    def computes(self) -> Mapping[str, object]:
        """See `NetworkSpec.computes`: the fields of `Form`."""
        return dataclasses.asdict(self.form)

    def streaming(self, position_encoding: bool = False) -> Architecture:
        """This network in the causal form of the published stream networks; a causal network stays as it is.

        Widths and kernels stay; squeeze-excitation sees twice the channels, so its hidden widths double (by the
        reference's rounding where they followed it).

        Args:
            position_encoding: see `Form`; the published A3 to A5 have it.
        """
        if self.form.causal:
            return self

        form = self.form.streaming(position_encoding)

        def wider(layer: Layer) -> Layer:
            by_rule = layer.squeeze == self.form.squeeze_width(layer.expand)
            squeeze = form.squeeze_width(layer.expand) if by_rule else layer.squeeze * form.pooled // self.form.pooled
            return dataclasses.replace(layer, squeeze=squeeze)

        blocks = [dataclasses.replace(block, layers=tuple(map(wider, block.layers))) for block in self.blocks]
        return dataclasses.replace(
            self, name=named_after(self.name, "-stream", MAX_NAME), blocks=tuple(blocks), form=form
        )

    def to_dict(self) -> dict[str, Any]:
        """The content of an arch.json."""
        return {
            "schema": self.schema,
            "family": self.family,
            "name": self.name,
            "clip": str(self.clip),
            "classes": self.classes,
            "stem": {"width": self.stem.width, "kernel": str(self.stem.kernel)},
            "blocks": [
                {
                    "width": block.width,
                    "layers": [
                        {
                            "kernel": str(layer.kernel),
                            "stride": layer.stride,
                            "expand": layer.expand,
                            "squeeze": layer.squeeze,
                        }
                        for layer in block.layers
                    ],
                }
                for block in self.blocks
            ],
            "head": {"width": self.head.width, "hidden": self.head.hidden},
            "dropout": self.dropout,
            "drop_path": self.drop_path,
            **self.form.to_dict(),
            "provenance": plain(self.provenance, "provenance"),
        }

    def to_json(self) -> str:
        """arch.json, one layer a line."""
        return _one_layer_a_line(self.to_dict())

    @classmethod
    def from_dict(cls, data: object, where: str = "arch.json") -> Architecture:
        """Reads the content of an arch.json; see `from_json`."""
        top = Fields(data, where)
        top.one_of("schema", [cls.schema])
        top.one_of("family", [cls.family], cls.family)
        name = top.text("name", "unnamed", MAX_NAME)
        clip = read_clip(top)
        classes = top.integer("classes", 1, MAX_CLASSES)
        stem_fields = top.fields("stem")
        stem = Stem(stem_fields.integer("width", 1, MAX_WIDTH), read_stem_kernel(stem_fields))
        stem_fields.done()
        blocks = tuple(
            read_block(Fields(item, f"{where}.blocks[{i}]")) for i, item in enumerate(top.items("blocks", MAX_BLOCKS))
        )
        head_fields = top.fields("head")
        head = Head(head_fields.integer("width", 1, MAX_WIDTH), head_fields.integer("hidden", 1, MAX_EXPAND))
        head_fields.done()
        result = cls(
            name=name,
            clip=clip,
            classes=classes,
            stem=stem,
            blocks=blocks,
            head=head,
            dropout=top.number("dropout", 0, MAX_RATE, 0.2),
            drop_path=top.number("drop_path", 0, MAX_RATE, 0.2),
            form=Form.read(top),
            provenance=read_provenance(top, where),
        )
        top.done()
        return result

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Architecture:
        """Loads an arch.json, or the architecture in the header of a safetensors file of ours.

        Raises:
            ValueError: as `from_json` does, or where there is no such file or no architecture in it.
        """
        return cls.from_json(*read_arch_json(path))


def _one_layer_a_line(data: dict[str, Any]) -> str:
    """Indents down to the layers and keeps each of them, and each small mapping, on a line."""
    lines = ["{"]
    for key, value in data.items():
        if key == "blocks":
            lines.append('  "blocks": [')
            for block in value:
                lines.append(f'    {{"width": {block["width"]}, "layers": [')
                lines.append(",\n".join("      " + json.dumps(layer) for layer in block["layers"]))
                lines.append("    ]},")
            lines[-1] = lines[-1].rstrip(",")
            lines.append("  ],")
        else:
            lines.append(f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)},")
    lines[-1] = lines[-1].rstrip(",")
    return "\n".join([*lines, "}", ""])
