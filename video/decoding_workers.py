"""Jobs in worker processes that are replaced when they die or hang; results come in the order of the jobs."""

import math
import multiprocessing
import pickle
import queue
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

from video.limits import limits
from video.processes import prepare_worker, worker_environment

Result = TypeVar("Result")

_ATTEMPTS = 2  # a job that takes two processes with it would take more
_LOOK_EVERY = 0.5  # seconds
_START_SECONDS = 60.0  # allowed at least: interpreters start slowly on a busy machine
_JOIN_SECONDS = 5.0  # a process that waits for a disk that does not answer cannot be ended at all
_ITEM, _SIGN, _READY = 0, 1, 2  # of a pulse: the item a worker is at, its last sign of life, whether it has started


@dataclass(frozen=True, slots=True)
class Lost:
    """What comes in place of the result of a job that no process could finish.

    Attributes:
        item: the item of the job that they were at, from 0.
        reason: what happened to them.
    """

    item: int
    reason: str


@dataclass(slots=True, eq=False)
class _Job:
    arguments: tuple[Any, ...]
    future: "Future[Any]" = field(default_factory=Future)
    failures: int = 0


def results(
    function: Callable[..., Result],
    jobs: Iterable[tuple[Any, ...]],
    workers: int,
    *,
    ahead: int = 2,
    prepare: Callable[..., None] | None = None,
    arguments: tuple[Any, ...] = (),
    replaced: Callable[[tuple[Any, ...], Lost], None] | None = None,
) -> Iterator[tuple[tuple[Any, ...], Result | Lost]]:
    """Calls a function once for each job, in fresh single-threaded processes.

    A process that dies, or gives no sign of life for `Limits.item_seconds`, is replaced, and the job that it was at is
    tried once more: a job must be a function of its arguments. Signs of life are `at_item`, `alive`, and the end of a
    job.

    Args:
        function: of a module, not of the program itself.
        jobs: arguments of each call; drawn up to `workers * ahead` before they are needed.
        workers: how many processes, 1 or more.
        ahead: jobs that wait for each of them.
        prepare: called once in each process, with `arguments`.
        arguments: of `prepare`.
        replaced: called for each process that is replaced, with its job and what happened.

    Yields:
        A job and what the function returned, or `Lost`, in the order of the jobs; what it raised is raised.
    """
    coming = iter(jobs)
    needs_main = any(type(argument).__module__ == "__main__" for argument in arguments)
    crew = [_Worker(function, prepare, arguments, needs_main) for _ in range(workers)]
    waiting: deque[_Job] = deque()
    looked = -math.inf
    try:
        while True:
            while len(waiting) < workers * ahead and (drawn := next(coming, None)) is not None:
                waiting.append(_Job(drawn))
                min(crew, key=lambda worker: len(worker.jobs)).take(waiting[-1])
            if not waiting:
                return
            while not wait([waiting[0].future], _LOOK_EVERY).done:
                now = time.monotonic()
                away, looked = now - looked > 10 * _LOOK_EVERY, now
                for worker in crew:
                    if away:  # busy with something else, or stopped: then so may have been the processes
                        worker.forgive()
                    elif (found := worker.replace_if_faulty()) is not None and replaced is not None:
                        replaced(*found)
            job = waiting.popleft()
            yield job.arguments, job.future.result()
    finally:
        for worker in crew:
            worker.stop()


