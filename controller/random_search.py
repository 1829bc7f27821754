"""Random search: the peer that every searcher must beat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from controller.arrays import Choices, Flags, Floats, generator
from controller.policy import Policy
from controller.searcher import Searcher, draw
from controller.window import Window
from searchspace.decisions import Decisions
from searchspace.stored import Maybe, conform


class RandomSearch(Searcher):
    """Draws from the start distribution for ever; its favourite is the best reward that it was told."""

    name: ClassVar[str] = "random"

    def __init__(
        self,
        decisions: Decisions,
        *,
        seed: int,
        start: Sequence[Floats] | None = None,
        window: Window | None = None,
    ) -> None:
        super().__init__(decisions, seed=seed, start=start, window=window)
        self._best: tuple[float, Choices] | None = None

    @property
    def policy(self) -> Policy:
        """The start distribution."""
        return self.start

    def favourite(self) -> Choices:
        """The architecture of the best single reward, or the likeliest one of the start before any was told."""
        return self.start.argmax() if self._best is None else self._best[1]

    def samples(self, rng: np.random.Generator, count: int) -> Choices:
        """Samples of the start distribution."""
        return self.start.sample(rng, count)

    def _propose(self, count: int) -> Choices:
        return draw(self.start, generator(self.seed, self.name, self.step), count, self.window)

    def _learn(self, choices: Choices, quality: Floats, reward: Floats, progress: float, replaced: Flags) -> None:
        own = np.flatnonzero(~replaced.any(axis=1))
        if len(own):
            index = own[reward[own].argmax()]
            if self._best is None or reward[index] > self._best[0]:
                self._best = float(reward[index]), choices[index].copy()

    def _state(self) -> dict[str, Any]:
        return {"best": None if self._best is None else [self._best[0], self.decisions.encode(self._best[1])]}

    def _restore(self, state: dict[str, Any]) -> None:
        best = conform(state["best"], Maybe((float, str)), "searcher.best")
        self._best = None if best is None else (float(best[0]), self.decisions.decode(best[1]))
