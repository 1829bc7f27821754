"""The run of a search, finished or not: its ledger, the front, how the policy moved, the winner."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

import searchspace
from searchspace import Architecture, Budget, Clip, NetworkSpec, Space, tabulate
from searchspace.stored import COUNT, naming, read_records, read_table
from searchspace.targets import CONFIG, SEARCH, WINNER
from training.run.base_run import Run
from training.run.formats import LOOK, MOMENT, POINT, SEARCH_CONFIG, SEARCH_SUMMARY, policy_of
from training.run.run_folder import SPACE

PARETO, POLICY = "pareto.csv", "policy.jsonl"


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


class SearchRun(Run):
    """A run of `nas search`; it stands for its winner."""

    made_by = nas = SEARCH
    config_pattern = SEARCH_CONFIG
    summary_pattern = SEARCH_SUMMARY

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
        file = self.folder / WINNER
        if not self.finished and not file.exists():
            raise self.unfinished()
        return Architecture.load(file)

    def architecture(self, stream: bool = False) -> NetworkSpec:
        """The winner's; raises `ValueError` where there is none yet."""
        return self.best.streaming() if stream else self.best

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
