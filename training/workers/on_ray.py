"""Workers on Ray, which brings jobs to free CPUs of its machines and their results back; it stores nothing."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import traceback
from collections.abc import Callable
from typing import Any

from searchspace import plugins
from training.machine import openmp
from training.machine.resources import cores
from training.progress import Progress, Silent
from training.workers.workers import Died, Lost, Named, Workers, described

LOCAL = "local"
CONNECT_SECONDS = 10.0

_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


class OnRay(Workers):
    """Jobs as Ray tasks of `threads` CPUs each; Ray keeps its worker processes from task to task.

    Args:
        count: jobs at a time; None for as many as there are CPUs for.
        address: of a cluster, or `local` for one on this machine alone.
        threads: CPUs that a job takes.
        flag: see `open_workers`.
        progress: takes what is said about the jobs; their own reports stay on their machines.
    """

    def __init__(self, count: int | None, address: str, threads: int, flag: str, progress: Progress) -> None:
        local = max(1, cores() // threads) if address == LOCAL else 0
        super().__init__(count or local, flag, progress)
        self._address, self._threads = address, threads
        self._running: dict[Any, int] = {}

    def __enter__(self) -> OnRay:
        for name, text in _QUIET.items():
            os.environ.setdefault(name, text)
        import ray

        self._ray: Any = ray
        self._connect()
        cpus = [node["Resources"].get("CPU", 0) for node in self._ray.nodes()]
        if max(cpus, default=0) < self._threads:
            ray.shutdown()
            raise ValueError(
                f"no machine of Ray at {self._address!r} offers the {self._threads} CPUs of a training; lower --threads"
            )
        self.most = self.most or sum(int(count // self._threads) for count in cpus)
        # Lost workers are counted by `map`, for all jobs alike.
        self._remote = ray.remote(num_cpus=self._threads, max_retries=0)(_call)
        return self

    def _end(self) -> None:
        try:
            for reference in self._running:
                self._ray.cancel(reference, force=False)  # SIGINT in its worker: a training saves and ends
            if self._running:
                self._ray.wait(list(self._running), num_returns=len(self._running))
        finally:
            self._ray.shutdown()

    def _begin(self, number: int, function: Callable[..., Any], job: Named) -> None:
        self._running[self._remote.remote(function, job)] = number

    def _wait(self) -> list[tuple[int, Any]]:
        (reference,), _ = self._ray.wait(list(self._running), num_returns=1)
        number = self._running.pop(reference)
        try:
            return [(number, self._ray.get(reference))]
        except self._ray.exceptions.RayError as error:
            return [(number, Died(type(error).__name__))]

    def _connect(self) -> None:
        environment: dict[str, Any] = {"env_vars": {**openmp.environment(), **plugins.environment()}}
        if plugins.LOADED:  # jobs may hold what they brought
            environment["worker_process_setup_hook"] = "searchspace.plugins.load"
        options: dict[str, Any] = {
            "log_to_driver": False,
            "logging_level": logging.ERROR,
            "runtime_env": environment,  # for the workers of every machine
        }
        if self._address == LOCAL:
            options |= {"num_cpus": self.most * self._threads, "include_dashboard": False}
        else:
            options["address"] = self._address
        answering = signal.getsignal(signal.SIGTERM)
        try:
            host, colon, port = self._address.removeprefix("ray://").rpartition(":")
            if colon and port.isdecimal():  # Ray itself would try for many minutes
                socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
            self._ray.init(**options)
        except Exception as error:  # of a node that starts too slowly Ray says so by a bare Exception
            self._ray.shutdown()
            reason = " ".join(str(error).split())[:120]
            if self._address == LOCAL:
                raise ValueError(
                    f"Ray did not start on this machine ({reason}); where other work keeps it busy, go on with "
                    f"--resume later, or leave --ray out and give {self._flag}"
                ) from None
            raise ValueError(
                f"Ray at {self._address!r} cannot be reached ({reason}); start it with `ray start --head` and give its "
                f"address, or `--ray local`, or leave --ray out and give {self._flag}"
            ) from None
        if answering is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, answering)  # Ray has put its own there, which exits at once


def _call(function: Callable[..., Any], job: Named) -> Any:
    """On a machine of Ray."""
    try:
        return function(job, Silent())
    except Exception as error:
        traceback.print_exc()
        return Lost(described(error))
