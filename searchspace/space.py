"""A search space: a YAML file, the decisions that its walker finds in it, and the way to concrete layers and back."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from searchspace.architecture import Architecture
from searchspace.channels import read_channels
from searchspace.clip import MAX_FRAMES, MAX_SIDE, Clip, ClipLike, Kernel
from searchspace.decisions import Choices, Decision, Decisions
from searchspace.form import Form
from searchspace.layer_choices import EXPANSION, KERNEL, LAYER_CHOICES, SQUEEZE, LayerChoice, layer_of
from searchspace.layer_specs import (
    MAX_BLOCKS,
    MAX_CLASSES,
    MAX_EXPAND,
    MAX_LAYERS,
    MAX_NAME,
    MAX_RATE,
    MAX_WIDTH,
    Block,
    Head,
    Stem,
    read_clip,
    read_stem_kernel,
)
from searchspace.schema import Fields, dump_yaml

MAX_CHOICES = 36
MAX_TABLE = 20_000
MAX_NAME_OF_SPACE = 60  # characters


HEAD = "head/width"
"""Kind of the decision over the head's width, which belongs to no block."""


@dataclasses.dataclass(frozen=True, slots=True)
class BlockSpace:
    """What can be chosen in one block; widths and expansions are channels, rounded and merged.

    Attributes:
        base: the unmultiplied width; a fraction in scaled spaces, which round once.
        stride: spatial stride of the first layer.
        widths: output widths.
        depths: numbers of layers, ascending.
        layer: values of each of `LAYER_CHOICES`, in their order.
    """

    base: float
    stride: int
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    layer: tuple[tuple[Any, ...], ...]

    def values(self, choice: LayerChoice) -> tuple[Any, ...]:
        """What a layer choice can take."""
        return self.layer[LAYER_CHOICES.index(choice)]

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """Kernels of the depthwise convolutions, with or without a temporal shift."""
        return self.values(KERNEL)

    @property
    def expansions(self) -> tuple[int, ...]:
        """Channels between the pointwise convolutions."""
        return self.values(EXPANSION)

    @property
    def squeezes(self) -> tuple[bool, ...]:
        """Whether a layer may have squeeze-excitation."""
        return self.values(SQUEEZE)

    @property
    def layers(self) -> int:
        """Number of different layers."""
        return math.prod(len(values) for values in self.layer)


@dataclasses.dataclass(frozen=True, slots=True)
class Grid:
    """What the clips of scaled copies of a space are rounded to: multiples of these.

    Attributes:
        resolution: pixels of height and width.
        frames: frames.
    """

    resolution: int = 8
    frames: int = 1


@dataclasses.dataclass(frozen=True)
class Nearest:
    """The point of a space closest to an architecture.

    Attributes:
        choices: int8 [D].
        architecture: the point itself.
        changes: one line for each thing that differs, as `path: was -> is`.
    """

    choices: Choices
    architecture: Architecture
    changes: list[str]


