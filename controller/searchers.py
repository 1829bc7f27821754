"""The searchers by name: a class that is in `SEARCHERS` can be asked for by every command and setting."""

from __future__ import annotations

from collections.abc import Sequence

from controller.adam import Schedule
from controller.arrays import Floats
from controller.evolution import Evolution
from controller.random_search import RandomSearch
from controller.reinforce import Reinforce
from controller.searcher import Known, Searcher
from controller.window import Window
from searchspace.decisions import Decisions
from searchspace.plugins import brought
from searchspace.schema import nearest

SEARCHERS: dict[str, type[Searcher]] = {kind.name: kind for kind in (Reinforce, RandomSearch, Evolution)}


def register(kind: type[Searcher]) -> type[Searcher]:
    """Adds a searcher by its `name`; raises `ValueError` where that is taken."""
    if kind.name in SEARCHERS:
        raise ValueError(f"searcher {kind.name!r}: there is one of this name; give another")
    SEARCHERS[kind.name] = kind
    brought("searcher", kind.name)
    return kind


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
        name: one of `SEARCHERS`.
        decisions: the space.
        seed: of everything random in it.
        schedule: the rate of the policy, of searchers that learn one.
        start: the distribution to start from, uniform by default.
        window: costs that every architecture asked for must have.
        known: see `Reinforce`; the others do not need it.

    Raises:
        ValueError: an unknown name.
    """
    kind, special = SEARCHERS[check(name)], {"schedule": schedule, "known": known}
    return kind(decisions, seed=seed, start=start, window=window, **{key: special[key] for key in kind.takes})


def check(name: str) -> str:
    """The name of a searcher; raises `ValueError` where there is none of that name."""
    if name not in SEARCHERS:
        raise ValueError(f"searcher {name!r}: must be one of {', '.join(SEARCHERS)}{nearest(name, SEARCHERS)}")
    return name
