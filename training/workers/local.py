"""Workers on this machine: this process, or long-lived processes that are fed through pipes."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from training import openmp
from training.progress import Progress, Status
from training.workers.workers import Died, Lost, Named, Workers, described
from video.processes import start_process

STATUS_SECONDS = 1.0


class Here(Workers):
    """One job after the other in this process, whose torch has its own number of threads again afterwards."""

    most = 1

    def __enter__(self) -> Here:
        import torch

        self._threads = torch.get_num_threads()
        return self

    def _end(self) -> None:
        import torch

        torch.set_num_threads(self._threads)

    def _begin(self, number: int, function: Callable[..., Any], job: Named) -> None:
        self._next = number, function, job

    def _wait(self) -> list[tuple[int, Any]]:
        number, function, job = self._next
        return [(number, function(job, _Prefixed(job.name, self._progress)))]


@dataclasses.dataclass(frozen=True)
class _Worker:
    process: BaseProcess
    connection: Connection


class Processes(Workers):
    """Jobs in `count` processes, which are started as they are needed and live until the block ends."""

    def __init__(self, count: int, flag: str, progress: Progress, total: int) -> None:
        super().__init__(flag, progress)
        self._count, self._total, self._done = count, total, 0
        self._idle: list[_Worker] = []
        self._busy: dict[Connection, tuple[_Worker, int, str]] = {}
        self._states: dict[str, str] = {}

    @property
    def most(self) -> int:
        """Processes."""
        return self._count

    def __enter__(self) -> Processes:
        return self

    def _end(self) -> None:
        busy = [worker for worker, _, _ in self._busy.values()]
        workers = [*self._idle, *busy]
        try:
            for worker in busy:
                worker.process.terminate()  # trainings save what they have
            for worker in self._idle:
                worker.connection.close()
            for worker in workers:
                while _received(worker.connection) is not None:  # a full pipe would hold it up
                    pass
                worker.process.join()
        finally:
            for worker in workers:
                worker.process.kill()  # after a second Ctrl-C

    def _begin(self, number: int, function: Callable[..., Any], job: Named) -> None:
        while True:
            worker = self._idle.pop() if self._idle else self._start(type(job).__module__ == "__main__")
            self._busy[worker.connection] = worker, number, job.name
            try:
                worker.connection.send((function, job))
                return
            except OSError:  # it was killed while it was idle
                del self._busy[worker.connection]
                worker.process.join()

    def _start(self, needs_main: bool) -> _Worker:
        ours, theirs = multiprocessing.Pipe()
        with openmp.inherited():
            process = start_process(_serve, theirs, needs_main=needs_main)
        theirs.close()
        return _Worker(process, ours)

    def _wait(self) -> list[tuple[int, Any]]:
        ended: list[tuple[int, Any]] = []
        while not ended:
            for ready in wait(list(self._busy)):
                assert isinstance(ready, Connection)
                worker, number, name = self._busy[ready]
                kind, content = _received(ready) or ("died", None)
                if kind == "line":
                    self._progress.line(f"{name}: {content}")
                elif isinstance(content, Status):
                    self._show(name, content)
                else:
                    del self._busy[ready]
                    self._states.pop(name, None)
                    if kind == "died":
                        worker.process.join()
                        content = Died(f"its process ended with code {worker.process.exitcode}")
                    else:
                        self._idle.append(worker)
                        self._done += 1
                    ended.append((number, content))
        return ended

    def _show(self, name: str, status: Status) -> None:
        """Shows the states of all trainings as one line."""
        minutes = status.eta_seconds / 60
        self._states[name] = f"{name} {status.step / status.steps:.0%}, loss {status.loss:.2f}, {minutes:.0f} min left"
        self._progress.phase("; ".join([*self._states.values(), "trained"]), self._done, self._total)


def _received(connection: Connection) -> tuple[Any, Any] | None:
    """The next message from the other end; None where that has ended."""
    try:
        message: tuple[Any, Any] = connection.recv()
    except (EOFError, OSError):
        return None
    return message


def _serve(connection: Connection) -> None:
    """A worker process, of a process group of its own: Ctrl-C reaches its parent alone, which asks it once."""
    os.setpgrp()
    reports = _Sent(connection)
    while (message := _received(connection)) is not None:
        function, job = message
        try:
            outcome = function(job, reports)
        except KeyboardInterrupt:  # its training is saved
            return
        except Exception as error:
            traceback.print_exc()
            outcome = Lost(described(error))
        connection.send(("end", outcome))


class _Prefixed:
    """Puts a job's name before what it reports."""

    def __init__(self, name: str, progress: Progress) -> None:
        self._name, self._progress = name, progress
        self.status = progress.status

    def line(self, text: str) -> None:
        self._progress.line(f"{self._name}: {text}")

    def phase(self, title: str, done: int, total: int) -> None:
        self._progress.phase(f"{self._name}: {title}", done, total)


class _Sent:
    """Sends what a job reports to the parent, the state of training once a second."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._last = connection, 0.0

    def line(self, text: str) -> None:
        self._connection.send(("line", text))

    def status(self, status: Status) -> None:
        if time.monotonic() - self._last >= STATUS_SECONDS:
            self._last = time.monotonic()
            self._connection.send(("status", status))

    def phase(self, title: str, done: int, total: int) -> None:
        """Scoring takes seconds; the parent shows training."""
