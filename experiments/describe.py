"""An architecture in words: one line a block, one line a layer."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping

from searchspace import BASE, QUANTITIES, Architecture, Buildable, Cost, Ensemble, Layer, Position, Stem, cost
from searchspace.budget import format_quantity
from searchspace.clip import Clip
from searchspace.cost import halve, member_costs, part_costs


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
        pairs = zip(architecture.members, member_costs(architecture, clip), strict=True)
        return [
            dataclasses.replace(row, part=f"{i}: {row.part}", macs=row.macs if counted.macs else 0)
            for i, (member, counted) in enumerate(pairs, 1)
            for row in rows(member.architecture, counted.clip)
        ]
    result = []
    positions = iter(architecture.layers())
    for part, own in part_costs(architecture, clip):
        if isinstance(part.what, Stem):
            size = _size(clip, halve(clip.height, 2), halve(clip.width, 2))
            text = ("stem", f"{part.what.kernel} /2", f"3→{part.out_width}", size)
        elif isinstance(part.what, Layer):
            position, layer = next(positions), part.what
            size = _size(clip, halve(part.height, layer.stride), halve(part.width, layer.stride))
            name = f"{position.block + 1}.{position.index + 1}"
            text = (name, _words(position), f"{part.in_width}→{layer.expand}→{part.out_width}", size)
        else:
            widths = f"{part.in_width}→{part.out_width}→{part.what.hidden}→{part.classes}"
            text = ("head", "pool, dense", widths, "1x1x1")
        result.append(Row(*text, own.macs, own.params))
    total = cost(architecture, clip)
    assert sum(row.macs for row in result) == total.macs and sum(row.params for row in result) == total.params
    return result


def form_text(architecture: Buildable) -> str:
    """How the layers compute: `causal, 2plus1d convolutions, squeeze-excitation 2plus3d, hard_swish, gate sigmoid`."""
    if isinstance(architecture, Ensemble):
        return "; ".join(dict.fromkeys(form_text(member.architecture) for member in architecture.members))
    form = architecture.form
    words = ["causal" if form.causal else "whole clips", f"{form.convolution} convolutions"]
    squeezes = any(position.layer.squeeze for position in architecture.layers())
    kind = f"squeeze-excitation {form.squeeze_kind}" + ", positional encoding" * form.position_encoding
    words += [kind if squeezes else "no squeeze-excitation", form.activation]
    words += [f"gate {form.gate}"] if squeezes else []
    words += [] if form.dense_activation == BASE.dense_activation else [f"dense layer {form.dense_activation}"]
    words += [] if form.answers_clips else [f"head pool {form.head_pool}"]
    return ", ".join(words)


def origin_text(architecture: Buildable) -> str:
    """Where imported weights come from: file, source and licence as far as known; empty for others."""
    weights = architecture.provenance.get("weights")
    if not isinstance(weights, Mapping):
        return ""
    words = [str(weights[key]) for key in ("file", "source", "licence", "trained_on") if key in weights]
    words += [f"SHA-256 {str(weights['sha256'])[:12]}..."] if "sha256" in weights else []
    words += [f"BatchNorm {weights['batch_norm']}"] if "batch_norm" in weights else []
    return "; ".join(words)


def state_text(total: Cost, architecture: Buildable) -> str:
    """What a stream carries: bytes of floats, and its integer counters beside them."""
    mebibytes = total.state_bytes / 2**20
    counters = _counters(architecture)
    return f"{total.state_bytes:,} bytes ({mebibytes:.2f} MiB) a stream, float32, and {counters} counters"


def more_lines(total: Cost) -> list[tuple[str, str]]:
    """Quantities that were registered, as lines of facts."""
    return [(QUANTITIES[name].words, format_quantity(name, amount)) for name, amount in total.more]


def _counters(architecture: Buildable) -> int:
    if isinstance(architecture, Ensemble):
        return 1 + sum(_counters(member.architecture) for member in architecture.members)
    squeezes = sum(position.layer.squeeze > 0 for position in architecture.layers())
    form = architecture.form
    return squeezes * ((form.squeeze_kind != "2d") + form.position_encoding) + form.answers_clips


def layers_text(architecture: Buildable) -> str:
    """How deep: `26 bottlenecks in 5 blocks`."""
    if isinstance(architecture, Ensemble):
        return " + ".join(layers_text(member.architecture) for member in architecture.members)
    return f"{architecture.depth} bottlenecks in {len(architecture.blocks)} blocks"


def member_lines(architecture: Buildable, clip: Clip) -> list[tuple[str, str]]:
    """Of each member of an ensemble: which frames it takes, their size, and its share of the cost."""
    if not isinstance(architecture, Ensemble):
        return []
    lines = []
    for i, (member, own) in enumerate(zip(architecture.members, member_costs(architecture, clip), strict=True)):
        count = architecture.frames(i, clip.frames)
        frames = f"{count} frames of {own.clip.height}x{own.clip.width} ({turns_text(architecture, i)})"
        cost_text = f"{own.macs / 1e6:,.1f} M per clip, {own.params / 1e6:,.1f} M parameters"
        lines.append((f"member {i + 1}", f"{member.architecture.name}: {frames}, {cost_text}"))
    return lines


def turns_text(ensemble: Ensemble, member: int) -> str:
    """Which frames a member takes: `1, 3, 5, ...`."""
    first, stride = ensemble.members[member].offset, ensemble.stride(member)
    return f"{first}, {first + stride}, {first + 2 * stride}, ..."


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
