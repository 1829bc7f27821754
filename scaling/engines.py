"""Where jobs run: in this process, in several long-lived ones, or on Ray. The results are the same."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol

from scaling import jobs
from scaling.jobs import Job
from training import openmp
from video.processes import WorkerPool, worker_pool

TRIES = 3
"""How often a job is begun whose worker dies, before the search gives up."""


class Jobs(Protocol):
    """What an engine works on; `work.Work` is one."""

    def take(self) -> Job | None:
        """The next job, or None where there is none now."""

    @property
    def finished(self) -> bool:
        """Whether there will be none any more."""

    def tell(self, job: Job, result: Mapping[str, Any]) -> None:
        """Takes a result."""


def run_here(work: Jobs, settings: Mapping[str, Any]) -> None:
    """One job after the other in this process, with this process's threads given back afterwards."""
    import torch

    threads = torch.get_num_threads()
    try:
        while (job := work.take()) is not None:
            work.tell(job, jobs.run(job.to_dict(), settings))
    finally:
        torch.set_num_threads(threads)


def run_in_processes(work: Jobs, settings: Mapping[str, Any], workers: int) -> None:
    """Several jobs at a time, each in one of `workers` processes that live as long as the search.

    A job whose process dies is begun again, and so are those that ran beside it; results that came before are kept.

    Raises:
        ValueError: a job was lost three times.
    """
    lost: dict[str, int] = {}
    waiting: list[Job] = []
    while True:
        running: dict[Future[dict[str, Any]], Job] = {}
        try:
            with _workers(workers) as pool:
                while True:
                    while len(running) < workers and (job := waiting.pop() if waiting else work.take()) is not None:
                        running[pool.submit(jobs.run, job.to_dict(), settings)] = job
                    if not running:
                        return
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        result = future.result()
                        work.tell(running.pop(future), result)
        except BrokenProcessPool:
            waiting += running.values()
            for job in waiting:
                lost[job.key] = lost.get(job.key, 0) + 1
                if lost[job.key] >= TRIES:
                    raise ValueError(
                        f"the process of training {job.key!r} died {TRIES} times (out of memory?); lower --workers "
                        "and go on with --resume, or start anew with a smaller --search-resolution"
                    ) from None


@contextlib.contextmanager
def _workers(count: int) -> Iterator[WorkerPool]:
    """Processes that end amid their jobs where an error or Ctrl-C leaves the block: a resume begins these jobs anew."""
    before = set(multiprocessing.active_children())
    with openmp.inherited(), worker_pool(count) as pool:
        try:
            yield pool
        except BaseException:
            for process in set(multiprocessing.active_children()) - before:
                process.terminate()
            raise
