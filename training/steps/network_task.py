"""The steps of one network's training, as the loop runs them: what a retraining and a short training share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import video
from training.batch_order import Order
from training.steps import checkpoint
from training.steps.divergence import Watch
from training.steps.loop import Batch, Task
from training.steps.run_state import RunState
from training.steps.step_log import StepLog
from training.steps.trainer import Outcome, Trainer


class NetworkTask(Task):
    """A network trained alone on one part of a data set.

    Args:
        trainer: of the network.
        source: the data.
        part: what to train on.
        order: of its clips.
        log: of the steps.
        state: what the training is resumed from; None where nothing is saved.
    """

    _outcome: Outcome

    def __init__(
        self,
        trainer: Trainer,
        source: video.Source,
        part: str,
        order: Order,
        log: StepLog,
        state: RunState | None = None,
    ) -> None:
        super().__init__(source, trainer.steps, log, state)
        self.trainer, self.part, self.order = trainer, part, order
        self._watch = Watch(trainer)

    @property
    def done(self) -> int:
        """Steps done."""
        return self.trainer.done

    def requests(self) -> Iterator[video.Request]:
        """A batch a step."""
        for step in range(self.done, self.steps):
            epoch, indices = self.order.at(step)
            yield video.Request(self.part, indices, epoch, training=True)

    def step(self, batches: list[Batch]) -> dict[str, float]:
        """One update of the weights."""
        ((clips, labels),) = batches
        outcome = self._outcome = self.trainer.step(clips, labels)
        return {
            "loss": outcome.loss,
            "gradient_norm": outcome.gradient_norm,
            "rate": outcome.rate,
            "skipped": float(self.trainer.skipped),
        }

    def follow(self, batches: list[Batch]) -> None:
        """Says that the step was skipped; raises `NotFinite` where too many were."""
        if self._outcome.skipped:
            self.log.progress.line(
                f"step {self.done} skipped: its loss or gradient is not finite; the weights are as before"
            )
        self._watch(self._outcome, batches[0][0])

    def content(self) -> tuple[dict[str, checkpoint.Tensors], dict[str, Any]]:
        """The trainer's state."""
        return self.trainer.state()
