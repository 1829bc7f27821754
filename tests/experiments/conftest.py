"""Made-up runs, written once for all tests of a worker, and `nas` within this process."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from experiments.cli import main
from tests.experiments.runs import made_up_run


class Answer(NamedTuple):
    code: int
    out: str
    err: str


Nas = Callable[..., Answer]


@pytest.fixture
def nas(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Nas:
    """Runs `nas` with words, and says what it printed and returned."""
    monkeypatch.setenv("PYTHONSAFEPATH", "1")  # main sets it: give it back afterwards

    def run(*words: object) -> Answer:
        code = main([str(word) for word in words])
        return Answer(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two finished runs, `one` and `two`, and one that is not, `half`."""
    folder = tmp_path_factory.mktemp("runs")
    made_up_run(folder / "one", steps=100)
    made_up_run(folder / "two", seed=3, steps=100, quality=0.55)
    made_up_run(folder / "half", steps=60, finished=False)
    return folder
