"""Reads a run folder, finished or not, without changing it."""

from __future__ import annotations

import csv
import dataclasses
import functools
import math
from pathlib import Path
from typing import Any

import searchspace
from searchspace import Architecture, Budget, Clip, Space
from searchspace.commands import go_on
from training.ledger import complete_lines, read_records
from training.run import SPACE, SUMMARY, read_json

CONFIG = "config.json"


def command_of(folder: Path) -> str:
    """The command that made the run in a folder; raises `ValueError` where its config.json is damaged."""
    return str(read_json(folder / CONFIG).get("command"))


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
        probabilities: one vector a decision, by path.
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
        config, command = read_json(folder / CONFIG), command_of(folder)
        if command == "scale":
            raise ValueError(f"{folder} is a family; name one of its members, such as {folder / 'A2.json'}")
        if command == "retrained":
            raise ValueError(f"{folder} holds the trainings of a family; name one of the runs in it")
        if command != "search":
            raise ValueError(f"{folder} is not a run of nas search but of {command!r}; give a folder that it made")
        return cls(folder, config)

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
        return Clip.parse(self.config["clip"])

    @property
    def budget(self) -> Budget:
        """Its target."""
        return Budget.parse(self.config["budgets"][0]).of_form(self.space.form)

    @functools.cached_property
    def summary(self) -> dict[str, Any]:
        """The content of summary.json; raises `ValueError` while the run is not finished."""
        if not self.finished:
            raise ValueError(f"{self.folder} is not finished; go on with: {go_on('search', self.folder)}")
        return read_json(self.folder / SUMMARY)

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
        return Architecture.load(self.folder / "best" / "arch.json")

    @functools.cached_property
    def looks(self) -> list[Look]:
        """Every look of the ledger."""
        return [
            Look(
                step=int(record["step"]),
                choices=str(record["architecture"]),
                macs=int(record["macs"]),
                quality=float(record["quality"]),
                learned=bool(record["learned"]),
            )
            for record in read_records(self.folder / "ledger.jsonl")
        ]

    @functools.cached_property
    def front(self) -> list[FrontPoint]:
        """The architectures scored for the front, cheapest first; empty before the end."""
        rows = csv.DictReader(complete_lines(self.folder / "pareto.csv"))
        points = [
            FrontPoint(
                macs=int(row["macs"]),
                params=int(row["params"]),
                accuracy=float(row["accuracy"]),
                low=float(row["low"]),
                high=float(row["high"]),
                loss=float(row["loss"]),
                clips=int(row["clips"]),
                on_front=row["on_front"] == "1",
                winner=row["winner"] == "1",
                choices=row["choices"],
                path=row["path"],
            )
            for row in rows
        ]
        return sorted(points, key=lambda point: point.macs)

    @functools.cached_property
    def policy(self) -> list[PolicyMoment]:
        """How the policy moved, oldest first."""
        return [
            PolicyMoment(
                step=int(record["step"]),
                entropy=float(record["entropy"]),
                expected_macs=float(record["expected_macs"]),
                probabilities=record["probabilities"],
            )
            for record in read_records(self.folder / "policy.jsonl")
        ]

    def metrics(self) -> list[dict[str, float]]:
        """The rows of metrics.csv; a value that was not measured at a step is NaN."""
        rows = csv.DictReader(complete_lines(self.folder / "metrics.csv"))
        return [{key: float(value) if value else math.nan for key, value in row.items()} for row in rows]

    def describe(self, choices: str) -> Architecture | None:
        """The architecture of a row of choices; None where the space can no longer be loaded or does not fit."""
        try:
            return self.space.architecture(self.space.decisions.decode(choices), self.name)
        except ValueError:
            return None
