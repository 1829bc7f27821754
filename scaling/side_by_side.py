"""Whole trainings side by side: in this process, in a process each, or as tasks on Ray.

A training is a run folder, so nothing travels back but its accuracy: a process that dies costs its own training the
steps since its last checkpoint, and no other one anything.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from searchspace import Architecture
from training import openmp
from training.interrupt import Interrupt, Interrupted
from training.progress import Progress, Silent, Status
from training.run import DATA_PATHS
from video.processes import start_process

POLL_SECONDS = 0.5
STATUS_SECONDS = 1.0
RAY_RETRIES = 2


@dataclasses.dataclass(frozen=True)
class Task:
    """A run of `training.retrain`, as plain data.

    Attributes:
        name: of the run.
        runs: the folder that holds it.
        architecture: content of its arch.json.
        settings: of a run that has not begun.
    """

    name: str
    runs: str
    architecture: dict[str, Any]
    settings: dict[str, Any]


Tell = Callable[[Task, Mapping[str, Any]], None]
"""Takes what a training ended with: `accuracy`, or `error`."""


def train(task: Task, progress: Progress) -> dict[str, Any]:
    """Begins a run or goes on with it.

    Returns:
        `accuracy`, or `error` where the training failed.

    Raises:
        Interrupted: it is saved.
    """
    import torch

    from training.retrain import retrain

    threads = torch.get_num_threads()
    begun = (Path(task.runs) / task.name / "config.json").is_file()
    try:
        result = retrain(
            Architecture.from_dict(task.architecture),
            # A run that has begun has its own settings, but its data may have been moved.
            {key: value for key, value in task.settings.items() if key in DATA_PATHS} if begun else task.settings,
            runs=task.runs,
            name=task.name,
            resume=True,
            progress=progress,
        )
    except ValueError as error:
        return {"error": str(error)}
    except OSError as error:
        return {"error": f"{error.filename or task.name}: {error.strerror or error}"}
    finally:
        torch.set_num_threads(threads)
    return {"accuracy": result.accuracy}


def run_here(tasks: Sequence[Task], tell: Tell, progress: Progress, wish: Interrupt) -> None:
    """One after the other in this process."""
    for number, task in enumerate(tasks, start=1):
        if wish.exit_code:
            return
        progress.line(f"{task.name}, training {number} of {len(tasks)}")
        tell(task, train(task, _Named(task.name, progress)))


def run_in_processes(tasks: Sequence[Task], tell: Tell, progress: Progress, wish: Interrupt, workers: int) -> None:
    """Several at a time, each in a process of its own. A wish to stop is passed on, and all save what they have."""
    waiting, shown, asked = list(tasks), _Shown(progress, len(tasks)), False
    running: dict[Connection, tuple[BaseProcess, Task]] = {}
    try:
        while running or (waiting and not wish.exit_code):
            while waiting and len(running) < workers and not wish.exit_code:
                task = waiting.pop(0)
                progress.line(f"{task.name} begins")
                receiver, sender = multiprocessing.Pipe(duplex=False)
                with openmp.inherited():
                    running[receiver] = (start_process(_work, sender, task), task)
                sender.close()
            if wish.exit_code and not asked:
                asked = True
                for process, _ in running.values():
                    process.terminate()
            for ready in wait(list(running), timeout=POLL_SECONDS):
                assert isinstance(ready, Connection)
                process, task = running[ready]
                outcome = _received(ready, process, task, shown)
                if outcome is not None:
                    del running[ready]
                    process.join()
                    if "interrupted" not in outcome and not (wish.exit_code and "died" in outcome):
                        tell(task, {key: value for key, value in outcome.items() if key != "died"})
                        shown.finish(task.name)
    finally:
        for process, _ in running.values():  # after a second Ctrl-C
            process.kill()


def _received(ready: Connection, process: BaseProcess, task: Task, shown: _Shown) -> dict[str, Any] | None:
    """Passes on what a training says; its outcome, once there is one."""
    try:
        kind, content = ready.recv()
    except (EOFError, OSError):
        process.join()
        why = f"its process ended with code {process.exitcode} (out of memory?)"
        return {"error": f"{why}; lower --parallel, then go on with --resume", "died": True}
    if kind == "end":
        return dict(content)
    if kind == "line":
        shown.progress.line(f"{task.name}: {content}")
    else:
        shown.of(task.name, content)
    return None


def run_on_ray(
    tasks: Sequence[Task], tell: Tell, progress: Progress, wish: Interrupt, threads: int, address: str
) -> None:
    """As Ray tasks of `threads` CPUs each. A task whose worker is lost begins again, and goes on from its checkpoint.

    Raises:
        ValueError: Ray cannot be reached, or no machine has so many CPUs.
    """
    from scaling.ray_engine import connected

    with connected(address, threads * len(tasks), threads, "--parallel") as ray:
        remote = ray.remote(num_cpus=threads, max_retries=RAY_RETRIES)(_work_on_ray)
        running = {remote.remote(dataclasses.asdict(task)): task for task in tasks}
        progress.line(f"{len(tasks)} trainings on Ray at {address}")
        asked = False
        while running:
            if wish.exit_code and not asked:
                asked = True
                for reference in running:
                    ray.cancel(reference, force=False)  # SIGINT in its worker: the training saves and ends
            ready, _ = ray.wait(list(running), num_returns=1, timeout=POLL_SECONDS)
            for reference in ready:
                task = running.pop(reference)
                try:
                    outcome = ray.get(reference)
                except ray.exceptions.TaskCancelledError:
                    continue
                except ray.exceptions.RayError as error:
                    outcome = {"error": f"Ray lost its worker ({type(error).__name__}); go on with --resume"}
                if "interrupted" not in outcome and not (wish.exit_code and "error" in outcome):
                    tell(task, outcome)
            progress.phase("trained", len(tasks) - len(running), len(tasks))


def _work(connection: Connection, task: Task) -> None:
    """In a process of its own, and of a process group of its own: Ctrl-C reaches the parent, which asks once."""
    os.setpgrp()
    try:
        outcome = train(task, _Sent(connection))
    except Interrupted as stop:
        outcome = {"interrupted": stop.exit_code}
    connection.send(("end", outcome))


def _work_on_ray(task: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return train(Task(**task), Silent())
    except Interrupted as stop:
        return {"interrupted": stop.exit_code}


class _Named:
    """Puts a training's name before what it says."""

    def __init__(self, name: str, progress: Progress) -> None:
        self._name, self._progress = name, progress
        self.status = progress.status

    def line(self, text: str) -> None:
        self._progress.line(f"{self._name}: {text}")

    def phase(self, title: str, done: int, total: int) -> None:
        self._progress.phase(f"{self._name}: {title}", done, total)


class _Sent:
    """Sends progress to the parent, the state of training once a second."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._said = connection, 0.0

    def line(self, text: str) -> None:
        self._connection.send(("line", text))

    def status(self, status: Status) -> None:
        if time.monotonic() - self._said >= STATUS_SECONDS:
            self._said = time.monotonic()
            self._connection.send(("status", status))

    def phase(self, title: str, done: int, total: int) -> None:
        """Scoring takes seconds; the parent shows training."""


class _Shown:
    """The states of several trainings as one line."""

    def __init__(self, progress: Progress, total: int) -> None:
        self.progress, self.total, self.done = progress, total, 0
        self._states: dict[str, str] = {}

    def of(self, name: str, status: Status) -> None:
        minutes = status.eta_seconds / 60
        self._states[name] = f"{name} {status.step / status.steps:.0%}, loss {status.loss:.2f}, {minutes:.0f} min left"
        self.progress.phase("; ".join([*self._states.values(), "trained"]), self.done, self.total)

    def finish(self, name: str) -> None:
        self.done += 1
        self._states.pop(name, None)
