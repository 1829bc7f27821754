"""What a picture of a front shows, whatever draws it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from searchspace import cost, published, published_names
from searchspace.quantities import MACS, QUANTITIES
from training.run.search_run import PARETO, FrontPoint, Look, SearchRun

MAX_LOOKS = 2000
COLOURS = ("#1668b8", "#c8442f", "#2a8a57", "#b97309", "#7a4fbf", "#0b8494", "#a83a78", "#5d6b1f")
"""One a run; readable on white and on near-black, told apart by people with red-green blindness by lightness."""


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    """A scored network of the picture.

    Attributes:
        x: cost, in the picture's quantity.
        scored: the row of pareto.csv.
        text: one line a block; empty where the run's space can no longer be read.
        copy: what a click copies: the path of its arch.json, or its choices.
    """

    x: int
    scored: FrontPoint
    text: tuple[str, ...]
    copy: str


@dataclasses.dataclass(frozen=True, slots=True)
class Series:
    """One run.

    Attributes:
        name: of the run.
        colour: `#rrggbb`.
        points: cheapest first.
        looks: (cost, accuracy) of training looks, at most `MAX_LOOKS`, evenly picked.
        looks_in_all: how many there were.
    """

    name: str
    colour: str
    points: tuple[Point, ...]
    looks: tuple[tuple[int, float], ...]
    looks_in_all: int

    @property
    def staircase(self) -> list[tuple[int, float]]:
        """Best accuracy among the front's networks that cost no more, as corners (cost, accuracy)."""
        corners: list[tuple[int, float]] = []
        for point in self.points:
            if point.scored.on_front and (not corners or point.scored.accuracy > corners[-1][1]):
                corners.append((point.x, point.scored.accuracy))
        return corners

    @property
    def winner(self) -> Point | None:
        """The run's result."""
        return next((point for point in self.points if point.scored.winner), None)


@dataclasses.dataclass(frozen=True, slots=True)
class FrontPicture:
    """Everything in the picture.

    Attributes:
        title: of the picture.
        caption: what was measured, in a sentence or two.
        quantity: of the horizontal axis, by name: that of the budget, where all runs have one of it.
        axis: the axis in words.
        target: of the budget, in the quantity, or None where the runs have several or another quantity.
        published: names and costs of the published networks, at the runs' clip.
        chance: accuracy of guessing.
        series: the runs.
    """

    title: str
    caption: str
    quantity: str
    axis: str
    target: float | None
    published: tuple[tuple[str, int], ...]
    chance: float
    series: tuple[Series, ...]

    @property
    def costs(self) -> tuple[float, float]:
        """Range of the horizontal axis: every network and the target, with a margin."""
        values: list[float] = [point.x for series in self.series for point in series.points]
        values += [self.target] if self.target else []
        margin = 0.06 * (max(values) - min(values)) or 0.05 * max(values)
        return min(values) - margin, max(values) + margin

    @property
    def highest(self) -> float:
        """Top of the vertical axis, which begins at 0."""
        values = [point.scored.high for series in self.series for point in series.points]
        return min(1.0, max(values) + 0.03)


def gather(runs: Sequence[SearchRun]) -> FrontPicture:
    """Collects the picture of one or several finished runs.

    Raises:
        ValueError: a run is not finished, or two of them count cost at different clips.
    """
    if not runs:
        raise ValueError("no run to plot; give one or more")
    if len({run.folder.resolve() for run in runs}) < len(runs):
        raise ValueError("a run is given twice; give each once")
    for run in runs:
        if run.finished and not run.front:
            raise ValueError(f"{run.folder / PARETO} has no rows; restore the file from a copy")
    budgets = [run.summary["budget"] for run in runs]
    clips = {run.name: run.clip for run in runs}
    for run in runs[1:]:
        if run.clip != runs[0].clip:
            raise ValueError(
                f"{runs[0].name} counts cost at clip {runs[0].clip}, {run.name} at {run.clip}: they cannot share "
                "an axis; plot them apart"
            )
    quantities = {str(budget["quantity"]) for budget in budgets}
    row = QUANTITIES[quantities.pop()] if len(quantities) == 1 else MACS
    targets = {budget["target"] for budget in budgets if budget["quantity"] == row.name}
    clip, stream = runs[0].clip, all(run.config.get("stream", False) for run in runs)
    known = [(name, cost(published(name, stream), clip)) for name in published_names()]
    names = _names(runs)
    series = tuple(_series(run, name, row.name, i) for i, (run, name) in enumerate(zip(runs, names, strict=True)))
    clips_scored = sorted({point.scored.clips for item in series for point in item.points})
    classes = {int(run.summary["classes"]) for run in runs}
    return FrontPicture(
        title=f"{', '.join(clips)}: accuracy against cost",
        caption=(
            f"Networks scored with the shared weights at the end of the search, on the same "
            f"{' or '.join(f'{count:,}' for count in clips_scored)} held-out clips; bars are 95 % intervals. "
            "Faint dots are looks during training. The front is by loss, the line is the best accuracy on it."
        ),
        quantity=row.name,
        axis=f"{row.axis} {clip}" if row.per_clip else row.axis,
        target=float(targets.pop()) if len(targets) == 1 else None,
        published=tuple((name, row.amount(counted)) for name, counted in known if row.amount(counted)),
        chance=1 / max(classes),
        series=series,
    )


def _names(runs: Sequence[SearchRun]) -> list[str]:
    """Folder names, or whole paths where two runs have one name."""
    names = [run.name for run in runs]
    return names if len(set(names)) == len(names) else [str(run.folder) for run in runs]


def _series(run: SearchRun, name: str, quantity: str, number: int) -> Series:
    points = []
    for scored, x in zip(run.front, _amounts(run, quantity, run.front), strict=True):
        architecture = run.describe(scored.choices)
        points.append(
            Point(
                x=x,
                scored=scored,
                text=tuple(architecture.lines()) if architecture is not None else (),
                copy=str(run.folder / scored.path) if scored.path else scored.choices,
            )
        )
    step = max(1, -(-len(run.looks) // MAX_LOOKS))
    looks = run.looks[::step]
    return Series(
        name=name,
        colour=COLOURS[number % len(COLOURS)],
        points=tuple(sorted(points, key=lambda point: point.x)),
        looks=tuple((x, look.quality) for x, look in zip(_amounts(run, quantity, looks), looks, strict=True)),
        looks_in_all=len(run.looks),
    )


def _amounts(run: SearchRun, quantity: str, networks: Sequence[FrontPoint | Look]) -> list[int]:
    """The files hold multiply-accumulates; other quantities are counted again."""
    if quantity == MACS.name:
        return [network.macs for network in networks]
    return run.amounts(quantity, [network.choices for network in networks])