class _Worker(Generic[Result]):
    """One process after another, and the jobs that wait for it; a thread hands them over and takes results."""

    def __init__(
        self,
        function: Callable[..., Result],
        prepare: Callable[..., None] | None,
        arguments: tuple[Any, ...],
        needs_main: bool,
    ) -> None:
        self._setup = function, prepare, arguments
        self._needs_main = needs_main
        self._lock = threading.Lock()  # of the jobs, and of what thread and process they are with
        self._process: Any = None
        self.jobs: deque[_Job] = deque()

    def take(self, job: _Job) -> None:
        """Adds a job; the process starts with the first."""
        if self._process is None:
            self._start()
        with self._lock:
            if not self.jobs:
                self.forgive()
            self.jobs.append(job)
        self._inbox.put(job)

    def forgive(self) -> None:
        """Takes this moment for a sign of life."""
        if self._process is not None:
            self._pulse[_SIGN] = time.monotonic()

    def _start(self) -> None:
        # Nothing is forked: a fork of a process with threads can hang.
        context = multiprocessing.get_context("spawn")
        self._pulse = context.RawArray("d", [0.0, time.monotonic(), 0.0])
        ours, theirs = context.Pipe()
        self._died = threading.Event()
        self._inbox: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._process = context.Process(target=_serve, args=(theirs, self._pulse, *self._setup), daemon=True)
        with worker_environment(self._needs_main):
            self._process.start()
        theirs.close()
        threading.Thread(target=self._talk, args=(ours, self._inbox, self._died), daemon=True).start()

    def _talk(self, connection: Connection, inbox: "queue.SimpleQueue[_Job | None]", died: threading.Event) -> None:
        """In a thread: hands over one job after another, until there are no more or the process is gone."""
        with connection:
            while (job := inbox.get()) is not None:
                try:
                    connection.send(job.arguments)
                    returned, value = connection.recv()
                except (EOFError, OSError):
                    died.set()
                    return
                except Exception as error:  # it came, and cannot be read
                    returned, value = False, error
                with self._lock:
                    if job not in self.jobs:  # given up in the meantime
                        return
                    self.jobs.remove(job)
                job.future.set_result(value) if returned else job.future.set_exception(value)

    def replace_if_faulty(self) -> tuple[tuple[Any, ...], Lost] | None:
        """Ends a process at fault; its job is tried again by another, or lost, and those behind it are kept.

        Returns:
            The job and what happened to it, or None where nothing has.
        """
        with self._lock:
            if not self.jobs or (reason := self._fault()) is None:
                return None
            lost = Lost(int(self._pulse[_ITEM]), reason)
            jobs, self.jobs = self.jobs, deque()
        self.stop()
        culprit = jobs[0]
        culprit.failures += 1
        if culprit.failures == _ATTEMPTS:
            jobs.popleft().future.set_result(lost)
        for job in jobs:
            self.take(job)
        return culprit.arguments, lost

    def _fault(self) -> str | None:
        if self._died.is_set():
            return "its process died, perhaps out of memory"
        allowed = limits().item_seconds
        if not self._pulse[_READY]:
            allowed = max(allowed, _START_SECONDS)
        if time.monotonic() - self._pulse[_SIGN] > allowed:
            return f"its process gave no sign of life for {allowed:g} s (MOVINAS_ITEM_SECONDS)"
        return None

    def stop(self) -> None:
        """Ends the process, whatever it is at."""
        if self._process is not None:
            self._inbox.put(None)
            self._process.kill()
            self._process.join(_JOIN_SECONDS)
            self._process = None


_pulse: Any = None
"""In a worker process: where it gives signs of life."""


def at_item(item: int) -> None:
    """In a job: says which of its items comes next; elsewhere nothing."""
    if _pulse is not None:
        _pulse[_ITEM] = item
        alive()


def alive() -> None:
    """In a job: says that work goes on; elsewhere nothing."""
    if _pulse is not None:
        _pulse[_SIGN] = time.monotonic()


def _serve(
    connection: Connection,
    pulse: Any,
    function: Callable[..., Any],
    prepare: Callable[..., None] | None,
    arguments: tuple[Any, ...],
) -> None:
    global _pulse
    _pulse = pulse
    prepare_worker(prepare, arguments)
    alive()
    pulse[_READY] = 1.0
    while True:
        try:
            job = connection.recv()
        except EOFError:
            return
        at_item(0)
        try:
            answer = True, function(*job)
        except Exception as error:
            error.add_note(traceback.format_exc())
            answer = False, error
        alive()
        try:
            connection.send(answer)
        except (AttributeError, TypeError, pickle.PicklingError):
            connection.send((False, RuntimeError(f"a result that cannot be handed over: {answer[1]!r:.500}")))
