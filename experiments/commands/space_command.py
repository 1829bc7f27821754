"""A search space: how large, what is decided, the cheapest and dearest network, and what uniform samples cost."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.table import Table

import searchspace
from experiments.arguments import read_by
from experiments.text import terminal as tables
from searchspace import LAYER_CHOICES, Architecture, Budget, Clip, Space, format_quantity, tabulate
from searchspace.budget import budget_text
from searchspace.commands import command
from searchspace.quantities import QUANTITIES, counted_names
from training.search.budget_bounds import check_budgets
from training.search.search_config import SearchConfig
from video.motion_classes import MOTION_CLASSES

EXAMPLE = """  nas space movinet --budget 600MFLOPs
  nas space my.yaml --clip 16x172x172@10"""

SAMPLES = 20_000
PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
BINS, BAR = 16, 44


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `nas space`."""
    parser.add_argument("space", metavar="SPACE", help=f"{', '.join(searchspace.names())}, or a YAML file")
    parser.add_argument("--clip", type=read_by(Clip.parse), metavar="TxHxW@FPS", help="count at this clip")
    parser.add_argument("--budget", type=read_by(Budget.parse), help="say what share of the space lies below it")
    parser.add_argument("--stream", action="store_true", help="its causal form, which runs frame by frame")
    parser.add_argument("--seed", type=int, default=0, help="of the samples")
    parser.add_argument("--json", action="store_true", help="for scripts")


def run(args: argparse.Namespace) -> int:
    """Prints the space."""
    space = searchspace.load(args.space)
    if args.stream:
        space = space.streaming()
    if args.budget:
        args.budget = args.budget.of_form(space.form)
    clip = args.clip or space.clip
    quantity = args.budget.quantity if args.budget else "macs"
    values = sampled_costs(space, clip, quantity, args.seed)
    share = float(np.mean(values <= args.budget.limit(clip))) if args.budget else None
    if args.json:
        tables.print_json(_data(space, clip, quantity, values, share))
        return 0
    rows, table = _decisions(space)
    tables.show(tables.facts([*_facts(space, clip), *rows]), f"space {space.name}")
    tables.show(table)
    for title, architecture in _extremes(space, clip, quantity):
        lines = architecture.lines()
        tables.show(tables.facts([(f"block {i}", line) for i, line in enumerate(lines, start=1)]), title)
        print()
    unit = _Unit(quantity, float(values.max()))
    print(f"cost of {SAMPLES:,} uniform samples at {clip}:", end=" ")
    print(f"mean {unit(values.mean())}, standard deviation {unit(values.std())}")
    print("percentiles: " + ", ".join(f"{p} % {unit(v)}" for p, v in _percentiles(values).items()))
    for line in histogram(values, unit, args.budget.limit(clip) if args.budget else None):
        print(line)
    if args.budget:
        print(f"{share:.1%} of uniform samples cost at most {args.budget.echo(clip)}")
    budget = _searchable(space, clip, args.budget, values)
    clip_flag = None if args.clip is None else str(clip)
    flags = {"space": args.space, "clip": clip_flag, "stream": args.stream, "budget": budget, "dry_run": True}
    print(f"next: {command('search', **flags)}")
    return 0


def _searchable(space: Space, clip: Clip, budget: Budget | None, values: npt.NDArray[np.int64]) -> str:
    """A budget that a search of the space on the built-in data takes: that which was given, or one near the middle."""
    space = space.with_classes(len(MOTION_CLASSES))
    quantity = budget.quantity if budget else "macs"
    middle = tabulate(space, clip).of(quantity, space.decisions.sample(np.random.default_rng(0), 1))[0]
    for text in (budget.text if budget else SearchConfig.budgets[0], budget_text(quantity, float(np.median(values)))):
        try:
            check_budgets(space, clip, [Budget.parse(text)], SearchConfig.seed)
            return text
        except ValueError:
            continue
    return budget_text(quantity, float(middle))


class _Unit:
    """Renders costs in one unit, so that they can be compared at a glance."""

    def __init__(self, quantity: str, largest: float) -> None:
        self._name, self._scale = ("M", 1e6) if largest >= 1e6 else ("k", 1e3)
        unit = QUANTITIES[quantity].unit
        self._name += "" if unit.startswith(" ") else unit.partition(" ")[0]
        self._digits = 0 if largest >= 100 * self._scale else 1

    def __call__(self, value: float) -> str:
        return f"{float(value) / self._scale:,.{self._digits}f} {self._name}"


