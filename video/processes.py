"""How worker processes of this room start: fresh, single-threaded, and blind to the user's working directory."""

import contextlib
import os
import signal
from collections.abc import Iterator

_ENVIRONMENT = {
    # Python would put the working directory first on the module path of a fresh interpreter (`python -c`).
    "PYTHONSAFEPATH": "1",
    # One thread each: the processes are the parallelism.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


@contextlib.contextmanager
def worker_environment() -> Iterator[None]:
    """Sets the environment that worker processes inherit while they are started, and restores it."""
    before = {name: os.environ.get(name) for name in _ENVIRONMENT}
    os.environ.update(_ENVIRONMENT)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def ignore_interrupt() -> None:
    """Leaves Ctrl-C to the parent process, which ends its workers in order."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
