"""Searchers against each other on a table of networks that were all trained, where the truth is known.

A table is a CSV file with one row for every combination of choices: a column a decision, a column cost, and accuracy or
accuracy1, accuracy2, ... for several trained copies (controller/table.py has the details, and the same as JSON). Each
look is noisy, right answers on 512 images of one copy. Every point of a curve is a search of that length, whose winner
is chosen by re-scoring 2,000,000 images, with and without the model over decisions. Results are kept in a folder: the
same command goes on where it stopped, and more seeds, budgets or searchers cost only what is new.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np

from controller import benchmark
from controller.benchmark import Setting
from controller.random_search import RandomSearch
from controller.searchers import SEARCHERS, check
from controller.selection import ABOVE
from controller.start import STARTS
from controller.table import Table, read
from experiments.arguments import one_of, read_by, whole
from experiments.benchmark_results import Point, Results, ahead, curve
from experiments.errors import finishing
from experiments.text import terminal as tables
from searchspace import Budget
from searchspace.naming import MAX_RUN_NAME, check_run_name, class_name
from training.machine.interrupt import Interrupt, Interrupted
from training.run import RunFolder

EXAMPLE = """  nas benchmark --table my-table.csv --budget 50M
  nas benchmark --table my-table.json --searcher reinforce,random,evolution --seeds 5 --budget 50M --looks 160000"""

FEWEST = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `nas benchmark`."""
    parser.add_argument("--table", type=Path, required=True, metavar="FILE", help="a .csv or .json table")
    parser.add_argument(
        "--searcher",
        type=read_by(_searchers),
        default=tuple(SEARCHERS),
        metavar="NAME,...",
        help=f"any of {', '.join(SEARCHERS)}, with commas (default: all)",
    )
    parser.add_argument("--seeds", type=whole(1, 1000), default=5, metavar="N", help="searches a point (default: 5)")
    parser.add_argument(
        "--budget",
        action="append",
        dest="budgets",
        type=read_by(Budget.parse),
        metavar="AMOUNT",
        help="in the unit of the table's cost, such as 50M or 12.5; several: one after the other (default: the median)",
    )
    parser.add_argument(
        "--looks",
        type=whole(FEWEST, 10_000_000),
        default=10_000,
        metavar="N",
        help=f"of the longest search; the curve goes from {FEWEST} to it (default: 10,000)",
    )
    parser.add_argument(
        "--start",
        **one_of(*STARTS),
        default="budget",
        help="where searchers start: at the budget, with the largest entropy (default), or uniform",
    )
    parser.add_argument("--name", metavar="NAME", help="of the folder of results (default: benchmark-TABLE)")
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where that folder is made")
    parser.add_argument("--json", action="store_true", help="for scripts")


def run(args: argparse.Namespace) -> int:
    """Runs what is missing, prints the results and draws them."""
    table = read(args.table)
    targets = [budget.amount for budget in args.budgets or ()] or [float(np.median(table.cost))]
    for target in targets:
        benchmark.window(table, target)
    settings = [
        Setting(target=target, looks=looks, searcher=searcher, seed=seed, start=args.start)
        for seed in range(args.seeds)
        for target in targets
        for searcher in args.searcher
        for looks in grid(args.looks)
    ]
    name = args.name if args.name is not None else f"benchmark-{class_name(table.name)}"[:MAX_RUN_NAME]
    check_run_name(name)
    folder = args.runs / name
    folder.mkdir(parents=True, exist_ok=True)
    with RunFolder(folder, {}, resumed=True):
        results = Results(folder / "results.jsonl", table)
        new = _complete(results, settings)
        points = curve(results, settings)
        with finishing(folder, "the same command"):
            from experiments.plots import regret  # which loads for a second

            regret.draw(table.name, points, folder / "regret.png")
    if args.json:
        tables.print_json([dataclasses.asdict(point) for point in points])
        return 0
    _print(table, points, args.seeds)
    print(f"{new} of {len(settings)} searches were new; wrote {folder / 'results.jsonl'}, {folder / 'regret.png'}")
    print(f"next: open {folder / 'regret.png'}, or add seeds: --seeds {2 * args.seeds}")
    return 0


def grid(most: int) -> list[int]:
    """Numbers of looks of a curve: 200, 500, 2,000, 5,000, ... and `most`."""
    numbers = [factor * 10**power for power in range(2, 8) for factor in (2, 5)]
    return [n for n in numbers if FEWEST <= n < most] + [most]


def _complete(results: Results, settings: list[Setting]) -> int:
    """Runs every search that is not known yet; returns how many there were."""
    from experiments.plots.live import Live

    missing = [setting for setting in settings if setting not in results]
    total = sum(setting.looks for setting in missing)
    done = 0
    with Interrupt() as interrupt, Live() as live:
        for number, setting in enumerate(missing):
            live.phase(f"{setting.searcher}, {setting.looks:,} looks, seed {setting.seed}", done, total)
            results.add(setting, benchmark.run(results.table, setting))
            done += setting.looks
            if interrupt.exit_code:
                raise Interrupted(
                    interrupt.exit_code,
                    f"stopped with {number + 1} of {len(missing)} searches done and kept; the same command goes on",
                )
    return len(missing)


def _searchers(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(check(name.strip()) for name in text.split(",")))


def _print(table: Table, points: list[Point], seeds: int) -> None:
    for target in dict.fromkeys(point.target for point in points):
        here = [point for point in points if point.target == target]
        searchers = list(dict.fromkeys(point.searcher for point in here))
        best = table.best(table.cost <= (1 + ABOVE) * target)
        print(
            f"table {table.name}, budget {tables.short(target)}: the best architecture within it has "
            f"{table.truth[best]:.2%}; regret in points, mean +- standard error of {seeds} seeds"
        )
        for title, pick in (("without the model", "seen"), ("with the model", "modelled")):
            rows = []
            for looks in dict.fromkeys(point.looks for point in here):
                cells = {p.searcher: str(getattr(p, pick)) for p in here if p.looks == looks}
                rows.append([f"{looks:,}", *(cells[name] for name in searchers)])
            tables.show(tables.grid(["looks", *searchers], rows, right=range(4)), title)
        longest = [point for point in here if point.looks == max(p.looks for p in here)]
        rows = [
            [
                p.searcher,
                " ".join(f"{100 * (cost / target - 1):+.1f}" for cost in p.favourite_costs),
                " ".join(f"{100 * value:.2f}" for value in p.reward_regrets),
            ]
            for p in longest
        ]
        tables.show(
            tables.grid(["searcher", "cost off the target, %", "regret of the reward, points"], rows),
            f"the searcher's own favourite after {longest[0].looks:,} looks, seed by seed",
        )
        print(verdict(longest))


def verdict(points: list[Point]) -> str:
    """Who is ahead of random search beyond the standard error, with and without the model, at one number of looks."""
    chance = next((point for point in points if point.searcher == RandomSearch.name), None)
    if chance is None or len(points) < 2 or len(chance.seen.values) < 2:
        return "to see whether a searcher beats random search: --searcher random with it, and two or more seeds"
    parts = []
    for title, pick in (("without the model", "seen"), ("with it", "modelled")):
        better = [p.searcher for p in points if p is not chance and ahead(getattr(p, pick), getattr(chance, pick))]
        parts.append(f"{title} {' and '.join(better) or 'nobody'}")
    return f"ahead of random search after {chance.looks:,} looks, beyond the standard error: {', '.join(parts)}"
