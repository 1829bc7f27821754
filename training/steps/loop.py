"""The one loop of training. A search, a retraining and a short training are tasks that it runs.

The loop loads all that a step needs before the step begins, times it, logs it, saves where it is due, and stops where
that is wished or where data cannot be loaded, with the steps so far saved. What a step is, and what follows one, the
task says; how weights are updated, its engine (`SupernetSteps` or `Trainer`).
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

import video
from training.machine.interrupt import Interrupt, Interrupted
from training.steps import checkpoint
from training.steps.divergence import NotFinite
from training.steps.run_state import RunState
from training.steps.step_log import StepLog

Batch = tuple[Tensor, Tensor]
"""Clips, uint8 [N, 3, T, H, W], and labels, int64 [N]."""


class Task(ABC):
    """What is trained step by step.

    Args:
        source: the data.
        steps: in all.
        log: of the steps.
        state: what the task is resumed from; None where nothing is saved.
    """

    def __init__(self, source: video.Source, steps: int, log: StepLog, state: RunState | None = None) -> None:
        self.source, self.steps, self.log, self.state = source, steps, log, state

    @property
    @abstractmethod
    def done(self) -> int:
        """Steps done."""

    @abstractmethod
    def requests(self) -> Iterator[video.Request]:
        """The batches of all steps that are left, in order."""

    def needs(self) -> int:
        """Batches of the next step."""
        return 1

    def begin(self) -> None:  # noqa: B027  # most tasks need nothing here
        """Comes before the first step of this process."""

    @abstractmethod
    def step(self, batches: list[Batch]) -> dict[str, float]:
        """Does the next step; returns its metrics by their columns, in order, but for times.

        Args:
            batches: as many as it needs.

        Raises:
            ValueError: the training cannot go on.
        """

    def place(self) -> tuple[str, ...]:
        """What the row of metrics says after the number of the step."""
        return ()

    def shown(self, values: Mapping[str, float]) -> Mapping[str, float]:
        """What the status shows beside loss and times, by the names of `progress.Status`."""
        return {}

    @abstractmethod
    def follow(self, batches: list[Batch]) -> None:
        """Comes after a step that is logged: watching what is not finite, scoring, further logs.

        Raises:
            NotFinite: the training has diverged.
            Interrupted, ValueError: it was asked to stop, or data cannot be loaded; the step is saved before.
        """

    @property
    def ended(self) -> bool:
        """Whether training ends before its last step."""
        return False

    def due(self, saved: int) -> bool:
        """Whether the state is saved now, `saved` being the step of the last time; at the end it is in any case."""
        return False

    @abstractmethod
    def content(self) -> tuple[dict[str, checkpoint.Tensors], dict[str, Any]]:
        """What a checkpoint holds, see `RunState.save`."""

    def save(self) -> None:
        """Saves the state after the steps so far."""
        if self.state is not None:
            self.state.save(self.done, *self.content())

    def stopped(self, exit_code: int) -> Interrupted:
        """What is raised where the task ends early because it was asked to, with everything saved."""
        assert self.state is not None
        return self.state.stopped(exit_code, self.done, self.steps)

    def explained(self, error: Exception) -> Exception:
        """What is raised in place of an error while training: the same one, or one that says what to do."""
        return error


def run(task: Task, interrupt: Interrupt | None = None, workers: int = 0) -> None:
    """Does the steps of a task that are left.

    Args:
        task: what to train.
        interrupt: the wish to stop.
        workers: processes that load.

    Raises:
        Interrupted: it was asked to stop; the steps so far are saved.
        ValueError, OSError: data that cannot be loaded, with the steps so far saved; what a step or its task raises.
    """
    wish = interrupt or Interrupt()
    try:
        _run(task, wish, workers)
    except Exception as error:
        explained = task.explained(error)
        if explained is error:
            raise
        raise explained from error
    if wish.exit_code:
        raise task.stopped(wish.exit_code)


def _run(task: Task, wish: Interrupt, workers: int) -> None:
    log, saved = task.log, task.done
    coming = video.batches(task.source, task.requests(), workers, told=log.progress.line)
    task.begin()
    while task.done < task.steps and not task.ended and not wish.exit_code:
        begin = time.perf_counter()
        try:
            batches = [next(coming) for _ in range(task.needs())]
        except (ValueError, OSError):
            if wish.exit_code:
                break  # a signal to all processes ended those that load
            if task.done != saved:
                task.save()
            raise
        loaded = time.perf_counter()
        values = task.step(batches)
        values["data_ms"] = 1e3 * (loaded - begin)
        values["step_ms"] = 1e3 * (time.perf_counter() - begin)
        log.add(task.done, task.place(), values)
        log.show(task.done, task.shown(values))
        try:
            task.follow(batches)
        except NotFinite:  # the weights are those of before, and so the last checkpoint stays the last good one
            raise
        except (Interrupted, ValueError):
            task.save()
            raise
        if task.due(saved):
            task.save()
            saved = task.done
    if task.done != saved:
        task.save()
