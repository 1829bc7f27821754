"""A network as a picture: a bar a layer, as high as it is wide; several beside one another on the same scales."""

from __future__ import annotations

import dataclasses
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from experiments.plots.figure import INK, SOFT, save, tidy
from experiments.plots.kernels import kernel_colours
from experiments.text.describe import Row, rows, turns_text
from searchspace import Architecture, Clip, ClipLike, Cost, NetworkSpec, cost

GREY = "#b4bcc4"
GAP = 1.2  # between blocks, in bars
INCHES = 0.19  # a bar
MOST_BARS = 85  # in a row of the picture
LEAST_BARS = 30  # a panel holds its title


@dataclasses.dataclass(frozen=True)
class Panel:
    """One network of the picture, and what is said above it."""

    title: str
    subtitle: str
    architecture: Architecture
    clip: Clip

    @property
    def bars(self) -> int:
        """Room it takes: its layers, stem and head, and the gaps between blocks."""
        return max(LEAST_BARS, math.ceil(_places(self.architecture)[-1]) + 2)

    @property
    def lines(self) -> list[str]:
        """The subtitle, no wider than the panel."""
        return [line for text in self.subtitle.splitlines() for line in textwrap.wrap(text, round(2.7 * self.bars))]

    @property
    def rows(self) -> list[Row]:
        """Its parts, from stem to head."""
        return rows(self.architecture, self.clip)


def draw(architectures: Sequence[NetworkSpec], path: Path, clip: ClipLike | None = None) -> None:
    """Draws networks into a PNG file; see `picture`."""
    save(picture(architectures, clip), path)


def picture(architectures: Sequence[NetworkSpec], clip: ClipLike | None = None) -> Figure:
    """Networks side by side where they fit into a row, else one below the other.

    Args:
        architectures: what to draw; an ensemble member by member.
        clip: count multiply-accumulates at this clip; by default each network's own.
    """
    at = None if clip is None else Clip.of(clip)
    groups = [_panels(architecture, at or architecture.clip) for architecture in architectures]
    everything = [panel for group in groups for panel in group]
    in_rows = _in_rows(groups)
    widest = max(sum(panel.bars for panel in row) for row in in_rows)
    key = _key(everything)
    width = max(INCHES * widest + 1.0, 4.0 + 1.0 * len(key))  # of the bars, or of the key in its one line
    figure = Figure(figsize=(width, 4.3 * len(in_rows) + 0.7), layout="constrained")
    channels = max(_highest(panel.architecture) for panel in everything)
    macs = max(row.macs for panel in everything for row in panel.rows) / 1e6
    for part, row in zip(figure.subfigures(len(in_rows), 1, squeeze=False)[:, 0], in_rows, strict=True):
        _row(part, row, widest, channels, macs)
    figure.legend(handles=key, loc="outside lower left", ncols=12, fontsize=8.5, frameon=False, handlelength=1.4)
    return figure


def _panels(architecture: NetworkSpec, clip: Clip) -> list[Panel]:
    panels, count = [], len(architecture.members)
    for i, (member, own) in enumerate(zip(architecture.members, architecture.member_costs(clip), strict=True)):
        name, text, shown = member.architecture.name, _cost_text(own), member.architecture
        if count > 1:
            name += f", member {i + 1} of {count}: frames {turns_text(architecture, i)}"
            text += f"\nof {architecture.name}, {_cost_text(cost(architecture, clip))}"
        if not isinstance(shown, Architecture):
            raise ValueError(f"{shown.name} is of family {shown.family}; pictures are drawn of family movinet")
        panels.append(Panel(name, text, shown, own.clip))
    return panels


def _cost_text(counted: Cost) -> str:
    state = f", {counted.state_bytes / 1e6:.1f} MB state" if counted.state_bytes else ""
    return f"{counted.macs / 1e6:,.0f} M MACs at {counted.clip}, {counted.params / 1e6:.1f} M parameters{state}"


def _in_rows(groups: list[list[Panel]]) -> list[list[Panel]]:
    """All in one row where that is not too wide, and no ensemble stands beside something else."""
    everything = [panel for group in groups for panel in group]
    if sum(panel.bars for panel in everything) <= MOST_BARS and (len(groups) == 1 or len(everything) == len(groups)):
        return [everything]
    fits = all(sum(panel.bars for panel in group) <= MOST_BARS for group in groups)
    return groups if fits and len(groups) > 1 else [[panel] for panel in everything]


def _highest(architecture: Architecture) -> int:
    return max(architecture.head.width, *(position.layer.expand for position in architecture.layers()))


