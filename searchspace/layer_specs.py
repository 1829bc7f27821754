"""The layers of a MoViNet as plain data, and how they are read from files."""

from __future__ import annotations

import dataclasses
from typing import Any

from searchspace.clip import SHIFT_SHARE, Clip, Kernel
from searchspace.schema import Fields, plain, show

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

    def __str__(self) -> str:
        """Kernel, expansion, squeeze-excitation: `3x3x3/96+se`."""
        return f"{self.kernel}/{self.expand}" + ("+se" if self.squeeze else "")


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


def read_block(fields: Fields) -> Block:
    """Reads one of the key `blocks`."""
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
