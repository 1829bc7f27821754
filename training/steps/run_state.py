"""What a training is resumed from: its checkpoints, and the ledgers that are rewound to the newest of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from searchspace.targets import CHECKPOINTS
from training.machine.interrupt import Interrupted
from training.progress import Progress
from training.retrain.footprint import KEPT
from training.run.ledger import Ledger
from training.steps import checkpoint

DISCARDED = "discarded"
"""Folders of a training."""


class RunState:
    """The state of one training on disk.

    Args:
        folder: of the training.
        again: the command that resumes it, for messages.
        ledgers: that grow with its steps; a checkpoint says how many lines each had.
        progress: where to report.
        keep: how many checkpoints stay.
    """

    def __init__(
        self, folder: Path, again: str, ledgers: tuple[Ledger, ...], progress: Progress, keep: int = KEPT
    ) -> None:
        self.folder, self._again, self._ledgers, self._progress, self._keep = folder, again, ledgers, progress, keep
        self.checkpoints = folder / CHECKPOINTS
        self._moved = 0

    def save(self, step: int, tensors: Mapping[str, checkpoint.Tensors], data: Mapping[str, Any]) -> None:
        """Writes a checkpoint.

        Args:
            step: steps done.
            tensors: groups of named tensors.
            data: everything else, plain JSON, but for `lines`, which is added: how many lines each ledger has.
        """
        lines = {ledger.path.name: ledger.lines for ledger in self._ledgers}
        checkpoint.save(self.checkpoints, step, tensors, {**data, "lines": lines}, self._keep)

    def restore(self, take: Callable[[checkpoint.Checkpoint], None]) -> checkpoint.Checkpoint | None:
        """Takes over the newest checkpoint that fits, and moves later lines of the ledgers to `discarded/`.

        Args:
            take: puts a checkpoint where it belongs, see `checkpoint.load_newest`; checks that `lines` are in its data.

        Returns:
            The checkpoint; None where there is none yet.

        Raises:
            ValueError: no checkpoint can be taken over, or a ledger was changed from outside.
        """
        found, passed = checkpoint.load_newest(self.checkpoints, take, ours=True)
        for text in passed:
            self._progress.line(f"damaged checkpoint passed over: {text}")
        lines: dict[str, int] = {} if found is None else found.data["lines"]
        self._moved = sum(self.rewind(ledger, lines.get(ledger.path.name, 0)) for ledger in self._ledgers)
        return found

    def rewind(self, ledger: Ledger, lines: int) -> int:
        """Moves what is beyond some lines of a ledger to `discarded/`; returns how many lines that were."""
        discarded = self.folder / DISCARDED / ledger.path.name
        discarded.parent.mkdir(exist_ok=True)
        return ledger.rewind(lines, discarded)

    def say_resumed(self, step: int, steps: int) -> None:
        """Reports where the training is resumed."""
        moved = f"; {self._moved} lines written after the checkpoint moved to discarded/" if self._moved else ""
        self._progress.line(f"going on with {self.folder} at step {step} of {steps}{moved}")

    def stopped(self, exit_code: int, step: int, steps: int) -> Interrupted:
        """The end of a training that was asked to stop, with everything saved."""
        return Interrupted(
            exit_code, f"stopped at step {step} of {steps}, saved in {self.folder}; go on with: {self._again}"
        )

    def last_good(self) -> Path | None:
        """The newest checkpoint; None where there is none yet."""
        names = checkpoint.names(self.checkpoints)
        return self.checkpoints / names[-1] if names else None
