"""The controller on NAS-Bench-Macro: acceptance, comparison of searchers, curves; results in results/controller.jsonl.

Run: python -m benchmarks.controller acceptance|comparison|curves [--seeds 20] [--targets 50M,70M]

What stands in the results is not run again. `curves` also draws docs/regret.png.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from controller import benchmark
from controller.benchmark import CANDIDATES, Outcome, Setting
from controller.table import read
from experiments.benchmark_results import Mean, Results, curve
from experiments.commands.benchmark_command import grid
from searchspace import Budget

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "tests" / "assets" / "tables" / "nas_bench_macro.csv"
RESULTS = ROOT / "benchmarks" / "results" / "controller.jsonl"
VARIANTS: dict[str, dict[str, Any]] = {
    "uniform": {"searcher": "random", "start": "uniform"},
    "random from the budget": {"searcher": "random"},
    "evolution": {"searcher": "evolution", "start": "uniform"},
    "reinforce from zero": {"start": "uniform"},
    "reinforce from the budget": {},
    "reinforce in a window of 5 %": {"window": 0.05},
}


def acceptance(targets: list[float], seeds: int) -> Iterator[tuple[str, list[Setting]]]:
    """REINFORCE with the settings of a real search, and with three times as many candidates."""
    for looks, candidates in ((2000, CANDIDATES), (2000, 200), (160_000, 200)):
        for target in targets:
            yield (
                f"{target:g} {looks:,} looks, {candidates} candidates",
                [Setting(target=target, looks=looks, seed=seed, candidates=candidates) for seed in range(seeds)],
            )


def comparison(targets: list[float], seeds: int) -> Iterator[tuple[str, list[Setting]]]:
    """All variants at equal looks and equal re-scoring."""
    for looks in (2000, 500, 10_000):
        for target in targets:
            for name, options in VARIANTS.items():
                yield (
                    f"{target:g} {looks:,} looks, {name}",
                    [Setting(target=target, looks=looks, seed=seed, **options) for seed in range(seeds)],
                )


def curves(targets: list[float], seeds: int) -> Iterator[tuple[str, list[Setting]]]:
    """The three searchers with the settings of a real search, from 200 to 160,000 looks."""
    for seed in range(seeds):
        for target in targets:
            for searcher in ("reinforce", "random", "evolution"):
                yield (
                    f"{target:g} {searcher} seed {seed}",
                    [Setting(target=target, looks=looks, seed=seed, searcher=searcher) for looks in grid(160_000)],
                )


def report(name: str, settings: list[Setting], outcomes: list[Outcome]) -> None:
    """One line a group: regrets without and with the model, and the favourites against the target."""
    target = settings[0].target
    good = [abs(o.favourite.cost / target - 1) <= 0.05 and o.reward_regret <= 0.005 for o in outcomes]
    costs = [100 * (o.modelled.cost / target - 1) for o in outcomes]
    print(
        f"{name}: without {Mean(tuple(o.seen.regret for o in outcomes))}, "
        f"with {Mean(tuple(o.modelled.regret for o in outcomes))}; cost {min(costs):+.1f} to {max(costs):+.1f} %, "
        f"favourite good {sum(good)} of {len(good)}; images at most {max(o.images for o in outcomes):,}",
        flush=True,
    )


def main() -> None:
    """Runs what is missing of a part and prints it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("acceptance", "comparison", "curves"))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--targets", default="50M,70M", help="budgets, with commas")
    parser.add_argument("--each", action="store_true", help="also print every seed's regrets")
    args = parser.parse_args()
    targets = [Budget.parse(word).amount for word in args.targets.split(",")]
    results = Results(RESULTS, read(TABLE))
    done: list[Setting] = []
    for name, settings in globals()[args.part](targets, args.seeds):
        for setting in settings:
            if setting not in results:
                results.add(setting, benchmark.run(results.table, setting))
        outcomes = [results[setting] for setting in settings]
        done += settings
        report(name, settings, outcomes)
        if args.each:
            for pick in ("seen", "modelled"):
                print(f"  {pick}:", *(f"{100 * getattr(o, pick).regret:.2f}" for o in outcomes))
    if args.part == "curves":
        from experiments.plots import regret

        points = curve(results, done)
        assert all(math.isfinite(point.seen.mean) for point in points)
        regret.draw("NAS-Bench-Macro", points, ROOT / "docs" / "regret.png")


if __name__ == "__main__":
    main()
