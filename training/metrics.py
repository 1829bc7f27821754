"""Scalars for TensorBoard, and the log of a run, beside whatever else watches it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path

from tensorboardX import SummaryWriter

from training.progress import Progress, Status


class Scalars:
    """Writes scalars that TensorBoard shows, in groups by the part of their name before the slash.

    Args:
        folder: for event files; a resumed run writes a further file, whose values from `step` on replace earlier ones.
        step: where this process begins.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self._writer = SummaryWriter(str(folder), purge_step=step)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Writes the finite ones."""
        for name, value in values.items():
            if math.isfinite(value):
                self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Flushes."""
        self._writer.close()


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
