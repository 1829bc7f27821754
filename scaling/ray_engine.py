"""Jobs on Ray Tune, which brings them to its workers and back; it proposes, stops and restores nothing."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

from scaling import jobs
from scaling.engines import TRIES, Jobs
from scaling.jobs import Job
from training import openmp

LOCAL = "local"
CONNECT_SECONDS = 10.0


def run_on_ray(work: Jobs, settings: Mapping[str, Any], workers: int | None, threads: int, address: str) -> None:
    """Runs jobs as Tune trials on long-lived actors, each with `threads` CPUs.

    A job whose worker is lost is begun again, twice at most; Tune's own retries would want checkpoints.

    Args:
        work: what to do.
        settings: of `jobs.run`.
        workers: jobs at a time; None for as many as the cluster has CPUs for.
        threads: CPUs that a job takes.
        address: of a cluster, or `local` for one on this machine alone.

    Raises:
        ValueError: Ray cannot be reached, has too few CPUs, or lost a job three times.
    """
    _quieten()
    from ray import tune
    from ray.tune.search import Searcher

    class Feed(Searcher):
        """Tune asks it for trials; it passes on what `work` hands out."""

        def __init__(self) -> None:
            super().__init__(metric="done", mode="max")
            self.jobs: dict[str, Job] = {}
            self.again: list[Job] = []
            self.losses: dict[str, int] = {}

        @property
        def hopeless(self) -> list[str]:
            """Jobs that were lost too often."""
            return [key for key, count in self.losses.items() if count >= TRIES]

        def suggest(self, trial_id: str) -> Any:
            if self.hopeless:
                return Searcher.FINISHED
            job = None
            if len(self.jobs) < most:
                job = self.again.pop() if self.again else work.take()
            if job is None:
                return None if self.jobs or not work.finished else Searcher.FINISHED
            self.jobs[trial_id] = job
            return {"job": job.to_dict()}

        def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
            job = self.jobs.pop(trial_id)
            if error or not result or "answer" not in result:
                self.losses[job.key] = self.losses.get(job.key, 0) + 1
                self.again.append(job)
            else:
                work.tell(job, json.loads(result["answer"]))

        def save(self, checkpoint_path: str) -> None:
            """Tune saves its searchers; the ledger holds all that this one knows."""

        def restore(self, checkpoint_path: str) -> None:
            """Never used: a resume reads the ledger."""

    def trial(config: dict[str, Any]) -> None:
        answer = jobs.run(config["job"], settings)
        tune.report({"answer": json.dumps(answer), "done": 1})  # as text: Tune takes mappings apart

    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # a lost worker is answered below
    with connected(address, (1 if workers is None else workers) * threads, threads) as ray:
        most = sum(int(count // threads) for count in _cpus(ray)) if workers is None else workers
        feed = Feed()
        with tempfile.TemporaryDirectory(prefix="nas-ray-") as storage:
            tune.Tuner(
                tune.with_resources(trial, {"cpu": threads}),
                tune_config=tune.TuneConfig(search_alg=feed, num_samples=-1, reuse_actors=True),
                run_config=tune.RunConfig(
                    name="scale",
                    storage_path=storage,
                    verbose=0,
                ),
            ).fit()
        if feed.hopeless:
            raise ValueError(
                f"Ray lost the worker of training {feed.hopeless[0]!r} {TRIES} times (out of memory?); lower "
                "--workers and go on with --resume, or start anew with a smaller --search-resolution"
            )


_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is ours to answer
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}


def _quieten() -> None:
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)


def _cpus(ray: Any) -> list[float]:
    return [node["Resources"].get("CPU", 0) for node in ray.nodes()]


@contextlib.contextmanager
def connected(address: str, cpus: int, threads: int, instead: str = "--workers") -> Iterator[Any]:
    """Gives the module `ray`, connected for the length of the block.

    Args:
        address: of a cluster, or `local` for one on this machine alone, with so many CPUs.
        cpus: of a local one.
        threads: CPUs that one piece of work takes.
        instead: the flag that does without Ray, for messages.

    Raises:
        ValueError: Ray cannot be reached, or no machine of it has so many CPUs.
    """
    _quieten()
    import ray

    _connect(address, cpus, instead)
    try:
        if max(_cpus(ray), default=0) < threads:
            raise ValueError(
                f"no machine of Ray at {address!r} offers the {threads} CPUs of a training; lower --threads"
            )
        yield ray
    finally:
        ray.shutdown()


def _connect(address: str, cpus: int, instead: str) -> None:
    import ray

    options: dict[str, Any] = {
        "log_to_driver": False,
        "logging_level": logging.ERROR,
        "runtime_env": {"env_vars": openmp.environment()},  # for the workers of every machine
    }
    try:
        host, colon, port = address.removeprefix("ray://").rpartition(":")
        if colon and port.isdecimal():  # Ray itself would try for many minutes
            socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
        if address == LOCAL:
            ray.init(num_cpus=cpus, include_dashboard=False, **options)
        else:
            ray.init(address=address, **options)
    except Exception as error:  # of a node that starts too slowly Ray says so by a bare Exception
        ray.shutdown()
        reason = " ".join(str(error).split())[:120]
        if address == LOCAL:
            raise ValueError(
                f"Ray did not start on this machine ({reason}); where other work keeps it busy, go on with --resume "
                f"later, or leave --ray out and give {instead}"
            ) from None
        raise ValueError(
            f"Ray at {address!r} cannot be reached ({reason}); start it with `ray start --head` and give its address, "
            f"or `--ray local`, or leave --ray out and give {instead}"
        ) from None