def sampled_costs(space: Space, clip: Clip, quantity: str, seed: int) -> npt.NDArray[np.int64]:
    """Costs of uniform samples of a space, int64 [SAMPLES]."""
    choices = space.decisions.sample(np.random.default_rng(seed), SAMPLES)
    return tabulate(space, clip).of(quantity, choices)


def histogram(values: npt.NDArray[np.int64], unit: _Unit, mark: float | None = None) -> list[str]:
    """A histogram in text, 16 lines; `mark` points out the line in which a budget lies."""
    low, high = np.percentile(values, (0.1, 99.9))
    edges = np.linspace(low, high, BINS + 1)
    counts, _ = np.histogram(np.clip(values, low, high), edges)
    lines = []
    for count, left, right in zip(counts, edges[:-1], edges[1:], strict=True):
        here = mark is not None and left <= mark < right
        text = f"{unit(left):>10} {tables.bar(count / max(counts), BAR):<{BAR}} {count / len(values):6.1%}"
        lines.append(text + ("  < the budget" if here else ""))
    return lines


def _facts(space: Space, clip: Clip) -> list[tuple[str, Any]]:
    return [
        ("encodings", f"{tables.power_of_ten(space.encodings())} (rows of choices)"),
        (
            "networks",
            f"{tables.power_of_ten(space.networks())} (distinct: layers beyond a block's depth do not count)",
        ),
        ("decisions", len(space.decisions)),
        ("clip", f"{clip} (frames x height x width @ frames per second)"),
        ("stem", f"{space.stem.width} wide, {space.stem.kernel}"),
        ("head", f"{_list(space.heads)} wide, then {space.hidden}"),
    ]


def _decisions(space: Space) -> tuple[list[tuple[str, str]], Table]:
    """What all blocks offer alike, and a table of the rest with one line a block."""
    columns: dict[str, list[str]] = {
        "stride": [str(block.stride) for block in space.blocks],
        "width": [_list(block.widths) for block in space.blocks],
        "layers": [_list(block.depths) for block in space.blocks],
    }
    columns |= {choice.words: [_list(block.values(choice)) for block in space.blocks] for choice in LAYER_CHOICES}
    shared = [(f"each {name}", values[0]) for name, values in columns.items() if len(set(values)) == 1]
    own = {name: values for name, values in columns.items() if len(set(values)) > 1}
    rows = [(number, *values) for number, values in enumerate(zip(*own.values(), strict=True), start=1)]
    return shared, tables.grid(("block", *own), rows)


def _extremes(space: Space, clip: Clip, quantity: str) -> list[tuple[str, Architecture]]:
    costs = tabulate(space, clip)
    result = []
    for name, dearest in (("cheapest", False), ("dearest", True)):
        choices = costs.extreme(quantity, dearest)
        value = float(costs.of(quantity, choices[None])[0])
        result.append((f"{name}: {format_quantity(quantity, value)}", space.architecture(choices, name)))
    return result


def _data(
    space: Space, clip: Clip, quantity: str, values: npt.NDArray[np.int64], share: float | None
) -> dict[str, Any]:
    costs = tabulate(space, clip)
    return {
        "name": space.name,
        "clip": str(clip),
        "encodings": str(space.encodings()),
        "networks": str(space.networks()),
        "decisions": {path: [_plain(v) for v in values] for path, values in _table(space).items()},
        "bounds": {name: list(costs.bounds(name)) for name in counted_names()},
        "cheapest": space.architecture(costs.extreme(quantity, False), "cheapest").to_dict(),
        "dearest": space.architecture(costs.extreme(quantity, True), "dearest").to_dict(),
        "uniform": {
            "quantity": quantity,
            "samples": len(values),
            "mean": float(values.mean()),
            "std": float(values.std()),
            "percentiles": {str(p): v for p, v in _percentiles(values).items()},
            "share_below_budget": share,
        },
    }


def _table(space: Space) -> dict[str, tuple[Any, ...]]:
    return dict(zip(space.decisions.paths, space.decisions.values, strict=True))


def _plain(value: object) -> object:
    return value if isinstance(value, (bool, int, float)) else str(value)


def _percentiles(values: npt.NDArray[np.int64]) -> dict[int, float]:
    return {p: float(v) for p, v in zip(PERCENTILES, np.percentile(values, PERCENTILES), strict=True)}


def _list(values: tuple[Any, ...]) -> str:
    words = {True: "on", False: "off"}
    return " ".join(words[value] if isinstance(value, bool) else str(value) for value in values)