@dataclasses.dataclass(frozen=True)
class Space:
    """A MoViNet-like search space.

    Attributes:
        name: for people and provenance.
        clip: the shape at which cost is counted unless another is asked for.
        classes: outputs of the classifier.
        stem: fixed.
        blocks: what each block offers.
        heads: widths of the head's pointwise convolution.
        hidden: width of the dense layer.
        dropout, drop_path: of the networks that come out.
        form: how they compute: causal or not, convolutions, squeeze-excitation, activations.
        grid: of the clips of its scaled copies.
        source: the file's content, from which a copy can be saved.
    """

    name: str
    clip: Clip
    classes: int
    stem: Stem
    blocks: tuple[BlockSpace, ...]
    heads: tuple[int, ...]
    hidden: int
    dropout: float
    drop_path: float
    form: Form
    grid: Grid
    source: dict[str, Any] = dataclasses.field(repr=False, compare=False)

    @functools.cached_property
    def decisions(self) -> Decisions:
        """The walk of the space, cached."""
        return Decisions.of(self.walk())

    def walk(self) -> Iterator[Decision]:
        """Yields every decision, a block's width and depth before its layers."""
        for b, block in enumerate(self.blocks):
            depth = Decision("depth", block.depths, b)
            yield Decision("width", block.widths, b)
            yield depth
            for index in range(block.depths[-1]):
                least = next(i for i, value in enumerate(block.depths) if value > index)
                condition = (depth.path, least) if least > 0 else (None, 0)
                for choice, values in zip(LAYER_CHOICES, block.layer, strict=True):
                    yield Decision(choice.kind, values, b, index, *condition)
        yield Decision(HEAD, self.heads)

    def with_classes(self, classes: int) -> Space:
        """The same space for another number of classes (1 to 1,000,000)."""
        if not 1 <= classes <= MAX_CLASSES:
            raise ValueError(f"{classes} classes: must be from 1 to {MAX_CLASSES:,}")
        return dataclasses.replace(self, classes=classes, source={**self.source, "classes": classes})

    def at(self, clip: ClipLike) -> Space:
        """The same space, its costs counted at another clip."""
        clip = Clip.of(clip)
        if clip == self.clip:
            return self
        return dataclasses.replace(self, clip=clip, source={**self.source, "clip": str(clip)})

    def streaming(self) -> Space:
        """The same choices in the causal form of the published stream networks; a causal space stays as it is."""
        if self.form.causal:
            return self
        form = self.form.streaming()
        source = {key: value for key, value in self.source.items() if key not in dataclasses.asdict(form)}
        return dataclasses.replace(self, form=form, source={**source, **form.to_dict()})

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """All kernels of all blocks, each once, in order of appearance."""
        return tuple(dict.fromkeys(kernel for block in self.blocks for kernel in block.kernels))

    def encodings(self) -> int:
        """Number of rows of choices, inactive decisions counted."""
        return math.prod(int(size) for size in self.decisions.sizes)

    def networks(self) -> int:
        """Number of distinct networks: inactive decisions not counted, equal choices merged."""
        total = len(self.heads)
        for block in self.blocks:
            total *= len(block.widths) * sum(block.layers**depth for depth in block.depths)
        return total

    def architecture(self, choices: Choices, name: str = "", **provenance: Any) -> Architecture:
        """The network that a row of choices (int8 [D]) stands for; keyword arguments become its provenance."""
        assert choices.shape == (len(self.decisions),), f"choices {choices.shape}, {len(self.decisions)} decisions"

        def value(kind: str, block: int | None = None, layer: int | None = None) -> Any:
            position = self.decisions.at(kind, block, layer)
            return self.decisions.values[position][int(choices[position])]

        blocks = []
        for b, block in enumerate(self.blocks):
            layers = []
            for index in range(value("depth", b)):
                stride = block.stride if index == 0 else 1
                layers.append(layer_of([value(c.kind, b, index) for c in LAYER_CHOICES], stride, self.form))
            blocks.append(Block(value("width", b), tuple(layers)))
        return Architecture(
            name=name or f"{self.name}-point",
            clip=self.clip,
            classes=self.classes,
            stem=self.stem,
            blocks=tuple(blocks),
            head=Head(value(HEAD), self.hidden),
            dropout=self.dropout,
            drop_path=self.drop_path,
            form=self.form,
            provenance={"space": self.name, **provenance},
        )

    def choices(self, architecture: Architecture) -> Choices:
        """The row of choices of an architecture of this space; raises `ValueError` where it is not a point of it."""
        found = self.nearest(architecture)
        if found.changes:
            more = f" and {len(found.changes) - 1} more" if len(found.changes) > 1 else ""
            raise ValueError(
                f"architecture {architecture.name!r} is not a point of space {self.name!r}: {found.changes[0]}{more}; "
                "space.nearest() gives the closest point"
            )
        return found.choices

    def nearest(self, architecture: Architecture) -> Nearest:
        """The closest point: decision by decision the closest value, ties to the smaller.

        Raises:
            ValueError: the architecture has another number of blocks.
        """
        if len(architecture.blocks) != len(self.blocks):
            raise ValueError(
                f"architecture {architecture.name!r} has {len(architecture.blocks)} blocks, space {self.name!r} "
                f"{len(self.blocks)}; only networks of as many blocks can be compared"
            )
        changes: list[str] = []

        row = np.zeros(len(self.decisions), dtype=np.int8)

        def pick(position: int, wanted: Any, distance: Callable[[Any, Any], float]) -> Any:
            decision = self.decisions.items[position]
            row[position] = np.argmin([distance(value, wanted) for value in decision.values])
            found = decision.values[row[position]]
            if found != wanted:
                changes.append(f"{decision.path}: {wanted} -> {found}")
            return found

        def close(kind: str, block: int | None, wanted: int) -> int:
            found: int = pick(self.decisions.at(kind, block), wanted, lambda value, other: float(abs(value - other)))
            return found

        for b, (block, theirs) in enumerate(zip(self.blocks, architecture.blocks, strict=True)):
            close("width", b, theirs.width)
            for index in range(close("depth", b, len(theirs.layers))):
                wanted = theirs.layers[min(index, len(theirs.layers) - 1)]
                stride = block.stride if index == 0 else 1
                path = f"blocks/{b}/layers/{index}"
                if index < len(theirs.layers) and wanted.stride != stride:
                    changes.append(f"{path}/stride: {wanted.stride} -> {stride}")
                places = [self.decisions.at(choice.kind, b, index) for choice in LAYER_CHOICES]
                values = [pick(at, c.of(wanted), c.distance) for at, c in zip(places, LAYER_CHOICES, strict=True)]
                found = layer_of(values, stride, self.form)
                differs = found.squeeze != wanted.squeeze and found.expand == wanted.expand
                if differs and found.squeeze and wanted.squeeze:
                    changes.append(f"{path}/squeeze: {wanted.squeeze} -> {found.squeeze}")
        close(HEAD, None, architecture.head.width)
        fixed: dict[str, tuple[Any, Any]] = {
            "stem/width": (architecture.stem.width, self.stem.width),
            "stem/kernel": (architecture.stem.kernel, self.stem.kernel),
            "head/hidden": (architecture.head.hidden, self.hidden),
        }
        for field in dataclasses.fields(Form):
            fixed[field.name] = (getattr(architecture.form, field.name), getattr(self.form, field.name))
        changes += [f"{path}: {was} -> {now}" for path, (was, now) in fixed.items() if was != now]
        choices = self.decisions.canonical(row)
        return Nearest(choices, self.architecture(choices, f"nearest-{architecture.name}"[:MAX_NAME]), changes)

    def largest(self) -> Choices:
        """The row with the widest and deepest choice everywhere and the last kernel, int8 [D]."""
        return (self.decisions.sizes - 1).astype(np.int8)

    def to_dict(self) -> dict[str, Any]:
        """The content of the space's YAML file."""
        return self.source

    def to_yaml(self) -> str:
        """The space's YAML file; reading it gives an equal space."""
        return dump_yaml(self.source)


