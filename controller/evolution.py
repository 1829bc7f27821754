"""Regularised evolution (Real et al., "Regularized Evolution for Image Classifier Architecture Search")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from controller.arrays import Choices, Flags, Floats, generator
from controller.policy import Policy
from controller.repair import try_repair
from controller.searcher import Searcher, draw
from controller.window import Window
from searchspace.decisions import Decisions
from searchspace.stored import conform

# Mutations tried for one child before the last one is repaired into the window.
_MUTATIONS = 32


class Evolution(Searcher):
    """A population in which the oldest dies: the best of a random tournament is mutated in one active decision.

    Args:
        decisions, seed, start, window: see `Searcher`.
        population: living architectures.
        tournament: contestants, drawn without replacement.
    """

    name: ClassVar[str] = "evolution"

    def __init__(
        self,
        decisions: Decisions,
        *,
        seed: int,
        start: Sequence[Floats] | None = None,
        window: Window | None = None,
        population: int = 64,
        tournament: int = 16,
    ) -> None:
        super().__init__(decisions, seed=seed, start=start, window=window)
        if not 1 <= tournament <= population:
            raise ValueError(f"tournament {tournament}: must be from 1 to the population, {population}")
        self.size, self.tournament = population, tournament
        self._living: Choices = np.zeros((0, len(decisions)), dtype=np.int8)  # oldest first
        self._rewards: Floats = np.zeros(0)

    @property
    def policy(self) -> Policy:
        """The population as independent categoricals: how often each choice is found where it is active."""
        if not len(self._living):
            return self.start
        active = self.decisions.active(self._living)
        uniform = self.decisions.uniform()
        counted = [
            np.bincount(self._living[active[:, d], d], minlength=size) for d, size in enumerate(self.decisions.sizes)
        ]
        return Policy.of(self.decisions, [c / c.sum() if c.sum() else u for c, u in zip(counted, uniform, strict=True)])

    def favourite(self) -> Choices:
        """The best reward among the living."""
        best: Choices = self._living[self._rewards.argmax()] if len(self._living) else self.start.argmax()
        return best

    def samples(self, rng: np.random.Generator, count: int) -> Choices:
        """Members of the population, drawn with replacement."""
        if not len(self._living):
            return self.start.sample(rng, count)
        return np.asarray(self._living[rng.integers(len(self._living), size=count)])

    def _propose(self, count: int) -> Choices:
        rng = generator(self.seed, self.name, self.step)
        if len(self._living) < self.size:
            return draw(self.start, rng, count, self.window)
        parents = self._parents(rng, count)
        if self.window is None:
            return self._mutants(parents, rng)
        mutants = self._mutants(np.repeat(parents, _MUTATIONS, axis=0), rng)
        inside = self.window.contains(mutants).reshape(count, _MUTATIONS)
        children: Choices = mutants.reshape(count, _MUTATIONS, -1)[np.arange(count), inside.argmax(axis=1)]
        missing = np.flatnonzero(~inside.any(axis=1))
        if len(missing):
            repaired = try_repair(self.decisions, children[missing], self.window)
            # A parent that was drawn lies in the window; where a repair fails, it stays.
            children[missing] = np.where(repaired.inside[:, None], repaired.choices, parents[missing])
        return children

    def _parents(self, rng: np.random.Generator, count: int) -> Choices:
        """The best of each of `count` tournaments."""
        order = rng.random((count, len(self._living)))
        contestants = np.argpartition(order, self.tournament - 1, axis=1)[:, : self.tournament]
        best = self._rewards[contestants].argmax(axis=1)
        parents: Choices = self._living[contestants[np.arange(count), best]]
        return parents

    def _mutants(self, parents: Choices, rng: np.random.Generator) -> Choices:
        """Each differs from its parent in one active decision; decisions that this activates come from the start."""
        active = self.decisions.active(parents)
        choosable = active & (self.decisions.sizes > 1)
        children: Choices = np.where(active, parents, self._filled(rng, len(parents)))
        picked = np.where(choosable, rng.random(parents.shape), -1.0).argmax(axis=1)
        rows = np.flatnonzero(choosable.any(axis=1))
        picked = picked[rows]
        other = rng.integers(self.decisions.sizes[picked] - 1)
        children[rows, picked] = other + (other >= parents[rows, picked])
        return self.decisions.canonical(children)

    def _filled(self, rng: np.random.Generator, count: int) -> Choices:
        """Draws of every decision, inactive ones too, [count, D]."""
        uniform = rng.random((count, len(self.decisions), 1))
        drawn = (np.cumsum(self.start.matrix(), axis=1) < uniform).sum(axis=2)
        return np.asarray(np.minimum(drawn, self.decisions.sizes - 1), dtype=np.int8)

    def _learn(self, choices: Choices, quality: Floats, reward: Floats, progress: float, replaced: Flags) -> None:
        own = ~replaced.any(axis=1)
        self._living = np.concatenate([self._living, choices[own]])[-self.size :]
        self._rewards = np.concatenate([self._rewards, reward[own]])[-self.size :]

    def _state(self) -> dict[str, Any]:
        return {"living": [self.decisions.encode(row) for row in self._living], "rewards": self._rewards.tolist()}

    def _restore(self, state: dict[str, Any]) -> None:
        conform(state, {"living": [str], "rewards": [float]}, "searcher")
        rows = [self.decisions.decode(text) for text in state["living"]]
        if len(rows) != len(state["rewards"]):
            raise ValueError(f"searcher: {len(rows)} living architectures with {len(state['rewards'])} rewards")
        self._living = np.array(rows, dtype=np.int8).reshape(len(rows), len(self.decisions))
        self._rewards = np.array(state["rewards"], dtype=np.float64)
