"""Reads a run folder, finished or not, without changing it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import searchspace
from searchspace import Architecture, Budget, Clip, Space, tabulate
from searchspace.commands import go_on
from searchspace.stored import COUNT, naming, read_records, read_table
from training.formats import COMMAND, LOOK, MOMENT, POINT, SEARCH_CONFIG, SEARCH_SUMMARY, policy_of
from training.run import CONFIG, SPACE, SUMMARY, read_json

PARETO, POLICY = "pareto.csv", "policy.jsonl"


def command_of(folder: Path) -> str:
    """The command that made the run in a folder; raises `ValueError` where its config.json is damaged."""
    return str(read_json(folder / CONFIG, COMMAND).get("command"))


@dataclasses.dataclass(frozen=True, slots=True)
class Look:
    """One held-out look during training, noisy, on weights that went on changing.

    Attributes:
        step: optimiser steps done before it.
        choices: the architecture, as `Decisions.encode` writes it.
        macs: per clip.
        quality: accuracy on the look's clips, in [0, 1].
        learned: whether the controller was paid for it.
    """

    step: int
    choices: str
    macs: int
    quality: float
    learned: bool


@dataclasses.dataclass(frozen=True, slots=True)
class FrontPoint:
    """An architecture scored on the final weights; all points of a run on the same clips.

    Attributes:
        macs: per clip.
        params: trainable parameters.
        accuracy: in [0, 1].
        low, high: 95 % interval of the accuracy.
        loss: cross-entropy in nats.
        clips: how many clips.
        on_front: whether no other point costs no more and is better.
        winner: whether it is the run's result.
        choices: as `Decisions.encode` writes it.
        path: of its arch.json within the run, or empty.
    """

    macs: int
    params: int
    accuracy: float
    low: float
    high: float
    loss: float
    clips: int
    on_front: bool
    winner: bool
    choices: str
    path: str


@dataclasses.dataclass(frozen=True, slots=True)
class PolicyMoment:
    """The policy at one time.

    Attributes:
        step: optimiser steps done.
        entropy: nats.
        expected_macs: per clip, of a sample.
        probabilities: one vector a decision of the run's space, by path.
    """

    step: int
    entropy: float
    expected_macs: float
    probabilities: dict[str, list[float]]


@dataclasses.dataclass(frozen=True)
class Run:
    """A run folder; its files are read when they are asked for.

    Attributes:
        folder: where it is.
        config: the content of config.json.
    """

    folder: Path
    config: dict[str, Any]

    @classmethod
    def open(cls, folder: Path) -> Run:
        """Opens the run in a folder; raises `ValueError` where there is none, or one of another command."""
        if not (folder / CONFIG).is_file():
            raise ValueError(f"{folder} is not a run (it has no {CONFIG}); give a folder that nas search made")
        command = command_of(folder)
        if command == "scale":
            raise ValueError(f"{folder} is a family; name one of its members, such as {folder / 'A2.json'}")
        if command == "retrained":
            raise ValueError(f"{folder} holds the trainings of a family; name one of the runs in it")
        if command != "search":
            raise ValueError(f"{folder} is not a run of nas search but of {command!r}; give a folder that it made")
        return cls(folder, read_json(folder / CONFIG, SEARCH_CONFIG))

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name

    @property
    def finished(self) -> bool:
        """Whether it has come to its end."""
        return (self.folder / SUMMARY).is_file()

    @property
    def clip(self) -> Clip:
        """The clip at which its costs are counted."""
        with naming(self.folder / CONFIG):
            return Clip.parse(self.config["clip"])

    @property
    def budget(self) -> Budget:
        """Its target."""
        with naming(self.folder / CONFIG):
            return Budget.parse(self.config["budgets"][0]).of_form(self.space.form)

    @functools.cached_property
    def summary(self) -> dict[str, Any]:
        """The content of summary.json; raises `ValueError` while the run is not finished."""
        if not self.finished:
            raise self._unfinished()
        return read_json(self.folder / SUMMARY, SEARCH_SUMMARY)

    @functools.cached_property
    def space(self) -> Space:
        """Its search space, from its own copy or by the name in its configuration.

        Raises:
            ValueError: the file that it was read from is gone.
        """
        own = self.folder / SPACE
        return searchspace.load(own if own.is_file() else self.config["space"])

    @functools.cached_property
    def best(self) -> Architecture:
        """The winner; raises `ValueError` where there is none yet."""
        file = self.folder / "best" / "arch.json"
        if not self.finished and not file.exists():
            raise self._unfinished()
        return Architecture.load(file)

    def _unfinished(self) -> ValueError:
        return ValueError(f"{self.folder} is not finished; go on with: {go_on('search', self.folder)}")

    @functools.cached_property
    def looks(self) -> list[Look]:
        """Every look of the ledger."""
        return [
            Look(
                step=record["step"],
                choices=record["architecture"],
                macs=record["macs"],
                quality=float(record["quality"]),
                learned=record["learned"],
            )
            for record in read_records(self.folder / "ledger.jsonl", LOOK)
        ]

    @functools.cached_property
    def front(self) -> list[FrontPoint]:
        """The architectures scored for the front, cheapest first; empty before the end."""
        points = [FrontPoint(**row) for row in read_table(self.folder / PARETO, POINT)]
        return sorted(points, key=lambda point: point.macs)

    @functools.cached_property
    def policy(self) -> list[PolicyMoment]:
        """How the policy moved, oldest first."""
        return [
            PolicyMoment(
                step=record["step"],
                entropy=float(record["entropy"]),
                expected_macs=float(record["expected_macs"]),
                probabilities=policy_of(record, self.space.decisions, str(self.folder / POLICY)),
            )
            for record in read_records(self.folder / POLICY, MOMENT)
        ]

    @property
    def steps(self) -> int:
        """Optimiser steps done, by metrics.csv."""
        rows = read_table(self.folder / "metrics.csv", {"step": COUNT})
        return int(rows[-1]["step"]) if rows else 0

    def amounts(self, quantity: str, choices: Sequence[str]) -> list[int]:
        """A quantity of networks of the run's space, by their choices, at the run's clip.

        Raises:
            ValueError: the space can no longer be read, or choices do not fit it.
        """
        rows = [self.space.decisions.decode(text) for text in choices]
        return tabulate(self.space, self.clip).of(quantity, np.array(rows)).tolist() if rows else []

    def describe(self, choices: str) -> Architecture | None:
        """The architecture of a row of choices; None where the space can no longer be loaded or does not fit."""
        try:
            return self.space.architecture(self.space.decisions.decode(choices), self.name)
        except ValueError:
            return None
