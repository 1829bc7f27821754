"""What a search is about, built from its configuration: the space, the costs, the budgets, the searcher.

Everything here is light (no torch), so that a mistake in the configuration is answered at once.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np
import numpy.typing as npt

import searchspace
from controller.adam import Schedule
from controller.repair import try_repair
from controller.rewards import Reward
from controller.searcher import Searcher
from controller.searchers import create
from controller.selection import ABOVE, BELOW
from controller.start import largest_entropy
from controller.window import Window
from searchspace import Budget, Choices, Clip, Space, SpaceCosts, format_quantity
from training.search_config import SearchConfig
from training.seeds import generator


@dataclasses.dataclass(frozen=True)
class Problem:
    """A configured search.

    Attributes:
        config: its settings.
        space: with the data's number of classes.
        clip: shape at which budgets are counted.
        budgets: the target first, then caps.
        costs: of the space at `clip`.
        target: of the first budget, in its own unit per clip.
        start: the distribution that the policy starts from, one vector a decision.
    """

    config: SearchConfig
    space: Space
    clip: Clip
    budgets: tuple[Budget, ...]
    costs: SpaceCosts
    target: float
    start: list[npt.NDArray[np.float64]]

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
        window = Window.around(self.quantity, self.cost, self.target, below, above)
        for budget in self.budgets[1:]:
            quantity = budget.quantity
            window = window.capped(quantity, functools.partial(self.costs.of, quantity), budget.limit(self.clip))
        return window

    def reward(self) -> Reward:
        """Accuracy against the target, with one-sided penalties for the caps."""
        config = self.config
        caps = tuple(budget.limit(self.clip) for budget in self.budgets[1:])
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
        ValueError: an unknown space, or a budget that no network of the space meets.
    """
    clip = Clip.parse(config.clip)
    space = dataclasses.replace(searchspace.load(config.space), clip=clip)
    if config.stream:
        space = space.streaming()
    if classes is not None:
        space = space.with_classes(classes)
    budgets = tuple(Budget.parse(text).of_form(space.form) for text in config.budgets)
    costs = space.costs(clip)
    for number, budget in enumerate(budgets):
        _check_feasible(budget, space, costs, clip, is_cap=number > 0)
    target = budgets[0].limit(clip)
    start: Any = space.decisions.uniform()
    if config.start == "budget" and budgets[0].quantity != "activation_bytes":
        start = largest_entropy(space.decisions, costs, budgets[0].quantity, target).probabilities
    problem = Problem(config, space, clip, budgets, costs, target, start)
    if len(budgets) > 1:
        _check_together(problem)
    return problem


def _check_feasible(budget: Budget, space: Space, costs: SpaceCosts, clip: Clip, is_cap: bool) -> None:
    low, high = costs.bounds(budget.quantity)
    limit = budget.limit(clip)
    too_low = limit < low * (1 - 1e-9) if is_cap else limit * (1 + ABOVE) < low
    too_high = not is_cap and limit * (1 - BELOW) > high
    if too_low or too_high:
        raise ValueError(
            f"budget {budget.text} is {'below the cheapest' if too_low else 'above the dearest'} network of space "
            f"{space.name!r} at clip {clip}: the cheapest costs {format_quantity(budget.quantity, low)}, "
            f"the dearest {format_quantity(budget.quantity, high)}; give a budget between them"
        )


def _check_together(problem: Problem) -> None:
    """Budgets that can be met one by one may exclude each other."""
    sample = problem.space.decisions.sample(generator(problem.config.seed, "feasible"), 16, problem.start)
    if not try_repair(problem.space.decisions, sample, problem.window()).inside.any():
        raise ValueError(
            f"budgets {', '.join(budget.text for budget in problem.budgets)} exclude each other in space "
            f"{problem.space.name!r}: no network near the first one was found that meets the caps; loosen one"
        )
