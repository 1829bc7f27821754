"""An architecture in words: one line a block, one line a layer."""

from __future__ import annotations

import dataclasses
import itertools

from searchspace import Architecture, Buildable, Ensemble, Layer, Position, cost
from searchspace.clip import Clip
from searchspace.cost import halve, head_cost, layer_cost, member_costs, stem_cost


def layer_text(layer: Layer) -> str:
    """A layer as `3x3x3/96+se`: kernel, expansion, squeeze-excitation."""
    return f"{layer.kernel}/{layer.expand}" + ("+se" if layer.squeeze else "")


def block_lines(architecture: Architecture) -> list[str]:
    """One line a block, equal neighbours counted: `40 wide: 3x3x3/96+se, 2 of 3x3x3/120+se`."""
    lines = []
    for block in architecture.blocks:
        runs = [(text, len(list(group))) for text, group in itertools.groupby(map(layer_text, block.layers))]
        layers = ", ".join(text if count == 1 else f"{count} of {text}" for text, count in runs)
        lines.append(f"{block.width} wide: {layers}")
    return lines


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """A part of a network and what it costs.

    Attributes:
        part: `stem`, `1.1` (block and layer, from one), or `head`; in an ensemble after the member: `2: 1.1`.
        layer: kernel, `/2` where it halves the map, `se` with the hidden width of squeeze-excitation.
        channels: `in→expansion→out`.
        size: frames x height x width that come out.
        macs: multiply-accumulates per clip.
        params: trainable parameters.
    """

    part: str
    layer: str
    channels: str
    size: str
    macs: int
    params: int


def rows(architecture: Buildable, clip: Clip) -> list[Row]:
    """Every part from stem to head, member after member; their MACs and parameters add up to the network's."""
    if isinstance(architecture, Ensemble):
        return [
            dataclasses.replace(row, part=f"{i}: {row.part}")
            for i, (member, counted) in enumerate(
                zip(architecture.members, member_costs(architecture, clip), strict=True), 1
            )
            for row in rows(member.architecture, counted.clip)
        ]
    height, width = halve(clip.height, 2), halve(clip.width, 2)
    stem = stem_cost(architecture.stem.width, architecture.stem.kernel, clip)
    stem_text = f"{architecture.stem.kernel} /2"
    stem_width = f"3→{architecture.stem.width}"
    result = [Row("stem", stem_text, stem_width, _size(clip, height, width), stem.macs, stem.params)]
    channels = architecture.stem.width
    for position in architecture.layers():
        layer = position.layer
        own = layer_cost(layer, position.in_width, position.width, clip, height, width)
        height, width = halve(height, layer.stride), halve(width, layer.stride)
        channels = position.width
        result.append(
            Row(
                part=f"{position.block + 1}.{position.index + 1}",
                layer=_words(position),
                channels=f"{position.in_width}→{layer.expand}→{position.width}",
                size=_size(clip, height, width),
                macs=own.macs,
                params=own.params,
            )
        )
    head = architecture.head
    own = head_cost(channels, head.width, head.hidden, architecture.classes, clip, height, width)
    widths = f"{channels}→{head.width}→{head.hidden}→{architecture.classes}"
    result.append(Row("head", "pool, dense", widths, "1x1x1", own.macs, own.params))
    total = cost(architecture, clip)
    assert sum(row.macs for row in result) == total.macs and sum(row.params for row in result) == total.params
    return result


def _words(position: Position) -> str:
    layer = position.layer
    words = [str(layer.kernel)]
    if layer.stride != 1:
        words.append(f"/{layer.stride}")
    if layer.squeeze:
        words.append(f"se{layer.squeeze}")
    return " ".join(words)


def _size(clip: Clip, height: int, width: int) -> str:
    return f"{clip.frames}x{height}x{width}"
