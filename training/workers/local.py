"""Workers on this machine: this process, or long-lived processes that are fed through pipes."""

from __future__ import annotations

import multiprocessing
import os
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from searchspace import plugins
from training.machine import openmp
from training.progress import Progress, Status
from training.workers.workers import Died, Lost, Named, Workers, described
from video.processes import start_process

STATUS_SECONDS = 1.0


class Here(Workers):
    """One job after the other in this process, whose torch has its own number of threads again afterwards."""

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


class Processes(Workers):
    """Jobs in long-lived processes, which are started as they are needed; `total` jobs in all, or 0."""

    def __init__(self, most: int, flag: str, progress: Progress, total: int) -> None:
        super().__init__(most, flag, progress)
        self._total, self._done = total, 0
        self._processes: dict[Connection, BaseProcess] = {}
        self._running: dict[Connection, tuple[int, str]] = {}
        self._states: dict[str, str] = {}

    def _end(self) -> None:
        try:
            for connection, process in self._processes.items():
                if connection in self._running:
                    process.terminate()  # a training saves what it has
                else:
                    connection.close()
            for connection, process in self._processes.items():
                while _received(connection) is not None:  # a full pipe would hold it up
                    pass
                process.join()
        finally:
            for process in self._processes.values():
                process.kill()  # after a second Ctrl-C

    def _begin(self, number: int, function: Callable[..., Any], job: Named) -> None:
        while True:
            idle = [connection for connection in self._processes if connection not in self._running]
            connection = idle[0] if idle else self._start(type(job).__module__ == "__main__")
            self._running[connection] = number, job.name
            try:
                connection.send((function, job))
                return
            except OSError:  # it was killed while it was idle
                self._lose(connection)

    def _start(self, needs_main: bool) -> Connection:
        ours, theirs = multiprocessing.Pipe()
        with openmp.inherited():
            self._processes[ours] = start_process(_serve, theirs, needs_main=needs_main)
        theirs.close()
        return ours

    def _lose(self, connection: Connection) -> Died:
        del self._running[connection]
        process = self._processes.pop(connection)
        process.join()
        return Died(f"its process ended with code {process.exitcode}")

    def _wait(self) -> list[tuple[int, Any]]:
        ended: list[tuple[int, Any]] = []
        while not ended:
            for ready in wait(list(self._running)):
                assert isinstance(ready, Connection)
                number, name = self._running[ready]
                message = _received(ready)
                if message is None:
                    ended.append((number, self._lose(ready)))
                elif message[0] == "end":
                    del self._running[ready]
                    self._done += 1
                    ended.append((number, message[1]))
                elif isinstance(message[1], Status):
                    self._show(name, message[1])
                else:
                    self._progress.line(f"{name}: {message[1]}")
        return ended

    def _show(self, name: str, status: Status) -> None:
        """Shows the states of all trainings as one line."""
        minutes, running = status.eta_seconds / 60, [name for _, name in self._running.values()]
        self._states[name] = f"{name} {status.step / status.steps:.0%}, loss {status.loss:.2f}, {minutes:.0f} min left"
        shown = [text for of, text in self._states.items() if of in running]
        self._progress.phase("; ".join([*shown, "trained"]), self._done, self._total)


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
    plugins.load()  # jobs may hold what they brought
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
