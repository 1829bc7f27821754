"""What all workers share: jobs are handed out as workers become free, and those of lost workers are begun again."""

from __future__ import annotations

import abc
import collections
import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar

from training.machine.interrupt import hang_up_ignored
from training.progress import Progress

TRIES = 3
"""How often a job is begun whose worker is lost, before it counts as lost itself."""


class Named(Protocol):
    """A job: anything that can be pickled and has a name of its own."""

    @property
    def name(self) -> str:
        """Tells the job from all others of its map."""


Job = TypeVar("Job", bound=Named)
Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True)
class Lost:
    """The outcome of a job that has no result.

    Attributes:
        reason: why, in one line.
    """

    reason: str


@dataclasses.dataclass(frozen=True)
class Died:
    """The outcome of a job whose worker ended amid it.

    Attributes:
        how: what is known about it.
    """

    how: str


class Workers(abc.ABC):
    """Runs jobs; use it as a context manager. See `open_workers`.

    Attributes:
        most: jobs at a time.
    """

    def __init__(self, most: int, flag: str, progress: Progress) -> None:
        self.most, self._flag, self._progress = most, flag, progress

    def map(
        self, function: Callable[[Job, Progress], Result], take: Callable[[], Job | None]
    ) -> Iterator[tuple[Job, Result | Lost]]:
        """Runs jobs until there is none left.

        A job whose worker is lost is begun again, twice at most; it then counts as lost. So does one whose function
        raises in another process, where the traceback goes to standard error; in this process the exception passes.

        Args:
            function: of a job, and of what takes its reports; may be pickled.
            take: the next job, or None where there is none now; asked whenever a worker is free, and after each result.

        Yields:
            Jobs with their results, in the order in which these come.
        """
        running: dict[int, Job] = {}
        again: list[Job] = []
        losses: collections.Counter[str] = collections.Counter()
        numbers = itertools.count()
        while True:
            while len(running) < self.most and (job := again.pop() if again else take()) is not None:
                number = next(numbers)
                running[number] = job
                self._begin(number, function, job)
            if not running:
                return
            for number, outcome in self._wait():
                job = running.pop(number)
                if not isinstance(outcome, Died):
                    yield job, outcome
                    continue
                losses[job.name] += 1
                if losses[job.name] < TRIES:
                    self._progress.line(f"{job.name}: its worker was lost ({outcome.how}), it begins again")
                    again.append(job)
                else:
                    remedy = f"out of memory? then lower {self._flag}"
                    yield job, Lost(f"its worker was lost {TRIES} times, at last {outcome.how} ({remedy})")

    @abc.abstractmethod
    def _begin(self, number: int, function: Callable[..., Any], job: Named) -> None:
        """Hands a job to a free worker."""

    @abc.abstractmethod
    def _wait(self) -> list[tuple[int, Any]]:
        """Waits for at least one job's outcome: its result, `Lost` or `Died`."""

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        with hang_up_ignored():
            self._end()

    @abc.abstractmethod
    def _end(self) -> None:
        """Ends the workers; jobs that still run are asked to stop, and waited for while they save what they have."""


def in_order(jobs: Iterable[Job]) -> Callable[[], Job | None]:
    """What `Workers.map` takes, of jobs that are known from the start."""
    waiting = iter(jobs)
    return lambda: next(waiting, None)


def described(error: BaseException) -> str:
    """An exception in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
