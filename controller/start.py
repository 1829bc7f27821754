"""Where a policy starts: the distribution of largest entropy whose expected cost is the budget.

Uniform sampling of a large space rarely meets the budget, and a short search cannot afford to wait until the policy
has found it. So the start is the product of categoricals q that is closest to uniform sampling u among all with
E_q[cost] = budget, where closeness counts every decision by its probability of being active:

    maximise  H(q) = - sum_d P_q(d active) * KL(q_d || u_d)   subject to   E_q[cost] = budget.

H is the entropy of what is active up to the constant that each active decision brings along, log of its number of
choices. Without that constant, depth would start at its largest value only because a deep network offers more
combinations; and with inactive decisions counted in full, the layers that few samples have would pay nothing for
their cost. H is 0, its largest value, exactly at uniform sampling (a mixed `base` takes u's place where given).

The stationary point is a tilt by the marginal cost, at a price (the multiplier):

    q_d(c) ~ u_d(c) * exp( - price * E_q[cost | d = c] / P_q(d active) - sum of KL(q_e || u_e) over the decisions e
                           that c activates ).

For a decision that may be inactive the quotient is what c costs where it acts. The equations are solved by damped
iteration, the price by bracketing. Above the uniform mean the price is negative.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

import numpy as np

from controller.arrays import Floats
from controller.policy import Policy, activity
from searchspace.decisions import Decisions

StartKind = Literal["budget", "uniform"]
STARTS: tuple[str, ...] = get_args(StartKind)
"""With the largest entropy at the budget, or uniform."""

_DAMPING = 0.8
_ITERATIONS = 60
_CLOSE = 1e-4
_LEAST_ACTIVITY = 1e-6


class Expectation(Protocol):
    """What knows expected costs exactly; `searchspace.CostModel` does."""

    def expected(self, quantity: str, probabilities: Any, /) -> tuple[float, list[Floats]]:
        """The expected cost, and for each decision the expected cost given each of its choices."""
        ...


@dataclass(frozen=True)
class Start:
    """A start distribution.

    Attributes:
        probabilities: one vector a decision.
        cost: its expected cost.
        price: the multiplier; positive where the budget is below the base's mean cost.
    """

    probabilities: list[Floats]
    cost: float
    price: float


def largest_entropy(
    decisions: Decisions,
    costs: Expectation,
    quantity: str,
    budget: float,
    base: Sequence[Floats] | None = None,
    *,
    nearest: bool = False,
) -> Start:
    """The distribution of largest entropy (see the top of the file) whose expected cost is the budget.

    Args:
        decisions: the space.
        costs: gives exact expectations of `quantity` under independent categoricals.
        quantity: for example `"macs"`.
        budget: in the quantity's units.
        base: what to stay close to, uniform by default; no entry may be 0.
        nearest: a budget that no distribution has as its mean stands for the nearest one that some has.

    Raises:
        ValueError: no distribution has this mean; says the cheapest and the dearest cost.
    """
    tilt = _Tilt(decisions, costs, quantity, base)
    low, high = tilt.extreme(1), tilt.extreme(-1)
    if nearest:
        budget = min(max(budget, low[1]), high[1])
    if not low[1] <= budget <= high[1]:
        raise ValueError(
            f"budget {budget:.6g}: architectures of this space have {quantity} from {low[1]:.6g} to {high[1]:.6g}; "
            "choose a budget between them"
        )
    near = (tilt.base, tilt.mean(tilt.base))
    price = near_price = 0.0
    if abs(near[1] / budget - 1) > _CLOSE:
        # Outwards from the base until the budget is crossed, each solution starting from the one before.
        side = 1.0 if near[1] > budget else -1.0
        step = side / tilt.spread()
        far, far_price = (low if side > 0 else high), side * np.inf
        for _ in range(40):
            price = near_price + step
            solved = tilt.solve(price, near[0])
            if (solved[1] - budget) * side <= 0:
                far, far_price = solved, price
                break
            near, near_price, step = solved, price, 2 * step
        # Shrink the bracket (Illinois: false position that halves the weight of an end that stays).
        weights = [1.0, 1.0]
        for _ in range(60):
            if not np.isfinite(far_price) or min(abs(far[1] / budget - 1), abs(near[1] / budget - 1)) <= _CLOSE:
                break
            a, b = (near[1] - budget) * weights[0], (far[1] - budget) * weights[1]
            price = (near_price * b - far_price * a) / (b - a)
            if abs(far_price - near_price) < 1e-9 * abs(far_price):
                break
            solved = tilt.solve(price, near[0])
            if (solved[1] - budget) * side > 0:
                near, near_price, weights = solved, price, [1.0, weights[1] / 2]
            else:
                far, far_price, weights = solved, price, [weights[0] / 2, 1.0]
        # What is left is closed on the straight line between both ends, on which the mean cost is continuous.
        near = tilt.between(near, far, budget)
        price = near_price if abs(near_price) > 0 or not np.isfinite(far_price) else far_price
    return Start([row[:size] for row, size in zip(near[0], decisions.sizes, strict=True)], near[1], float(price))


def entropy(decisions: Decisions, probabilities: Sequence[Floats], base: Sequence[Floats] | None = None) -> float:
    """H of the top of this file, nats; 0 at the base and negative elsewhere."""
    matrix = Policy.of(decisions, probabilities).matrix()
    reference = Policy.of(decisions, decisions.uniform() if base is None else base).matrix()
    return float(-activity(decisions, matrix) @ _divergence(matrix, reference))


def _divergence(matrix: Floats, reference: Floats) -> Floats:
    positive = matrix > 0
    logs = np.log(np.where(positive, matrix, 1.0)) - np.log(np.where(positive, reference, 1.0))
    return np.asarray((matrix * logs).sum(axis=1))


class _Tilt:
    """The fixed-point equations of one space, base and quantity. A solution is (probabilities [D, S], mean cost)."""

    def __init__(self, decisions: Decisions, costs: Expectation, quantity: str, base: Sequence[Floats] | None) -> None:
        policy = Policy.of(decisions, decisions.uniform() if base is None else base)
        self.decisions, self.costs, self.quantity = decisions, costs, quantity
        self.base = policy.matrix()
        self.logs = policy.log_probabilities()
        self.valid = policy.valid

    def expected(self, matrix: Floats) -> tuple[float, Floats]:
        """Mean cost and conditional means [D, S]."""
        vectors = [row[:size] for row, size in zip(matrix, self.decisions.sizes, strict=True)]
        mean, conditional = self.costs.expected(self.quantity, vectors)
        table = np.full(matrix.shape, mean)
        table[self.valid] = np.concatenate(conditional)
        return mean, table

    def mean(self, matrix: Floats) -> float:
        return self.expected(matrix)[0]

    def spread(self) -> float:
        """Scale of the prices: standard deviation of cost under the base, as if decisions added up."""
        mean, table = self.expected(self.base)
        return float(np.sqrt((self.base * (table - mean) ** 2).sum())) or 1.0

    def update(self, matrix: Floats, price: float) -> tuple[Floats, float]:
        """One application of the right-hand side, and the mean cost before it."""
        mean, table = self.expected(matrix)
        acting = np.maximum(activity(self.decisions, matrix), _LEAST_ACTIVITY)
        divergence = _divergence(matrix, self.base)
        logits = self.logs - price * (table - mean) / acting[:, None]
        for child, condition in enumerate(self.decisions.conditions):
            if condition is not None:
                parent, least = condition
                logits[parent, least:] -= divergence[child]
        return _softmax(logits), mean

    def solve(self, price: float, matrix: Floats) -> tuple[Floats, float]:
        """The fixed point at a price, from a nearby one."""
        for _ in range(_ITERATIONS):
            wanted, _ = self.update(matrix, price)
            change = float(np.abs(wanted - matrix).max())
            matrix = matrix + _DAMPING * (wanted - matrix)
            if change < 1e-5:
                break
        return matrix, self.mean(matrix)

    def extreme(self, side: int) -> tuple[Floats, float]:
        """The cheapest (side 1) or dearest (side -1) architecture, decision by decision until nothing improves.

        From all-smallest and all-largest choices and from the best marginal ones; exact where costs rise or fall
        along every decision, as multiply-accumulates and parameters do.
        """
        _, table = self.expected(self.base)
        ranked = np.where(self.valid, side * table, np.inf).argmin(axis=1)
        best: tuple[Floats, float] | None = None
        for start in (ranked, np.zeros_like(ranked), self.decisions.sizes - 1):
            choice = np.asarray(start)
            cost, table = self.expected(np.eye(self.base.shape[1])[choice])
            for _ in range(2 * len(self.decisions)):
                gain = np.where(self.valid, side * (table - cost), np.inf)
                every = gain.argmin(axis=1)
                one = choice.copy()
                one[gain.min(axis=1).argmin()] = every[gain.min(axis=1).argmin()]
                # All best changes at once where that helps, else the one that helps most: together they may clash.
                for candidate in (every, one):
                    new, new_table = self.expected(np.eye(self.base.shape[1])[candidate])
                    if side * new < side * cost:
                        break
                else:
                    break
                choice, cost, table = candidate, new, new_table
            if best is None or side * cost < side * best[1]:
                best = np.eye(self.base.shape[1])[choice], float(cost)
        assert best is not None
        return best

    def between(self, a: tuple[Floats, float], b: tuple[Floats, float], budget: float) -> tuple[Floats, float]:
        """The mixture of two solutions on either side of the budget that meets it."""
        for end in (a, b):
            if abs(end[1] / budget - 1) <= _CLOSE:
                return end
        left, right = 0.0, 1.0
        for _ in range(60):
            part = (left + right) / 2
            matrix = (1 - part) * a[0] + part * b[0]
            mean = self.mean(matrix)
            if abs(mean / budget - 1) <= _CLOSE:
                break
            if (mean > budget) == (a[1] > budget):
                left = part
            else:
                right = part
        return matrix, mean


def _softmax(logits: Floats) -> Floats:
    exponent = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponent / exponent.sum(axis=1, keepdims=True))
