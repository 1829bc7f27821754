"""Settings of every test: one thread per worker (two workers run side by side), no screen, no deadlines."""

import os
import signal
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by torch and numpy when they are first imported
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ["COLUMNS"] = "120"  # the width of tables, whatever terminal runs the tests

from collections.abc import Iterator

import pytest
from hypothesis import settings

settings.register_profile("house", deadline=None)  # no timed assertions: a loaded machine is not a failure
settings.load_profile("house")


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What looks through videos find is kept among the tests' own files, not in the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOVINAS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """What a test trains in this process sets the threads of torch, and more of them round otherwise: set back."""
    yield
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


# A shell that starts the tests in the background leaves Ctrl-C ignored, nohup a hang-up, and children inherit that.
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)
