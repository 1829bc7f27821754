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

from searchspace.clip import SHIFT_SHARE, Clip, Kernel
from searchspace.form import BASE, Form
from searchspace.naming import named_after
from searchspace.schema import Fields, parse_json, plain, show, write_atomically
from searchspace.weights_header import read_arch_json

SCHEMA = "movinas/architecture/1"
STEM_KERNEL = Kernel(1, 3, 3)
MAX_WIDTH, MAX_EXPAND, MAX_BLOCKS, MAX_LAYERS, MAX_CLASSES = 4096, 16384, 16, 64, 1_000_000
MAX_RATE, MAX_NAME = 0.99, 200


def check_whole(value: object, low: int, high: int, what: str) -> None:
    """Refuses what is not a whole number in [low, high]: the dataclasses below are also built by hand."""
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{what} is {show(value)}; allowed: a whole number from {low} to {high}")


def check_kind(value: object, kind: type, what: str) -> None:
    """Refuses what is of another kind."""
    if not isinstance(value, kind):
        raise ValueError(f"{what} is {show(value)}; it must be a {kind.__name__}")


def check_name(name: object) -> None:
    """Refuses a name that does not fit on a line."""
    if not isinstance(name, str) or len(name) > MAX_NAME or not name.isprintable():
        raise ValueError(f"name is {show(name)}; allowed: printable text of at most {MAX_NAME} characters")


@dataclasses.dataclass(frozen=True, slots=True)
class Stem:
    """The first convolution: spatial stride 2, BatchNorm, activation."""

    width: int
    kernel: Kernel = STEM_KERNEL

    def __post_init__(self) -> None:
        check_whole(self.width, 1, MAX_WIDTH, "stem width")
        check_kind(self.kernel, Kernel, "stem kernel")
        if not _fits_a_stem(self.kernel):
            raise ValueError(f"stem kernel is {self.kernel}; allowed: a spatial kernel, such as 1x3x3")


@dataclasses.dataclass(frozen=True, slots=True)
class Layer:
    """One bottleneck.

    Attributes:
        kernel: of the depthwise convolution, and whether the expanded channels that it sees are shifted.
        stride: spatial stride, 1 or 2; there is no temporal stride.
        expand: channels between the two pointwise convolutions.
        squeeze: hidden channels of squeeze-excitation, 0 for none.
    """

    kernel: Kernel
    stride: int
    expand: int
    squeeze: int

    def __post_init__(self) -> None:
        check_kind(self.kernel, Kernel, "layer kernel")
        check_whole(self.stride, 1, 2, "layer stride")
        check_whole(self.expand, _least_expand(self.kernel), MAX_EXPAND, f"layer expand of kernel {self.kernel}")
        check_whole(self.squeeze, 0, MAX_EXPAND, "layer squeeze")


@dataclasses.dataclass(frozen=True, slots=True)
class Block:
    """Layers that share one output width."""

    width: int
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        check_whole(self.width, 1, MAX_WIDTH, "block width")
        check_kind(self.layers, tuple, "block layers")
        check_whole(len(self.layers), 1, MAX_LAYERS, "number of layers of a block")
        for layer in self.layers:
            check_kind(layer, Layer, "layer of a block")


@dataclasses.dataclass(frozen=True, slots=True)
class Head:
    """Pointwise convolution to `width`, global average pool, dense layer to `hidden`, classifier."""

    width: int
    hidden: int

    def __post_init__(self) -> None:
        check_whole(self.width, 1, MAX_WIDTH, "head width")
        check_whole(self.hidden, 1, MAX_EXPAND, "head hidden")


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
        form: how the layers compute: causal or not, convolutions, squeeze-excitation, activations.
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
    def receptive_frames(self) -> int:
        """Frames that the kernels and shifts above one frame of the last block see."""
        return 1 + sum(position.layer.kernel.frames(self.causal) - 1 for position in self.layers())

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
            **self.form.to_dict(),
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
        name = top.text("name", "unnamed", MAX_NAME)
        clip = read_clip(top)
        classes = top.integer("classes", 1, MAX_CLASSES)
        stem_fields = top.fields("stem")
        stem = Stem(stem_fields.integer("width", 1, MAX_WIDTH), read_stem_kernel(stem_fields))
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
            dropout=top.number("dropout", 0, MAX_RATE, 0.2),
            drop_path=top.number("drop_path", 0, MAX_RATE, 0.2),
            form=Form.read(top),
            provenance=read_provenance(top, where),
        )
        top.done()
        return result

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes arch.json to a temporary file and renames it."""
        write_atomically(path, self.to_json())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Architecture:
        """Loads an arch.json, or the architecture in the header of a safetensors file of ours.

        Raises:
            ValueError: as `from_json` does, or where there is no such file or no architecture in it.
        """
        return cls.from_json(*read_arch_json(path))


def read_clip(fields: Fields) -> Clip:
    """Reads the key `clip`."""
    text = fields.text("clip")
    try:
        return Clip.parse(text)
    except ValueError as error:
        raise ValueError(f"{fields.where}.{error}") from None


def read_kernels(fields: Fields, texts: list[Any]) -> list[Kernel]:
    """Reads values of the key `kernel`."""
    try:
        return [Kernel.parse(text) for text in texts]
    except ValueError as error:
        raise ValueError(f"{fields.where}.{error}") from None


def read_stem_kernel(fields: Fields) -> Kernel:
    """Reads the key `kernel` of a stem, which is spatial."""
    kernel = read_kernels(fields, [fields.raw("kernel")])[0]
    if not _fits_a_stem(kernel):
        raise fields.refuse("kernel", str(kernel), "a spatial kernel, such as 1x3x3")
    return kernel


def _fits_a_stem(kernel: Kernel) -> bool:
    return kernel.t == 1 and not kernel.shift


def _least_expand(kernel: Kernel) -> int:
    """So many channels that a shift moves one of them."""
    return SHIFT_SHARE if kernel.shift else 1


def _read_block(fields: Fields) -> Block:
    width = fields.integer("width", 1, MAX_WIDTH)
    layers = []
    for i, item in enumerate(fields.items("layers", MAX_LAYERS)):
        layer = Fields(item, f"{fields.where}.layers[{i}]")
        kernel = read_kernels(layer, [layer.raw("kernel")])[0]
        layers.append(
            Layer(
                kernel=kernel,
                stride=layer.integer("stride", 1, 2),
                expand=layer.integer("expand", _least_expand(kernel), MAX_EXPAND),
                squeeze=layer.integer("squeeze", 0, MAX_EXPAND),
            )
        )
        layer.done()
    fields.done()
    return Block(width, tuple(layers))


def read_provenance(top: Fields, where: str) -> dict[str, Any]:
    """Reads the key `provenance`, any plain mapping."""
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