def read_space(data: object, where: str) -> Space:
    """Builds a space from the content of its YAML file.

    Raises:
        ValueError: names the key, the value and what is allowed.
    """
    top = Fields(data, where)
    name = top.text("name", longest=MAX_NAME_OF_SPACE)
    clip = read_clip(top)
    classes = top.integer("classes", 1, MAX_CLASSES, 600)
    stem_fields = top.fields("stem")
    stem = Stem(stem_fields.integer("width", 1, MAX_WIDTH), read_stem_kernel(stem_fields))
    stem_fields.done()
    shared = top.fields("choices", {})
    for key in ("multipliers", "depth", *(choice.kind for choice in LAYER_CHOICES)):
        shared.raw(key, None)
    shared.done()  # first of all: a misspelt key here is missing in every block
    blocks = tuple(
        _read_block(Fields(item, f"{where}.blocks[{b}]"), shared)
        for b, item in enumerate(top.items("blocks", MAX_BLOCKS))
    )
    head = top.fields("head")
    base = _read_base(head)
    heads = read_channels(head, "multipliers", head.items("multipliers", MAX_CHOICES, [1]), head, base, MAX_WIDTH)
    hidden = head.integer("hidden", 1, MAX_EXPAND)
    head.done()
    dropout, drop_path = top.number("dropout", 0, MAX_RATE, 0.2), top.number("drop_path", 0, MAX_RATE, 0.2)
    form = Form.read(top)
    grid = _read_grid(top)
    if not form.answers_clips:
        raise ValueError(f"{where}.head_pool is {form.head_pool!r}; allowed in a space: 3d, one answer a clip")
    top.done()
    assert isinstance(data, dict)
    return Space(name, clip, classes, stem, blocks, heads, hidden, dropout, drop_path, form, grid, data)


def _read_grid(top: Fields) -> Grid:
    if not top.has("grid"):
        return Grid()
    fields = top.fields("grid")
    grid = Grid(
        fields.integer("resolution", 1, MAX_SIDE, Grid().resolution),
        fields.integer("frames", 1, MAX_FRAMES, Grid().frames),
    )
    fields.done()
    return grid


def _read_base(fields: Fields) -> float:
    """A base width: whole where people write it, with a fraction where a scaling did."""
    width = fields.number("width", 1, MAX_WIDTH)
    return int(width) if width.is_integer() else width


def _read_block(fields: Fields, shared: Fields) -> BlockSpace:
    def offered(key: str) -> tuple[Fields, list[Any]]:
        if not fields.has(key) and not shared.has(key):
            raise ValueError(f"{fields.where}: key '{key}' is missing, here and in {shared.where}")
        source = fields if fields.has(key) else shared
        return source, source.items(key, MAX_CHOICES)

    base = _read_base(fields)
    stride = fields.integer("stride", 1, 2)
    multiplier_source, multipliers = offered("multipliers")
    source, depths = offered("depth")
    for depth in depths:
        if type(depth) is not int or not 1 <= depth <= MAX_LAYERS:
            raise source.refuse("depth", depth, f"whole numbers from 1 to {MAX_LAYERS}")
    layer = [(choice, *offered(choice.kind)) for choice in LAYER_CHOICES]
    result = BlockSpace(
        base=base,
        stride=stride,
        widths=read_channels(multiplier_source, "multipliers", multipliers, fields, base, MAX_WIDTH),
        depths=tuple(sorted(set(depths))),
        layer=tuple(choice.read(source, values, fields, base) for choice, source, values in layer),
    )
    fields.done()
    if len(result.widths) ** 2 * result.layers > MAX_TABLE:
        raise ValueError(
            f"{fields.where} offers {len(result.widths)} widths and {result.layers} different layers; "
            f"allowed: widths squared x layers up to {MAX_TABLE:,}; offer fewer kernels or expansions"
        )
    return result
