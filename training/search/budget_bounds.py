"""Budgets against a space, before the start: refused where no network meets them, with the nearest costs.

Costs are compared as they are printed: a cap that is typed as the cheapest cost was printed means that cost.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from controller.reachable import nearest_costs, reachable
from controller.repair import enumerate_all
from controller.selection import ABOVE, BELOW
from controller.start import largest_entropy
from controller.window import Window
from searchspace import Budget, Clip, ClipLike, Space, SpaceCosts, format_quantity, tabulate
from searchspace.budget import as_printed, budget_text


@dataclasses.dataclass(frozen=True)
class Budgets:
    """Budgets as numbers, for one clip of a space, that some network meets.

    Attributes:
        asked: the target first, then caps, for networks of the space's form.
        limits: of each, in its own unit.
        costs: of the space at the clip.
    """

    asked: tuple[Budget, ...]
    limits: tuple[float, ...]
    costs: SpaceCosts

    def window(self, below: float = BELOW, above: float = ABOVE) -> Window:
        """Costs from (1 - below) to (1 + above) of the target, and within every cap."""
        target, *caps = [functools.partial(self.costs.of, budget.quantity) for budget in self.asked]
        window = Window.around(self.asked[0].quantity, target, self.limits[0], below, above)
        for budget, cost, limit in zip(self.asked[1:], caps, self.limits[1:], strict=True):
            window = window.capped(budget.quantity, cost, limit)
        return window

    def start(self) -> list[npt.NDArray[np.float64]] | None:
        """The distribution of largest entropy around the target; None where costs have no expectation."""
        if self.asked[0].row.maximum:
            return None
        quantity = self.asked[0].quantity
        decisions = self.costs.decisions
        return largest_entropy(decisions, self.costs, quantity, self.limits[0], nearest=True).probabilities


def check_budgets(space: Space, clip: ClipLike, budgets: Sequence[Budget], seed: int) -> Budgets:
    """The budgets as numbers.

    Args:
        space: with the data's number of classes.
        clip: shape at which costs are counted.
        budgets: the target first, then caps.
        seed: of the samples by which a large space is looked through.

    Raises:
        ValueError: no network of the space meets them, for certain in a small space, as far as repairs reach in a
            large one; says which costs are nearest.
    """
    clip = Clip.of(clip)
    asked = tuple(budget.of_form(space.form) for budget in budgets)
    costs = tabulate(space, clip)
    found = Budgets(asked, tuple(budget.limit(clip) for budget in asked), costs)
    for number, (budget, limit) in enumerate(zip(asked, found.limits, strict=True)):
        _check_bounds(budget, limit, space, costs, clip, is_cap=number > 0)
    start = found.start()
    for limits in (found.limits, (found.limits[0], *map(as_printed, found.limits[1:]))):
        found = dataclasses.replace(found, limits=limits)
        if len(reachable(space.decisions, found.window(), start, seed)):
            return found
    raise ValueError(_nearest(found, space, clip, start, seed))


def _check_bounds(budget: Budget, limit: float, space: Space, costs: SpaceCosts, clip: Clip, is_cap: bool) -> None:
    low, high = costs.bounds(budget.quantity)
    too_low = as_printed(limit) < low if is_cap else limit * (1 + ABOVE) < low
    too_high = not is_cap and limit * (1 - BELOW) > high
    if too_low or too_high:
        cheapest, dearest = format_quantity(budget.quantity, low), format_quantity(budget.quantity, high)
        there = f"the cheapest costs {cheapest}, the dearest {dearest}; give a budget between them"
        raise ValueError(
            f"budget {budget.text} is {'below the cheapest' if too_low else 'above the dearest'} network of space "
            f"{space.name!r} at clip {clip}: {there if low < high else f'all of them cost {cheapest}; give that'}"
        )


def _nearest(
    found: Budgets, space: Space, clip: Clip, start: Sequence[npt.NDArray[np.float64]] | None, seed: int
) -> str:
    """Why no network meets the budgets, and what the nearest ones cost."""
    target, *caps = found.asked
    quantity, decisions, window = target.quantity, space.decisions, found.window()

    def amount(value: float, budget: Budget = target) -> str:
        return format_quantity(budget.quantity, value)

    def met(cost: float, within: Window) -> bool:
        """Whether that cost, as it is printed, would be accepted as a budget."""
        target = Budget.parse(budget_text(quantity, cost)).amount
        count = len(within.limits)
        there = dataclasses.replace(found, asked=found.asked[:count], limits=(target, *found.limits[1:count]))
        return len(reachable(decisions, there.window(), there.start(), seed)) > 0

    def nearest(within: Window) -> str:
        costs = [cost for cost in nearest_costs(decisions, within, seed) if cost is not None and met(cost, within)]
        return f"the nearest cost {' and '.join(map(amount, costs))}" if costs else "none was found near it"

    where = f"space {space.name!r} at clip {clip}"
    low, high = amount(found.limits[0] * (1 - BELOW)), amount(found.limits[0] * (1 + ABOVE))
    alone = Window(window.limits[:1])
    near = reachable(decisions, alone, start, seed)
    if not len(near):
        return (
            f"budget {target.text}: no network of {where} costs {low} to {high} (-{BELOW:.0%} to +{ABOVE:.0%}), "
            f"{nearest(alone)}; give one of these, or a space with more choices"
        )
    sure = "have at least" if enumerate_all(decisions) is not None else "were found with"
    least = ", ".join(f"{amount(float(cap.of_choices(found.costs, near).min()), cap)}" for cap in caps)
    return (
        f"budgets {', '.join(budget.text for budget in found.asked)} exclude each other in {where}: networks of {low} "
        f"to {high} {sure} {least}; within the caps {nearest(window)}; loosen one"
    )
