"""The status of a long job: one line that stays in place on a terminal, now and then a line in a log."""

from __future__ import annotations

import math
import sys
import time
from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.live import Live as RichLive
from rich.text import Text

from training.progress import Status

LOG_EVERY = 10.0
"""Seconds between two lines of a log."""


class Live:
    """Draws progress; a `training.progress.Progress`. Use it as a context manager.

    Args:
        stream: where to draw; by default standard error, so that standard output stays for results.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._rich: RichLive | None = None
        self._console = Console(file=self._stream, highlight=False)
        self._said = -math.inf

    def __enter__(self) -> Live:
        if self._stream.isatty():
            self._rich = RichLive(console=self._console, refresh_per_second=4, transient=True)
            self._rich.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._rich is not None:
            self._rich.__exit__(kind, error, trace)
            self._rich = None

    def line(self, text: str) -> None:
        """Prints a remark that stays."""
        if self._rich is not None:
            self._console.print(Text(text))
        else:
            print(text, file=self._stream, flush=True)

    def status(self, status: Status) -> None:
        """Shows the state of training."""
        self._draw(status_line(status), last=status.step >= status.steps)

    def phase(self, title: str, done: int, total: int) -> None:
        """Shows how far a phase other than training is."""
        share = f" ({min(1.0, done / total):.0%})" if total else ""
        self._draw(f"{title}: {done:,} of {total:,}{share}", last=done >= total)

    def _draw(self, text: str, last: bool) -> None:
        if self._rich is not None:
            self._rich.update(Text(text))
        elif last or time.monotonic() - self._said >= LOG_EVERY:
            self._said = time.monotonic()
            print(text, file=self._stream, flush=True)


def status_line(status: Status) -> str:
    """Renders the state of training: what is not measured yet is left out."""
    width = len(f"{status.steps:,}")
    parts = [f"step {status.step:>{width},}/{status.steps:,}", f"loss {status.loss:.3f}"]
    if math.isfinite(status.accuracy):
        parts.append(f"accuracy {status.accuracy:.1%}")
    if math.isfinite(status.reward):
        parts.append(f"reward {status.reward:.3f}")
    if math.isfinite(status.cost_ratio):
        parts += [f"cost {status.cost_ratio:.2f}x", f"entropy {status.entropy:.1f}"]
    if math.isfinite(status.rate):
        parts.append(f"rate {status.rate:.3g}")
    times = f"data {status.data_ms:.0f} ms, step {status.step_ms:.0f} ms"
    machine = f" | {status.machine}" if status.machine else ""
    return f"{'  '.join(parts)} | {times} | ETA {duration(status.eta_seconds)}{machine}"


def duration(seconds: float) -> str:
    """Renders a stretch of time in its two largest units: `45 s`, `3 min 20 s`, `2 h 5 min`, `1 d 3 h`."""
    if not math.isfinite(seconds):
        return "unknown"
    left = max(0, round(seconds))
    parts: list[str] = []
    for name, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or (name == "s" and not parts):
            parts.append(f"{count} {name}")
        elif parts:
            break
    return " ".join(parts[:2])
