"""A small space with everything that a large one has: widths that multiply, depths, conditional decisions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from controller.table import Table, read
from searchspace.cost_tables import CostModel, Term
from searchspace.decisions import Decision, Decisions

TABLES = Path(__file__).parents[1] / "assets" / "tables"
WIDTHS, DEPTHS, KERNELS, EXPANSIONS = (8, 12, 16), (1, 2, 3), ("3", "5", "7"), (2, 3, 4)


@dataclass(frozen=True)
class Toy:
    """Decisions, costs, and every distinct architecture."""

    decisions: Decisions
    costs: CostModel
    every: np.ndarray

    def cost(self, choices: np.ndarray) -> np.ndarray:
        return self.costs.of("macs", choices)

    def quality(self, choices: np.ndarray) -> np.ndarray:
        """Accuracy without noise: dearer is better with falling gain, and 5x5 fits an expansion of 3."""
        cost = self.cost(choices) / self.cost(self.every).max()
        d = self.decisions
        fits = sum(
            d.active(choices)[:, d.index(f"blocks/0/layers/{i}/kernel")]
            * (choices[:, d.index(f"blocks/0/layers/{i}/kernel")] == 1)
            * (choices[:, d.index(f"blocks/0/layers/{i}/expansion")] == 1)
            for i in range(3)
        )
        return 0.4 + 0.3 * np.sqrt(cost) + 0.06 * fits


def _toy() -> Toy:
    items = [Decision("width", WIDTHS, 0), Decision("depth", DEPTHS, 0)]
    for layer in range(3):
        parent = None if layer == 0 else "blocks/0/depth"
        items.append(Decision("kernel", KERNELS, 0, layer, parent, layer))
        items.append(Decision("expansion", EXPANSIONS, 0, layer, parent, layer))
    decisions = Decisions.of(items)
    taps = np.array([9, 25, 49])
    terms = [Term((), np.array(1000))]
    for layer in range(3):
        k, e = 2 + 2 * layer, 3 + 2 * layer
        gate = None if layer == 0 else (1, layer)
        width, expansion = np.array(WIDTHS), np.array(EXPANSIONS)
        terms.append(Term((0, e), 2 * 100 * width[:, None] * expansion, gate))
        terms.append(Term((k, e), 10 * taps[:, None] * expansion, gate))
    grid = np.indices(tuple(decisions.sizes), dtype=np.int8).reshape(len(decisions), -1).T
    every = np.unique(decisions.canonical(grid), axis=0)
    return Toy(decisions, CostModel(decisions, {"macs": terms}), every)


@pytest.fixture(scope="session")
def toy() -> Toy:
    """3 widths, 1-3 layers of 9 kinds: 2,457 architectures."""
    return _toy()


@pytest.fixture(scope="session")
def macro() -> Table:
    """NAS-Bench-Macro: 6,561 encodings of 3,969 networks that were trained three times."""
    return read(TABLES / "nas_bench_macro.csv")


@pytest.fixture(scope="session")
def tabnas() -> Table:
    """TabNAS's toy example: nine networks."""
    return read(TABLES / "tabnas_toy.csv")
