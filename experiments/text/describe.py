"""An architecture in words: one line a block, one line a layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from searchspace import QUANTITIES, Cost, Head, Layer, NetworkSpec, Stem, cost
from searchspace.budget import format_quantity
from searchspace.clip import Clip
from searchspace.cost import halve
from searchspace.quantities import Part


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


def rows(architecture: NetworkSpec, clip: Clip) -> list[Row]:
    """Every part from stem to head, member after member; their MACs and parameters add up to the network's."""
    result = []
    many = len(architecture.members) > 1
    for i, (member, own) in enumerate(zip(architecture.members, architecture.member_costs(clip), strict=True), 1):
        found = [_row(part, counted) for part, counted in member.architecture.parts(own.clip)]
        if many:  # a member that takes no frame of the clip costs nothing
            found = [dataclasses.replace(r, part=f"{i}: {r.part}", macs=r.macs if own.macs else 0) for r in found]
        result += found
    total = cost(architecture, clip)
    assert sum(row.macs for row in result) == total.macs and sum(row.params for row in result) == total.params
    return result


def _row(part: Part, counted: Cost) -> Row:
    what, clip = part.what, part.clip
    name, channels = part.name, f"{part.in_width}→{part.out_width}"
    height, width = part.height, part.width
    if isinstance(what, Stem):
        text, height, width = f"{what.kernel} /2", halve(height, 2), halve(width, 2)
    elif isinstance(what, Layer):
        text, height, width = _words(what), halve(height, what.stride), halve(width, what.stride)
        channels = f"{part.in_width}→{what.expand}→{part.out_width}"
    elif isinstance(what, Head):
        text, channels = "pool, dense", f"{channels}→{what.hidden}→{part.classes}"
        return Row(name, text, channels, "1x1x1", counted.macs, counted.params)
    else:
        text = str(what)
    return Row(name, text, channels, f"{clip.frames}x{height}x{width}", counted.macs, counted.params)


def origin_text(architecture: NetworkSpec) -> str:
    """Where imported weights come from: file, source and licence as far as known; empty for others."""
    weights = architecture.provenance.get("weights")
    if not isinstance(weights, Mapping):
        return ""
    words = [str(weights[key]) for key in ("file", "source", "licence", "trained_on") if key in weights]
    words += [f"SHA-256 {str(weights['sha256'])[:12]}..."] if "sha256" in weights else []
    words += [f"BatchNorm {weights['batch_norm']}"] if "batch_norm" in weights else []
    return "; ".join(words)


def state_text(total: Cost, architecture: NetworkSpec) -> str:
    """What a stream carries: bytes of floats, and its integer counters beside them."""
    mebibytes = total.state_bytes / 2**20
    shapes = architecture.state_shapes(total.clip.height, total.clip.width).values()
    counters = sum(not shape for shape in shapes)
    return f"{total.state_bytes:,} bytes ({mebibytes:.2f} MiB) a stream, float32, and {counters} counters"


def more_lines(total: Cost) -> list[tuple[str, str]]:
    """Quantities that were registered, as lines of facts."""
    return [(QUANTITIES[name].words, format_quantity(name, amount)) for name, amount in total.more]


def member_lines(architecture: NetworkSpec, clip: Clip) -> list[tuple[str, str]]:
    """Of each member of an ensemble: which frames it takes, their size, and its share of the cost."""
    if len(architecture.members) == 1:
        return []
    lines = []
    for i, (member, own) in enumerate(zip(architecture.members, architecture.member_costs(clip), strict=True)):
        count = architecture.frames(i, clip.frames)
        frames = f"{count} frames of {own.clip.height}x{own.clip.width} ({turns_text(architecture, i)})"
        cost_text = f"{own.macs / 1e6:,.1f} M per clip, {own.params / 1e6:,.1f} M parameters"
        lines.append((f"member {i + 1}", f"{member.architecture.name}: {frames}, {cost_text}"))
    return lines


def turns_text(ensemble: NetworkSpec, member: int) -> str:
    """Which frames a member takes: `1, 3, 5, ...`."""
    first, stride = ensemble.members[member].offset, ensemble.stride(member)
    return f"{first}, {first + stride}, {first + 2 * stride}, ..."


def _words(layer: Layer) -> str:
    words = [str(layer.kernel)]
    if layer.stride != 1:
        words.append(f"/{layer.stride}")
    if layer.squeeze:
        words.append(f"se{layer.squeeze}")
    return " ".join(words)
