"""Results of searches on a table: kept line by line, so that nothing is computed twice, and summed up over seeds."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from controller.benchmark import Choice, Outcome, Setting
from controller.table import Table
from searchspace.stored import AMOUNT, COUNT, read_records
from training.run.ledger import Ledger

_CHOICE = {"architecture": str, "cost": AMOUNT, "regret": float}
RESULT = {
    "table": str,
    "setting": dict,
    "outcome": {
        "favourite": _CHOICE,
        "seen": _CHOICE,
        "modelled": _CHOICE,
        "reward_regret": float,
        "images": COUNT,
    },
}
"""A line of results.jsonl."""


class Results:
    """The outcomes of searches on one table, in an append-only file that may hold other tables' too.

    Attributes:
        table: what was searched.
    """

    def __init__(self, path: Path, table: Table) -> None:
        self.table = table
        self._ledger = Ledger(path)
        self._known: dict[str, Outcome] = {}
        for record in read_records(path, RESULT):
            if record["table"] == table.digest:
                self._known[json.dumps(record["setting"])] = _outcome(record["outcome"])

    def __contains__(self, setting: Setting) -> bool:
        return _key(setting) in self._known

    def __getitem__(self, setting: Setting) -> Outcome:
        return self._known[_key(setting)]

    def add(self, setting: Setting, outcome: Outcome) -> None:
        """Keeps an outcome."""
        self._ledger.append_json(
            {
                "table": self.table.digest,
                "setting": _given(setting),
                "outcome": dataclasses.asdict(outcome),
            }
        )
        self._known[_key(setting)] = outcome


def _given(setting: Setting) -> dict[str, object]:
    """What differs from the defaults, so that lines are short."""
    default = {field.name: field.default for field in dataclasses.fields(Setting)}
    return {name: value for name, value in dataclasses.asdict(setting).items() if value != default[name]}


def _key(setting: Setting) -> str:
    return json.dumps(_given(setting))


def _outcome(data: dict[str, Any]) -> Outcome:
    choices = {
        name: Choice(*(data[name][key] for key in ("architecture", "cost", "regret")))
        for name in ("favourite", "seen", "modelled")
    }
    return Outcome(reward_regret=data["reward_regret"], images=data["images"], **choices)


@dataclasses.dataclass(frozen=True)
class Mean:
    """A mean over seeds.

    Attributes:
        values: one a seed, in [0, 1].
    """

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Their mean."""
        return math.fsum(self.values) / len(self.values)

    @property
    def error(self) -> float:
        """Standard error of the mean; infinite for a single seed."""
        if len(self.values) < 2:
            return math.inf
        spread = math.fsum((value - self.mean) ** 2 for value in self.values) / (len(self.values) - 1)
        return math.sqrt(spread / len(self.values))

    def __str__(self) -> str:
        error = f" +- {100 * self.error:.2f}" if len(self.values) > 1 else ""
        return f"{100 * self.mean:.2f}{error}"


@dataclasses.dataclass(frozen=True)
class Point:
    """All seeds of one searcher at one budget and one number of looks.

    Attributes:
        searcher, target, looks: which.
        seen: regret of the winner without the model.
        modelled: regret of the winner with the model.
        favourite_costs: cost of each seed's own favourite.
        reward_regrets: how much the favourite's true reward is below the best of the table.
    """

    searcher: str
    target: float
    looks: int
    seen: Mean
    modelled: Mean
    favourite_costs: tuple[float, ...]
    reward_regrets: tuple[float, ...]


def curve(results: Results, settings: Iterable[Setting]) -> list[Point]:
    """Sums up finished searches over their seeds, in the order of the settings."""
    groups: dict[tuple[str, float, int], list[Outcome]] = {}
    for setting in settings:
        groups.setdefault((setting.searcher, setting.target, setting.looks), []).append(results[setting])
    return [
        Point(
            *key,
            seen=Mean(tuple(o.seen.regret for o in outcomes)),
            modelled=Mean(tuple(o.modelled.regret for o in outcomes)),
            favourite_costs=tuple(o.favourite.cost for o in outcomes),
            reward_regrets=tuple(o.reward_regret for o in outcomes),
        )
        for key, outcomes in groups.items()
    ]


def ahead(first: Mean, second: Mean) -> bool:
    """Whether a mean regret is lower by more than the standard error of the difference."""
    return first.mean < second.mean - math.hypot(first.error, second.error)
