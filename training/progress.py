"""What a long job tells whoever watches it."""

from __future__ import annotations

import dataclasses
from typing import Protocol


@dataclasses.dataclass(frozen=True, slots=True)
class Status:
    """One moment of a search.

    Attributes:
        step, steps: optimiser steps done, and in all.
        loss: training loss, moving average.
        accuracy: held-out accuracy of the looks, moving average, in [0, 1]; NaN before the first.
        reward: of the looks, moving average; NaN before the first.
        cost_ratio: mean cost of the sampled architectures over the target, moving average.
        entropy: of the policy, in nats.
        data_ms: waiting for clips, a step.
        step_ms: everything, a step.
        eta_seconds: until the end of training.
    """

    step: int
    steps: int
    loss: float
    accuracy: float
    reward: float
    cost_ratio: float
    entropy: float
    data_ms: float
    step_ms: float
    eta_seconds: float


class Progress(Protocol):
    """Where a job reports; the command line draws it, a library user may ignore it."""

    def line(self, text: str) -> None:
        """A remark worth keeping."""

    def status(self, status: Status) -> None:
        """The state of training, many times a minute."""

    def phase(self, title: str, done: int, total: int) -> None:
        """How far a phase other than training is."""


class Silent:
    """Reports nowhere."""

    def line(self, text: str) -> None:
        """Drops the remark."""

    def status(self, status: Status) -> None:
        """Drops the status."""

    def phase(self, title: str, done: int, total: int) -> None:
        """Drops the phase."""
