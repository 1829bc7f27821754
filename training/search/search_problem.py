"""What a search is about, built from its configuration: the space, the costs, the budgets, the searcher.

Everything here is light (no torch), so that a mistake in the configuration is answered at once.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

import searchspace
from controller.adam import Schedule
from controller.reachable import reachable
from controller.rewards import Reward
from controller.searcher import Searcher
from controller.searchers import create
from controller.selection import ABOVE, BELOW
from controller.window import Window
from searchspace import Budget, Choices, Clip, Space, SpaceCosts
from training.search.budget_bounds import Budgets, check_budgets
from training.search.search_config import SearchConfig


@dataclasses.dataclass(frozen=True)
class Problem:
    """A configured search.

    Attributes:
        config: its settings.
        space: with the data's number of classes.
        clip: shape at which budgets are counted.
        limits: the budgets as numbers, which some network meets.
        start: the distribution that the policy starts from, one vector a decision.
    """

    config: SearchConfig
    space: Space
    clip: Clip
    limits: Budgets
    start: list[npt.NDArray[np.float64]]

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """The target first, then caps."""
        return self.limits.asked

    @property
    def costs(self) -> SpaceCosts:
        """Of the space at the clip."""
        return self.limits.costs

    @property
    def target(self) -> float:
        """Of the first budget, in its own unit per clip."""
        return self.limits.limits[0]

    @property
    def quantity(self) -> str:
        """What the first budget limits."""
        return self.budgets[0].quantity

    @property
    def train_clip(self) -> Clip:
        """The clip that the supernet trains on."""
        return self.config.train_clip

    def cost(self, choices: Choices) -> npt.NDArray[np.int64]:
        """Cost of rows of choices in the first budget's unit, [N, D] -> [N]."""
        return self.costs.of(self.quantity, choices)

    def caps(self, choices: Choices) -> npt.NDArray[np.float64] | None:
        """Costs that further budgets limit, [N, M], or None without any."""
        if len(self.budgets) == 1:
            return None
        columns = [budget.of_choices(self.costs, choices) for budget in self.budgets[1:]]
        return np.stack(columns, axis=1).astype(np.float64)

    def window(self, below: float = BELOW, above: float = ABOVE) -> Window:
        """Costs from (1 - below) to (1 + above) of the target, and within every cap."""
        return self.limits.window(below, above)

    def reward(self) -> Reward:
        """Accuracy against the target, with one-sided penalties for the caps."""
        config = self.config
        caps = self.limits.limits[1:]
        return Reward(self.target, config.reward, config.beta, caps)  # type: ignore[arg-type]  # checked by the config

    def schedule(self) -> Schedule:
        """Rate of the controller over the steps."""
        return Schedule(steps=self.config.steps, delay=self.config.delay, total=self.config.controller_rate)

    def price(self, choices: Choices) -> npt.NDArray[np.float64]:
        """The part of an absolute reward that follows from cost alone, [N, D] -> [N]."""
        return self.reward()(np.zeros(len(choices)), self.cost(choices), self.caps(choices))

    def searcher(self) -> Searcher:
        """A fresh searcher."""
        window = self.window(self.config.window, self.config.window) if self.config.window else None
        return create(
            self.config.searcher,
            self.space.decisions,
            seed=self.config.seed,
            schedule=self.schedule(),
            start=self.start,
            window=window,
            known=self.price if self.config.reward == "absolute" else None,
        )


def build(config: SearchConfig, classes: int | None = None) -> Problem:
    """Builds the problem.

    Args:
        config: the settings.
        classes: of the data; by default the space's own.

    Raises:
        ValueError: an unknown space, or budgets that no network of the space meets.
    """
    clip = Clip.parse(config.clip)
    space = searchspace.load(config.space).at(clip)
    if config.stream:
        space = space.streaming()
    if classes is not None:
        space = space.with_classes(classes)
    limits = check_budgets(space, clip, [Budget.parse(text) for text in config.budgets], config.seed)
    start = limits.start() if config.start == "budget" else None
    problem = Problem(config, space, clip, limits, space.decisions.uniform() if start is None else start)
    share = config.window
    if share and not len(reachable(space.decisions, problem.window(share, share), problem.start, config.seed)):
        raise ValueError(
            f"window {share:g}: no network of space {space.name!r} is that near {config.budgets[0]}; give a larger one"
        )
    return problem
