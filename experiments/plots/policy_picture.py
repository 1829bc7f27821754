"""How the policy moved: entropy and expected cost, and what it prefers in each layer, over the steps of a run."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from experiments.plots.figure import INK, SOFT, save, tidy
from experiments.plots.front_data import COLOURS
from experiments.plots.kernels import kernel_colours
from searchspace import LAYER_CHOICES, Kernel, LayerChoice, Space, tabulate
from searchspace.layer_choices import KERNEL
from training.run.search_run import PolicyMoment, SearchRun

Floats = npt.NDArray[np.float64]
SHARES = ("narrow", "half", "widest")

CAPTION = (
    "In the maps each row is a layer and each column a moment. Colour is the most likely kernel, the expected "
    "expansion as a share of the widest, and the probability of squeeze-excitation. A pale kernel is an undecided one; "
    "white is a layer that its block's depth leaves out."
)


def draw(run: SearchRun, path: Path) -> None:
    """Draws the picture into a PNG file.

    Raises:
        ValueError: the run has no policy yet, or its space can no longer be read.
    """
    moments = run.policy
    if not moments:
        raise ValueError(f"{run.folder} has no record of its policy yet; let it run for longer")
    space = run.space
    figure = Figure(figsize=(12, 9.5), layout="constrained")
    rows = figure.add_gridspec(2, 1, height_ratios=(1, 2.6))
    top, maps = rows[0].subgridspec(1, 3), rows[1].subgridspec(1, len(LAYER_CHOICES))
    steps = [moment.step for moment in moments]
    _lines(figure.add_subplot(top[0, 0]), run, moments)
    ratios = [width / block.base for block in space.blocks for width in block.widths]
    widest = (min(ratios), max(ratios))
    deepest = (0, max(depth for block in space.blocks for depth in block.depths))
    _per_block(figure.add_subplot(top[0, 1]), steps, _widths(space, moments), "expected width / base", widest)
    _per_block(figure.add_subplot(top[0, 2]), steps, _depths(space, moments), "expected layers", deepest)
    active = _active(space, moments)
    for column, choice in enumerate(LAYER_CHOICES):
        image, key = _preferred(space, moments, choice, active)
        _map(figure.add_subplot(maps[0, column]), space, steps, image, choice.words, key)
    figure.suptitle(f"{run.name}: how the policy moved", x=0.01, ha="left", fontsize=13, fontweight="bold", color=INK)
    figure.supxlabel("\n".join(textwrap.wrap(CAPTION, 185)), x=0.01, ha="left", fontsize=8.5, color=SOFT)
    save(figure, path)


def _lines(axes: Axes, run: SearchRun, moments: list[PolicyMoment]) -> None:
    """Entropy as a share of the start's, and expected cost over its budget where that is a sum."""
    tidy(axes)
    steps = [moment.step for moment in moments]
    start = moments[0].entropy or 1.0
    axes.plot(steps, [moment.entropy / start for moment in moments], color=COLOURS[0], label="entropy / first entropy")
    budget = run.budget
    if not budget.row.maximum:
        target = budget.limit(run.clip)
        costs = tabulate(run.space, run.clip)
        paths = run.space.decisions.paths
        expected = [
            costs.expected(budget.quantity, [np.array(moment.probabilities[path]) for path in paths])[0]
            for moment in moments
        ]
        ratios = [amount / target for amount in expected]
        axes.plot(steps, ratios, color=COLOURS[1], label="expected cost / budget")
        axes.axhline(1.0, color=SOFT, linewidth=0.9, linestyle=":")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8.5, frameon=False, loc="lower left")
    axes.set_title("entropy and cost", loc="left", fontsize=10, color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))


def _per_block(axes: Axes, steps: list[int], values: Floats, title: str, limits: tuple[float, float]) -> None:
    """One line a block, labelled at its end; values [B, M]."""
    tidy(axes)
    for block, row in enumerate(values):
        axes.plot(steps, row, color=COLOURS[block % len(COLOURS)], linewidth=1.6, label=f"block {block + 1}")
    margin = 0.04 * (limits[1] - limits[0]) or 0.1
    axes.set_ylim(limits[0] - margin, limits[1] + margin)
    axes.legend(fontsize=8.5, frameon=False, ncols=3, loc="best")
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))


def _layers(space: Space) -> list[tuple[int, int]]:
    """Block and index of every layer that may be there."""
    return [(b, index) for b, block in enumerate(space.blocks) for index in range(block.depths[-1])]


def _vectors(
    space: Space, moments: list[PolicyMoment], kind: str, block: int | None = None, layer: int | None = None
) -> Floats:
    """Probabilities of a decision, [M, values]."""
    path = space.decisions.items[space.decisions.at(kind, block, layer)].path
    vectors = np.array([moment.probabilities[path] for moment in moments], dtype=np.float64)
    return np.asarray(vectors / vectors.sum(axis=1, keepdims=True))  # the file has them rounded