def _row(part: SubFigure, panels: list[Panel], widest: int, channels: int, macs: float) -> None:
    widths = [panel.bars for panel in panels]
    rest = [widest - sum(widths)] if widest > sum(widths) else []  # bars are as wide in every row
    grid = part.add_gridspec(2, len(panels) + len(rest), width_ratios=widths + rest, height_ratios=(3, 1))
    for column, panel in enumerate(panels):
        top, below = part.add_subplot(grid[0, column]), part.add_subplot(grid[1, column])
        places = _places(panel.architecture)
        _bars(top, panel, places, channels)
        _say(top, panel, max(len(other.lines) for other in panels))
        _costs(below, panel, places, macs)
        if column == 0:
            top.set_ylabel("channels", color=INK)
            below.set_ylabel("M MACs", color=INK)
        for axes in (top, below):
            axes.set_xlim(-1, panel.bars - 1.5)


def _places(architecture: Architecture) -> list[float]:
    """Where the bars stand: stem, layers with a gap before each block, head."""
    places, at = [0.0], 0.0
    for position in architecture.layers():
        at += 1 + (GAP if position.index == 0 else 0)
        places.append(at)
    return [*places, at + 1 + GAP]


def _bars(axes: Axes, panel: Panel, places: list[float], highest: int) -> None:
    """Expansion of each layer as a bar in its kernel's colour, widths between layers as lines, a dot for SE."""
    tidy(axes)
    axes.grid(False, axis="x")
    architecture = panel.architecture
    colours = kernel_colours(position.layer.kernel for position in architecture.layers())
    axes.bar(places[0], architecture.stem.width, 0.8, color=GREY)
    axes.bar(places[-1], architecture.head.width, 0.8, color=GREY)
    positions = list(architecture.layers())
    for at, position in zip(places[1:-1], positions, strict=True):
        layer = position.layer
        axes.bar(at, layer.expand, 0.8, color=colours[layer.kernel])
        if layer.squeeze:
            axes.plot(at, layer.expand + 0.025 * highest, marker="o", markersize=3.2, color=INK, linestyle="none")
    sizes = [row.size.split("x", 1)[1] for row in panel.rows]
    ticks, labels = [places[0]], [f"stem\n{sizes[0]}"]
    for b, block in enumerate(architecture.blocks):
        own = [i for i, position in enumerate(positions, 1) if position.block == b]
        left, right = places[own[0]] - 0.5, places[own[-1]] + 0.5
        axes.plot([left, right], [block.width] * 2, color=INK, linewidth=2, solid_capstyle="butt")
        ticks.append((left + right) / 2)
        labels.append(f"block {b + 1}\n{sizes[own[0]]}")
    axes.set_xticks([*ticks, places[-1]], [*labels, "head"])
    axes.tick_params(axis="x", length=0, labelsize=7.5)
    axes.set_ylim(0, 1.08 * highest)


def _say(axes: Axes, panel: Panel, lines: int) -> None:
    """Title above `lines` lines of subtitle; names stand as they are, dollar signs and all."""
    title = textwrap.shorten(panel.title, round(2.0 * panel.bars), placeholder="...")
    room = 6 + 12 * lines
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", color=INK, pad=room, parse_math=False)
    below = axes.text(0, 1.02, "\n".join(panel.lines), transform=axes.transAxes, fontsize=8.5, color=SOFT, va="bottom")
    below.set_parse_math(False)


def _costs(axes: Axes, panel: Panel, places: list[float], most: float) -> None:
    tidy(axes)
    axes.grid(False, axis="x")
    axes.bar(places, [row.macs / 1e6 for row in panel.rows], 0.8, color=SOFT)
    axes.set_xticks([])
    axes.set_ylim(0, 1.08 * most)


def _key(panels: list[Panel]) -> list[Patch | Line2D]:
    layers = [position.layer for panel in panels for position in panel.architecture.layers()]
    colours = kernel_colours(layer.kernel for layer in layers)
    key: list[Patch | Line2D] = [Line2D([], [], linestyle="none", label="bars: channels inside a layer, by its kernel")]
    key += [Patch(color=colour, label=str(kernel)) for kernel, colour in colours.items()]
    key.append(Line2D([], [], color=INK, linewidth=2, label="channels out of the block"))
    if any(layer.squeeze for layer in layers):
        dot = Line2D([], [], color=INK, marker="o", markersize=3.2, linestyle="none", label="squeeze-excitation")
        key.append(dot)
    return key
