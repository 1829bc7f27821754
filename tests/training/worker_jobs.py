"""Jobs for workers that take no time, in a module that worker processes can import."""

import dataclasses
import os
import signal
import time
from pathlib import Path

from training.machine import openmp
from training.machine.interrupt import Interrupt, Interrupted
from training.progress import Progress, Status


@dataclasses.dataclass(frozen=True)
class Errand:
    """A job: what it does follows from its name; `folder` is where it leaves traces."""

    name: str
    folder: Path = Path()


def square(job: Errand, progress: Progress) -> int:
    """The square of the name."""
    progress.line("counting")
    return int(job.name) ** 2


def where(_: Errand, __: Progress) -> tuple[int, dict[str, str], str | None, str | None]:
    """The process, and what it was started with."""
    return os.getpid(), openmp.given(), os.environ.get("PYTHONSAFEPATH"), os.environ.get("OMP_NUM_THREADS")


def die_so_often(job: Errand, progress: Progress) -> int:
    """Dies as often as the name says, then answers with how often it was begun."""
    count = len(list(job.folder.glob(f"{job.name}-*")))
    (job.folder / f"{job.name}-{count}").touch()
    if count < int(job.name):
        os.kill(os.getpid(), signal.SIGKILL)
    return count + 1


def save_when_asked(job: Errand, progress: Progress) -> int:
    """A training without end: it says that it has begun, and saves when it is asked to stop."""
    with Interrupt() as wish:
        (job.folder / f"{job.name}-begun").touch()
        while not wish.exit_code:
            progress.status(Status(1, 4, 0.5, eta_seconds=60))
            time.sleep(0.01)
        (job.folder / f"{job.name}-saved").touch()
        raise Interrupted(wish.exit_code, "saved")
