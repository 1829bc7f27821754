"""What every step of a training leaves: a row of metrics, scalars for TensorBoard, and the status line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from training.machine.contention import Contention
from training.progress import Progress, Status
from training.run.ledger import Ledger
from training.tensorboard import Scalars

SMOOTHING = 0.1
"""Weight of a step's value in its moving average (ours)."""


class StepLog:
    """The log of one training's steps.

    Args:
        progress: where to report.
        steps: of the training.
        metrics: the ledger of a row a step; None for none.
        columns: its columns after those that say which step it is.
        names: what TensorBoard calls the columns.
        moments: how many of the steps it shows, about.

    Attributes:
        mean: moving average of each metric, as far as it was finite.
    """

    def __init__(
        self,
        progress: Progress,
        steps: int,
        *,
        metrics: Ledger | None = None,
        columns: tuple[str, ...] = (),
        names: Mapping[str, str] | None = None,
        moments: int = 1,
    ) -> None:
        self.progress, self.steps = progress, steps
        self._metrics, self._columns, self._names = metrics, columns, names or {}
        self._every = max(1, steps // moments)
        self._scalars: Scalars | None = None
        self._contention = Contention()
        self.mean: dict[str, float] = {}

    def open_scalars(self, folder: Path, step: int) -> None:
        """Begins a file for TensorBoard in a folder, after so many steps."""
        self._scalars = Scalars(folder, step)

    def is_moment(self, step: int) -> bool:
        """Whether a step is one of those that TensorBoard shows."""
        return step % self._every == 0 or step == self.steps

    def add(self, step: int, place: tuple[str, ...], values: Mapping[str, float]) -> None:
        """Keeps the metrics of a step.

        Args:
            step: steps done.
            place: cells after it that say which step it is.
            values: by column; what is not finite leaves an empty cell.
        """
        if self._metrics is not None:
            cells = [f"{values[name]:.9g}" if math.isfinite(values[name]) else "" for name in self._columns]
            self._metrics.append(",".join([str(step), *place, *cells]))
        mean = self.mean
        for name, value in values.items():
            if math.isfinite(value):
                old = mean.get(name, value)
                mean[name] = old + (value - old) * SMOOTHING
        if self._scalars is not None and self.is_moment(step):
            self._scalars.add(step, {self._names[name]: value for name, value in values.items()})

    def add_scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Shows further values in TensorBoard, by their names there."""
        if self._scalars is not None:
            self._scalars.add(step, values)

    def show(self, step: int, more: Mapping[str, float]) -> None:
        """Reports the state after a step.

        Args:
            step: steps done.
            more: what the status has beside loss and times.
        """
        mean = self.mean
        self.progress.status(
            Status(
                step,
                self.steps,
                mean.get("loss", math.nan),
                data_ms=mean["data_ms"],
                step_ms=mean["step_ms"],
                eta_seconds=(self.steps - step) * mean["step_ms"] / 1e3,
                machine=self._contention.text(),
                **more,
            )
        )
