"""Whether a job is slow because other programs want the same cores: what its status line tells while it lasts."""

from __future__ import annotations

import dataclasses
import math
import multiprocessing
import os
import time
from collections import deque
from collections.abc import Callable

from training.machine.resources import core_seconds, cores, thread_seconds

WAITING, OTHERS = 0.1, 0.25
"""The machine is called busy from this share of the time on in which threads that could run had no core, while other
programs take so many cores (ours). Alone on a machine threads wait about 0.01 of the time; two threads on two cores
beside one busy program a third."""

OVERLOAD = 1.5
"""Where the system does not count waiting: processes that want to run, a core, from which on it is called busy."""

WINDOW, EVERY = 30.0, 1.0
"""Seconds that are looked back on, and between two looks; steps may take milliseconds."""


@dataclasses.dataclass(frozen=True, slots=True)
class Look:
    """What had been counted at one time; NaN for what the system does not count.

    Attributes:
        seconds: the time.
        ran: seconds that the threads of this process ran.
        waited: seconds that they could have run and had no core.
        workers: seconds that this process's own worker processes ran.
        used: seconds for which the cores that this process may use were in use, by any program.
        load: processes that want to run, on average over a minute, this job's own threads included.
    """

    seconds: float
    ran: float
    waited: float
    workers: float
    used: float
    load: float


class Contention:
    """What other programs take from a job, over the last half minute.

    Linux counts of every thread how long it ran and how long it could have run but had no core. A thread that waits for
    data, for a GPU or for another thread is not counted, so a job that is slow by itself is not called so; and what
    its own workers take is not put on others.

    Args:
        look: counts; by default those of the system.
        clock: seconds, the same as those of a look.
        free: cores that this process may use; by default what there are.
    """

    def __init__(
        self,
        look: Callable[[], Look] | None = None,
        clock: Callable[[], float] = time.monotonic,
        free: int | None = None,
    ) -> None:
        self._look, self._clock, self._cores = look or look_now, clock, cores() if free is None else free
        self._looks: deque[Look] = deque()
        self._text = ""

    def text(self) -> str:
        """A few words where the machine is busy, else nothing; may be called at every step."""
        if not self._looks or self._clock() - self._looks[-1].seconds >= EVERY:
            self._looks.append(self._look())
            while self._looks[-1].seconds - self._looks[0].seconds > WINDOW and len(self._looks) > 2:
                self._looks.popleft()
            self._text = self._judged(self._looks[0], self._looks[-1])
        return self._text

    def _judged(self, first: Look, last: Look) -> str:
        elapsed = last.seconds - first.seconds
        if elapsed <= 0:
            return ""
        if math.isnan(last.waited) or math.isnan(last.used):
            busy = last.load >= OVERLOAD * self._cores
            return f"machine busy: load {last.load:.1f} on {self._cores} cores" if busy else ""
        # A thread or a worker that has ended took its counts along.
        ran, waited, workers, used = (
            max(0.0, getattr(last, name) - getattr(first, name)) for name in ("ran", "waited", "workers", "used")
        )
        share, others = waited / max(ran + waited, 1e-9), (used - ran - workers) / elapsed
        if share < WAITING or others < OTHERS:
            return ""
        return (
            f"machine busy: other programs take {others:.1f} of {self._cores} cores, threads wait {share:.0%} of the "
            "time"
        )


def look_now() -> Look:
    """The system's counts now."""
    own, used = thread_seconds(), core_seconds()
    workers = [thread_seconds(process.pid) for process in multiprocessing.active_children() if process.pid is not None]
    ran, waited = own or (math.nan, math.nan)
    return Look(
        time.monotonic(),
        ran,
        waited,
        math.fsum(found[0] for found in workers if found is not None),
        math.nan if used is None else used,
        os.getloadavg()[0],
    )
