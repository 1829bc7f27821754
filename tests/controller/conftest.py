"""Tables of trained networks, and the small space of the conformance suite."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.table import Table, read
from controller.testing import TOY, Toy

TABLES = Path(__file__).parents[1] / "assets" / "tables"


@pytest.fixture(scope="session")
def toy() -> Toy:
    """3 widths, 1-3 layers of 9 kinds: 2,457 architectures."""
    return TOY


@pytest.fixture(scope="session")
def macro() -> Table:
    """NAS-Bench-Macro: 6,561 encodings of 3,969 networks that were trained three times."""
    return read(TABLES / "nas_bench_macro.csv")


@pytest.fixture(scope="session")
def tabnas() -> Table:
    """TabNAS's toy example: nine networks."""
    return read(TABLES / "tabnas_toy.csv")
