"""The optimiser of the policy's logits and the schedule of its rate, as in TuNAS.

Adam without momentum whose second moment averages the *squares of the per-sample gradients* and not the square of
their mean: larger where the K samples of a step disagree, so the step is smaller there, closer to K updates one after
the other (TuNAS, `tpu_optimizer_ops.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from controller.arrays import Floats
from searchspace.stored import AMOUNT, COUNT, conform


class Adam:
    """beta1 = 0, beta2 = 0.999 with bias correction, epsilon 1e-8 outside the root.

    Attributes:
        square: second moment, in the shape of the parameters.
        updates: number of steps done.
    """

    DECAY = 0.999
    EPSILON = 1e-8

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.square: Floats = np.zeros(shape)
        self.updates = 0

    def step(self, gradients: Floats, rate: float) -> Floats:
        """What to add to the parameters to *descend*.

        Args:
            gradients: one a sample, [K, *shape].
            rate: learning rate.
        """
        self.updates += 1
        self.square = self.DECAY * self.square + (1 - self.DECAY) * np.mean(gradients**2, axis=0)
        corrected = self.square / (1 - self.DECAY**self.updates)
        return np.asarray(-rate * gradients.mean(axis=0) / (np.sqrt(corrected) + self.EPSILON))

    def state(self) -> dict[str, Any]:
        """JSON-able and exact."""
        return {"square": self.square.tolist(), "updates": self.updates}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from `state()`."""
        conform(state, {"square": [[AMOUNT]], "updates": COUNT}, "adam")
        square = np.array(state["square"], dtype=np.float64)
        if square.shape != self.square.shape:
            raise ValueError(f"second moment of shape {square.shape} does not fit this space: {self.square.shape}")
        self.square, self.updates = square, state["updates"]


@dataclass(frozen=True)
class Schedule:
    """Rate of the controller: 0 during the delay, then `initial` times `ramp` to the power of the progress since.

    Without momentum a logit moves by at most about the rate in a step, so what decides whether a policy can move at
    all is the *sum* of the rates. It is what one sets here, and the initial rate follows from the number of steps:
    a fixed rate would leave short runs where they started.

    Attributes:
        steps: number of steps of the search.
        delay: fraction of the steps before the policy learns.
        total: sum of the rates that is aimed at; 0 freezes the policy (a control).
        ramp: rate at the end over the rate after the delay; rising: explore first, commit late.
        largest: no step's rate exceeds it (our choice): with very few steps the policy stays undecided instead of
            jumping to what it saw first.
    """

    steps: int
    delay: float = 0.25
    total: float = 100.0
    ramp: float = 10.0
    largest: float = 2.0

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("steps", self.steps, 1, math.inf),
            ("delay", self.delay, 0, 1),
            ("sum of rates", self.total, 0, math.inf),
            ("ramp", self.ramp, 1e-3, 1e3),
        ):
            if not low <= value <= high:
                raise ValueError(f"{name} {value}: must be from {low} to {high}")

    def _factor(self, progress: float) -> float:
        if progress < self.delay or self.delay >= 1:
            return 0.0
        return float(self.ramp ** ((progress - self.delay) / (1 - self.delay)))

    @cached_property
    def initial(self) -> float:
        """The rate right after the delay."""
        factors = [self._factor(step / self.steps) for step in range(self.steps)]
        if sum(factors) == 0:
            return 0.0
        return min(self.total / sum(factors), self.largest / max(factors))

    def rate(self, progress: float) -> float:
        """The rate at `progress` = step / steps in [0, 1]."""
        return self.initial * self._factor(progress)

    def sum(self) -> float:
        """The sum of the rates of all steps; below `total` only where `largest` bounds them."""
        return self.initial * sum(self._factor(step / self.steps) for step in range(self.steps))
