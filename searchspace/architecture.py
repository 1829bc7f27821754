"""One network as plain data: concrete layers, and the arch.json that stores them.

An arch.json needs nothing but itself: every width is written out, so it loads without the space that made it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from searchspace.clip import Clip, Kernel
from searchspace.schema import Fields, parse_json, plain, read_text, write_atomically

SCHEMA = "movinas/architecture/1"
STEM_KERNEL = Kernel(1, 3, 3)
MAX_WIDTH, MAX_EXPAND, MAX_BLOCKS, MAX_LAYERS, MAX_CLASSES = 4096, 16384, 16, 64, 1_000_000


def squeeze_width(expand: int, ratio: float = 0.25) -> int:
    """Hidden width of squeeze-excitation on `expand` channels.

    Nearest multiple of 8, at least 8, and never below 0.9 of the exact value (the rule of MobileNetV3, as the
    reference code of MoViNets applies it).
    """
    exact = expand * ratio
    width = max(8, int(exact + 4) // 8 * 8)
    return width + 8 if width < 0.9 * exact else width


@dataclasses.dataclass(frozen=True, slots=True)
class Stem:
    """The first convolution: spatial stride 2, BatchNorm, activation."""

    width: int
    kernel: Kernel = STEM_KERNEL


@dataclasses.dataclass(frozen=True, slots=True)
class Layer:
    """One bottleneck.

    Attributes:
        kernel: of the depthwise convolution.
        stride: spatial stride, 1 or 2; there is no temporal stride.
        expand: channels between the two pointwise convolutions.
        squeeze: hidden channels of squeeze-excitation, 0 for none.
    """

    kernel: Kernel
    stride: int
    expand: int
    squeeze: int


@dataclasses.dataclass(frozen=True, slots=True)
class Block:
    """Layers that share one output width."""

    width: int
    layers: tuple[Layer, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Head:
    """Pointwise convolution to `width`, global average pool, dense layer to `hidden`, classifier."""

    width: int
    hidden: int


@dataclasses.dataclass(frozen=True, slots=True)
class Position:
    """A layer where it stands in its network.

    Attributes:
        block: index of the block.
        index: index of the layer in its block.
        in_width: channels that come in.
        width: channels that go out.
        layer: the layer itself.
    """

    block: int
    index: int
    in_width: int
    width: int
    layer: Layer

    @property
    def has_projection(self) -> bool:
        """Whether the skip connection is a projection: exactly when stride or widths differ."""
        return self.layer.stride != 1 or self.in_width != self.width


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A MoViNet, concretely.

    Attributes:
        name: for people.
        clip: the shape that it is meant for; pre-processing follows from it (RGB in [0, 1]).
        classes: outputs of the classifier.
        stem, blocks, head: the layers.
        dropout: before the classifier.
        drop_path: stochastic depth of the last layer; it grows linearly from the first.
        provenance: where it came from (space, seed, step, measured accuracy, cost); never needed to build it.
    """

    name: str
    clip: Clip
    classes: int
    stem: Stem
    blocks: tuple[Block, ...]
    head: Head
    dropout: float = 0.2
    drop_path: float = 0.2
    activation: str = "swish"
    gate: str = "sigmoid"
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)

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

    def key(self) -> str:
        """Ten hexadecimal digits that name the layers (not the name, nor the provenance)."""
        data = self.to_dict()
        for field in ("name", "provenance"):
            del data[field]
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:10]

    def to_dict(self) -> dict[str, Any]:
        """The content of an arch.json."""
        return {
            "schema": SCHEMA,
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
            "activation": self.activation,
            "gate": self.gate,
            "provenance": plain(self.provenance, "provenance"),
        }

    def to_json(self) -> str:
        """arch.json, one layer a line."""
        return _one_layer_a_line(self.to_dict())

    @classmethod
    def from_json(cls, text: str, where: str = "arch.json") -> Architecture:
        """Reads an arch.json.

        Args:
            text: the file's content.
            where: what errors call it.

        Raises:
            ValueError: not JSON, a key unknown or twice, or a value that is not allowed; names key, value, remedy.
        """
        return cls.from_dict(parse_json(text, where), where)

    @classmethod
    def from_dict(cls, data: object, where: str = "arch.json") -> Architecture:
        """Reads the content of an arch.json; see `from_json`."""
        top = Fields(data, where)
        top.one_of("schema", [SCHEMA])
        name = top.text("name", "unnamed")
        clip = Clip.parse(top.text("clip"))
        classes = top.integer("classes", 1, MAX_CLASSES)
        stem_fields = top.fields("stem")
        stem = Stem(stem_fields.integer("width", 1, MAX_WIDTH), _kernel(stem_fields))
        if stem.kernel.t != 1:
            raise stem_fields.refuse("kernel", str(stem.kernel), "a spatial kernel, such as 1x3x3")
        stem_fields.done()
        blocks = tuple(
            _read_block(Fields(item, f"{where}.blocks[{i}]")) for i, item in enumerate(top.items("blocks", MAX_BLOCKS))
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
            dropout=top.number("dropout", 0, 0.99, 0.2),
            drop_path=top.number("drop_path", 0, 0.99, 0.2),
            activation=top.one_of("activation", ["swish"], "swish"),
            gate=top.one_of("gate", ["sigmoid"], "sigmoid"),
            provenance=_provenance(top, where),
        )
        top.done()
        return result

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes arch.json to a temporary file and renames it."""
        write_atomically(path, self.to_json())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Architecture:
        """Loads an arch.json; raises `ValueError` as `from_json` does, or where there is no such file."""
        return cls.from_json(read_text(path, "arch.json"), str(path))


def _kernel(fields: Fields) -> Kernel:
    try:
        return Kernel.parse(fields.raw("kernel"))
    except ValueError as error:
        raise ValueError(f"{fields.where}.{error}") from None


def _read_block(fields: Fields) -> Block:
    width = fields.integer("width", 1, MAX_WIDTH)
    layers = []
    for i, item in enumerate(fields.items("layers", MAX_LAYERS)):
        layer = Fields(item, f"{fields.where}.layers[{i}]")
        layers.append(
            Layer(
                kernel=_kernel(layer),
                stride=layer.integer("stride", 1, 2),
                expand=layer.integer("expand", 1, MAX_EXPAND),
                squeeze=layer.integer("squeeze", 0, MAX_EXPAND),
            )
        )
        layer.done()
    fields.done()
    return Block(width, tuple(layers))


def _provenance(top: Fields, where: str) -> dict[str, Any]:
    data = top.raw("provenance", {})
    if not isinstance(data, dict):
        raise top.refuse("provenance", data, "a mapping")
    result: dict[str, Any] = plain(data, f"{where}.provenance")
    return result


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
