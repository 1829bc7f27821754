"""The searchers by name."""

from __future__ import annotations

from collections.abc import Sequence

from controller.adam import Schedule
from controller.arrays import Floats
from controller.evolution import Evolution
from controller.random_search import RandomSearch
from controller.reinforce import Known, Reinforce
from controller.searcher import Searcher
from controller.window import Window
from searchspace.decisions import Decisions
from searchspace.schema import nearest

NAMES = (Reinforce.name, RandomSearch.name, Evolution.name)


def create(
    name: str,
    decisions: Decisions,
    *,
    seed: int,
    schedule: Schedule,
    start: Sequence[Floats] | None = None,
    window: Window | None = None,
    known: Known | None = None,
) -> Searcher:
    """A searcher by name.

    Args:
        name: `reinforce`, `random` or `evolution`.
        decisions: the space.
        seed: of everything random in it.
        schedule: the rate of the policy; only `reinforce` has one.
        start: the distribution to start from, uniform by default.
        window: costs that every architecture asked for must have.
        known: see `Reinforce`; the others do not need it.

    Raises:
        ValueError: an unknown name.
    """
    if name == Reinforce.name:
        return Reinforce(decisions, seed=seed, schedule=schedule, start=start, window=window, known=known)
    if name == RandomSearch.name:
        return RandomSearch(decisions, seed=seed, start=start, window=window)
    if name == Evolution.name:
        return Evolution(decisions, seed=seed, start=start, window=window)
    raise ValueError(f"searcher {name!r}: must be one of {', '.join(NAMES)}{nearest(name, NAMES)}")
