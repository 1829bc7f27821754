"""What a long job tells whoever watches it."""

from __future__ import annotations

import dataclasses
import math
import time
from pathlib import Path
from typing import Protocol


@dataclasses.dataclass(frozen=True, slots=True)
class Status:
    """One moment of a search or a training; NaN stands for what it does not have, or not yet.

    Attributes:
        step, steps: optimiser steps done, and in all.
        loss: training loss, moving average.
        accuracy: held-out, in [0, 1]: of a search the moving average of its looks, of a training the last epoch's.
        reward: of the looks of a search, moving average.
        cost_ratio: mean cost of the sampled architectures over the target, moving average.
        entropy: of the policy, in nats.
        data_ms: waiting for clips, a step.
        step_ms: everything, a step.
        eta_seconds: until the end of training.
        rate: learning rate.
        machine: a few words where other programs slow the machine down, see `training.machine.contention`; else empty.
    """

    step: int
    steps: int
    loss: float
    accuracy: float = math.nan
    reward: float = math.nan
    cost_ratio: float = math.nan
    entropy: float = math.nan
    data_ms: float = math.nan
    step_ms: float = math.nan
    eta_seconds: float = math.nan
    rate: float = math.nan
    machine: str = ""


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


class Logged:
    """A `Progress` that passes everything on and keeps remarks, with the time, in `log.txt`."""

    def __init__(self, progress: Progress, path: Path) -> None:
        self._progress, self._path = progress, path
        self._phase = ""

    def line(self, text: str) -> None:
        """Keeps and passes on a remark."""
        self._keep(text)
        self._progress.line(text)

    def status(self, status: Status) -> None:
        """Passes on."""
        self._progress.status(status)

    def phase(self, title: str, done: int, total: int) -> None:
        """Passes on, and keeps that a phase began."""
        if title != self._phase:
            self._phase = title
            self._keep(title)
        self._progress.phase(title, done, total)

    def _keep(self, text: str) -> None:
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")
