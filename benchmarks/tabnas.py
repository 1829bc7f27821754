"""TabNAS's toy example (Yang et al., NeurIPS 2022): where independent categoricals reach their limit.

Run: python -m benchmarks.tabnas [SEEDS]

Nine networks of two layers, at most 25 parameters. (4, 2) is the best of them, (3, 3) has 25 parameters too and is
worse; but 4 units in the first layer are mostly met in networks that are too large.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np

from controller.adam import Schedule
from controller.arrays import Choices
from controller.reinforce import Reinforce
from controller.rewards import Reward
from controller.table import Table, read
from controller.window import Limit, Window

TABLE = Path(__file__).parents[1] / "tests" / "assets" / "tables" / "tabnas_toy.csv"
CAP = 25.0
STEPS = 500


def search(table: Table, seed: int, beta: float, reject: bool = False) -> Reinforce:
    """REINFORCE with one network a step, whose accuracy is seen without noise; `reject` keeps to the cap."""
    window = Window((Limit("parameters", table.costs, 0.0, CAP),)) if reject else None
    schedule = Schedule(STEPS, delay=0.0, total=10.0, ramp=1.0)
    searcher = Reinforce(table.decisions, seed=seed, window=window, schedule=schedule)
    reward = Reward(CAP, beta=beta)
    for step in range(STEPS):
        choices = searcher.ask(1)
        quality = table.truth[table.index(choices)]
        searcher.tell(choices, quality, reward(quality, table.costs(choices)), progress=step / STEPS)
    return searcher


def units(table: Table, choices: Choices) -> tuple[int, ...]:
    """Units of both layers, for [D]."""
    return tuple(int(table.decisions.values[d][c]) for d, c in enumerate(choices))


def likeliest(table: Table, searcher: Reinforce) -> Choices:
    """The architecture within the cap that the policy draws most often, [D]."""
    allowed = table.every[table.cost <= CAP]
    row: Choices = allowed[searcher.policy.log_prob(allowed).argmax()]
    return row


def main() -> None:
    """Prints where searches end."""
    table = read(TABLE)
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    for name, beta, reject in (
        ("absolute reward, beta -2", -2.0, False),
        ("absolute reward, beta -0.5", -0.5, False),
        ("rejection beyond the cap", 0.0, True),
    ):
        found = [search(table, seed, beta, reject) for seed in range(seeds)]
        argmax = Counter(units(table, searcher.favourite()) for searcher in found)
        within = Counter(units(table, likeliest(table, searcher)) for searcher in found)
        print(f"{name}: argmax {argmax.most_common()}, likeliest within the cap {within.most_common()}", flush=True)


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main()