def _active(space: Space, moments: list[PolicyMoment]) -> Floats:
    """Probability that a layer is there, [L, M]."""
    rows = []
    for b, index in _layers(space):
        reaches = np.array([depth > index for depth in space.blocks[b].depths])
        rows.append(_vectors(space, moments, "depth", b) @ reaches)
    return np.array(rows)


def _widths(space: Space, moments: list[PolicyMoment]) -> Floats:
    """Expected width of each block over its base width, [B, M]."""
    return np.array(
        [
            _vectors(space, moments, "width", b) @ (np.array(block.widths) / block.base)
            for b, block in enumerate(space.blocks)
        ]
    )


def _depths(space: Space, moments: list[PolicyMoment]) -> Floats:
    """Expected number of layers of each block, [B, M]."""
    return np.array(
        [_vectors(space, moments, "depth", b) @ np.array(block.depths) for b, block in enumerate(space.blocks)]
    )


def _preferred(
    space: Space, moments: list[PolicyMoment], choice: LayerChoice, active: Floats
) -> tuple[Floats, list[Patch]]:
    """The map of a layer choice, [L, M, 3], and its key: colours of kernels, shades of numbers and of yes and no."""
    if choice is KERNEL:
        return _kernels(space, moments, active), _kernel_key(space)
    names = ("never", "half", "always") if isinstance(space.blocks[0].values(choice)[0], bool) else SHARES
    return _shades(_shares(space, moments, choice), active), _shade_key(*names)


def _shares(space: Space, moments: list[PolicyMoment], choice: LayerChoice) -> Floats:
    """Expected value of a layer choice over its block's largest, of yes and no the probability of yes, [L, M]."""
    rows = []
    for b, index in _layers(space):
        values = np.array(space.blocks[b].values(choice), dtype=np.float64)
        largest = max(values.max(), 1.0)
        rows.append(_vectors(space, moments, choice.kind, b, index) @ (values / largest))
    return np.array(rows)


def _colours(space: Space) -> dict[Kernel, Floats]:
    return {kernel: np.array(to_rgb(colour)) for kernel, colour in kernel_colours(space.kernels).items()}


def _kernels(space: Space, moments: list[PolicyMoment], active: Floats) -> Floats:
    """Colours of the most likely kernels, paler the less certain they or their layers are, [L, M, 3]."""
    colours = _colours(space)
    image = np.ones((*active.shape, 3))
    for row, (b, index) in enumerate(_layers(space)):
        vectors = _vectors(space, moments, KERNEL.kind, b, index)
        own = np.array([colours[kernel] for kernel in space.blocks[b].kernels])
        least = 1 / vectors.shape[1]
        certain = (vectors.max(axis=1) - least) / (1 - least) if vectors.shape[1] > 1 else np.ones(len(vectors))
        strength = (0.3 + 0.7 * np.sqrt(certain)) * active[row]
        image[row] = 1 - strength[:, None] * (1 - own[vectors.argmax(axis=1)])
    return image


def _shades(values: Floats, active: Floats) -> Floats:
    """From pale yellow (0) through green to deep blue (1), faded to white where a layer is seldom there, [L, M, 3]."""
    anchors = np.array([to_rgb(c) for c in ("#f7f4c9", "#8fd0b0", "#2f87b5", "#123f7a")])
    scaled = np.clip(values, 0, 1) * (len(anchors) - 1)
    image = np.stack([np.interp(scaled, range(len(anchors)), anchors[:, c]) for c in range(3)], axis=-1)
    return np.asarray(1 - active[..., None] * (1 - image))


def _map(axes: Axes, space: Space, steps: list[int], image: Floats, title: str, key: list[Patch]) -> None:
    """A row a layer, blocks set apart by lines; the key stands below."""
    count = len(image)
    axes.imshow(image, aspect="auto", interpolation="nearest", extent=(0, steps[-1], count, 0))
    edges = np.cumsum([block.depths[-1] for block in space.blocks])
    for edge in edges[:-1]:
        axes.axhline(edge, color=INK, linewidth=0.8)
    starts = [0, *edges[:-1]]
    axes.set_yticks([(low + high) / 2 for low, high in zip(starts, edges, strict=True)])
    axes.set_yticklabels([f"block {b + 1}" for b in range(len(edges))], rotation=90, va="center")
    axes.tick_params(colors=SOFT, labelsize=9, length=0)
    axes.spines[:].set_color(SOFT)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_xlabel("step", color=INK)
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    axes.legend(
        handles=key,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.09),
        ncols=4,
        fontsize=8.5,
        frameon=False,
        handlelength=1.2,
        columnspacing=1.2,
    )


def _kernel_key(space: Space) -> list[Patch]:
    return [Patch(color=tuple(colour), label=str(k)) for k, colour in _colours(space).items()]


def _shade_key(*names: str) -> list[Patch]:
    shades = _shades(np.linspace(0, 1, len(names))[None], np.ones((1, len(names))))[0]
    return [Patch(color=tuple(shade), label=name) for shade, name in zip(shades, names, strict=True)]
