"""Workers: independent jobs side by side in this process, in processes or on Ray; the results are the same."""

from __future__ import annotations

from training.progress import Progress, Silent
from training.workers.local import Here, Processes
from training.workers.workers import Lost, Workers, in_order

__all__ = ["Lost", "Workers", "in_order", "open_workers"]


def open_workers(
    count: int | None = None,
    ray: str | None = None,
    *,
    threads: int = 1,
    flag: str = "--workers",
    progress: Progress | None = None,
    total: int = 0,
) -> Workers:
    """Workers for the length of a `with` block, which stops those that still run where an exception leaves it.

    Args:
        count: jobs at a time; None for 1 or, on Ray, for as many as there are CPUs for. One without Ray runs in this
            process.
        ray: address of a Ray cluster, or `local` for one on this machine.
        threads: CPUs that a job takes on Ray; everywhere the job itself sets its threads.
        flag: of the command line that says how many jobs run at a time, for messages.
        progress: takes what jobs report.
        total: jobs in all where that is known, for the line that shows several at once.

    Raises:
        ValueError: entering the block, where Ray cannot be reached or has too few CPUs.
    """
    progress = progress or Silent()
    if ray is not None:
        from training.workers.on_ray import OnRay

        return OnRay(count, ray, threads, flag, progress)
    if count is not None and count > 1:
        return Processes(count, flag, progress, total)
    return Here(1, flag, progress)
