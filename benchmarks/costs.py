"""How fast costs are: one architecture at a time by closed form, many at once by tables, and a check that both agree.

Run: python benchmarks/costs.py
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from searchspace import tabulate

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

import searchspace


def main() -> None:
    """Times both on one core."""
    space = searchspace.load("movinet")
    begin = time.perf_counter()
    costs = tabulate(space)
    print(f"tables of the space: {1e3 * (time.perf_counter() - begin):.0f} ms, once")
    rows = space.decisions.sample(np.random.default_rng(0), 100_000)
    for quantity in ("macs", "params", "activation_bytes"):
        begin = time.perf_counter()
        many = costs.of(quantity, rows)
        rate = len(rows) / (time.perf_counter() - begin)
        begin = time.perf_counter()
        one = [getattr(searchspace.cost(space.architecture(row)), quantity) for row in rows[:300]]
        single = 300 / (time.perf_counter() - begin)
        assert (many[:300] == one).all()
        print(f"{quantity:17} {rate:9,.0f} architectures a second in one pass, {single:6,.0f} one at a time; equal")


if __name__ == "__main__":
    main()
