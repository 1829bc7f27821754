"""How worker processes of this room start: fresh, single-threaded, and blind to the user's working directory."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

Result = TypeVar("Result")

_ENVIRONMENT = {
    # Python would put the working directory first on the module path of a fresh interpreter (`python -c`).
    "PYTHONSAFEPATH": "1",
    # One thread each: the processes are the parallelism.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


@contextlib.contextmanager
def worker_environment(needs_main: bool = False) -> Iterator[None]:
    """Wraps the start of worker processes: sets what they inherit, and restores it.

    Args:
        needs_main: whether workers need the objects of the program's main module. Otherwise they do not run it: a
            script then needs no `if __name__ == "__main__"`, and may come from standard input.
    """
    before = {name: os.environ.get(name) for name in _ENVIRONMENT}
    main = sys.modules["__main__"]
    hidden = (
        {} if needs_main else {name: main.__dict__[name] for name in ("__file__", "__spec__") if name in vars(main)}
    )
    os.environ.update(_ENVIRONMENT)
    for attribute in hidden:
        setattr(main, attribute, None)
    try:
        yield
    finally:
        for attribute, value in hidden.items():
            setattr(main, attribute, value)
        for name, text in before.items():
            if text is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = text


@contextlib.contextmanager
def worker_pool(workers: int, prepare: Callable[..., None] | None = None, *arguments: Any) -> Iterator["WorkerPool"]:
    """Processes that end with the block at the latest, or when this process dies.

    Args:
        workers: how many.
        prepare: called once in each of them, with the arguments.
        arguments: what to call it with; pickled.
    """
    # Nothing is forked: a fork of a process with threads can hang.
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(workers, context, initializer=prepare_worker, initargs=(prepare, arguments))
    try:
        yield WorkerPool(executor, any(type(argument).__module__ == "__main__" for argument in arguments))
    finally:
        executor.shutdown(cancel_futures=True)


class WorkerPool:
    """Takes work; see `worker_pool`."""

    def __init__(self, executor: ProcessPoolExecutor, needs_main: bool) -> None:
        self._executor = executor
        self._needs_main = needs_main

    def submit(self, function: Callable[..., Result], *arguments: Any) -> "Future[Result]":
        """Hands in a call; its future raises BrokenProcessPool if the process dies over it."""
        with worker_environment(self._needs_main):  # processes start as work comes in
            return self._executor.submit(function, *arguments)


def prepare_worker(prepare: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    """What every worker process does first; it ends with its parent."""
    # Ctrl-C is the parent's business: it ends its workers in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if prepare is not None:
        prepare(*arguments)


def _end_with_parent() -> None:
    """A killed parent cannot end its workers, and they would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def start_process(function: Callable[..., None], *arguments: Any, needs_main: bool = False) -> BaseProcess:
    """Starts one process for one call, as those of `worker_pool` are; it ends with the call, or when this process dies.

    Args:
        function: of a module, not of the program itself.
        arguments: what to call it with; pickled.
        needs_main: see `worker_environment`.
    """
    process = multiprocessing.get_context("spawn").Process(target=_call, args=(function, arguments))
    with worker_environment(needs_main):
        process.start()
    return process


def _call(function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    prepare_worker(None, ())
    function(*arguments)
