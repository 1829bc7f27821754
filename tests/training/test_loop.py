"""The loop alone, on a task of nothing: what it loads, when it saves, and how it ends."""

import csv
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import video
from searchspace import Clip
from training.machine.interrupt import Interrupt, Interrupted
from training.progress import Silent, Status
from training.run.ledger import Ledger
from training.steps import checkpoint, loop
from training.steps.divergence import NotFinite
from training.steps.run_state import RunState
from training.steps.step_log import StepLog

STEPS = 10


class Heard(Silent):
    def __init__(self) -> None:
        self.statuses: list[Status] = []

    def status(self, status: Status) -> None:
        self.statuses.append(status)


class Nothing(loop.Task):
    """Counts; a step of an even number needs two batches.

    Args:
        folder: of its state and metrics.
        act: called with (moment, step, task): in "request", "step", "follow".
    """

    def __init__(self, folder: Path, act: Any = lambda *_: None, every: int = 4, ends: int = STEPS) -> None:
        metrics = Ledger(folder / "metrics.csv", "step,half,loss,data_ms,step_ms")
        self.heard, self.act, self.every, self.ends = Heard(), act, every, ends
        log = StepLog(self.heard, STEPS, metrics=metrics, columns=("loss", "data_ms", "step_ms"))
        state = RunState(folder, "go on", (metrics,), self.heard, keep=100)
        super().__init__(video.MotionSource(0, Clip(2, 8, 8), sizes={"weights": 40}), STEPS, log, state)
        self.count, self.loaded = 0, list[tuple[int, int]]()
        self.resumed = state.restore(self._take)

    def _take(self, found: checkpoint.Checkpoint) -> None:
        self.count = found.data["count"]

    @property
    def done(self) -> int:
        return self.count

    def requests(self) -> Iterator[video.Request]:
        for step in range(self.done, STEPS):
            self.act("request", step, self)
            for size in (1, 2) if step % 2 == 0 else (3,):
                yield video.Request("weights", range(size), training=True)

    def needs(self) -> int:
        return 1 + (self.done % 2 == 0)

    def step(self, batches: list[loop.Batch]) -> dict[str, float]:
        self.act("step", self.done, self)
        self.loaded.append(tuple(len(clips) for clips, _ in batches))  # type: ignore[arg-type]
        self.count += 1
        return {"loss": math.nan if self.count == 3 else 1.0 / self.count}

    def place(self) -> tuple[str, ...]:
        return (f"{self.done / 2:g}",)

    def shown(self, values: Mapping[str, float]) -> Mapping[str, float]:
        return {"rate": values["loss"]}

    def follow(self, batches: list[loop.Batch]) -> None:
        self.act("follow", self.done, self)

    @property
    def ended(self) -> bool:
        return self.count >= self.ends

    def due(self, saved: int) -> bool:
        return self.count - saved >= self.every

    def content(self) -> tuple[dict[str, checkpoint.Tensors], dict[str, Any]]:
        return {}, {"count": self.count}

    def explained(self, error: Exception) -> Exception:
        return ValueError("explained") if isinstance(error, ZeroDivisionError) else error


def saved(folder: Path) -> list[int]:
    return [int(name[-8:]) for name in checkpoint.names(folder / "checkpoints")]


def test_each_step_has_its_batches_and_its_row_and_the_end_is_saved(tmp_path: Path) -> None:
    task = Nothing(tmp_path)
    loop.run(task)
    assert task.loaded == [(1, 2), (3,)] * 5 and saved(tmp_path) == [4, 8, 10]
    rows = list(csv.DictReader((tmp_path / "metrics.csv").read_text().splitlines()))
    assert [row["step"] for row in rows] == [str(i) for i in range(1, 11)]
    assert [row["half"] for row in rows[:3]] == ["0.5", "1", "1.5"]
    assert [row["loss"] for row in rows[:4]] == ["1", "0.5", "", "0.25"]
    assert all(float(row["step_ms"]) >= float(row["data_ms"]) > 0 for row in rows)
    mean = 1.0
    for count in (2, 4, 5, 6, 7, 8, 9, 10):  # what is not finite is no part of the mean
        mean += 0.1 * (1 / count - mean)
    last = task.heard.statuses[-1]
    assert (last.step, last.steps, last.loss, last.rate) == (10, 10, pytest.approx(mean), 0.1)
    assert last.eta_seconds == 0 and math.isnan(last.accuracy)


def test_a_task_may_end_early_and_a_finished_one_does_nothing(tmp_path: Path) -> None:
    task = Nothing(tmp_path, ends=6)
    loop.run(task)
    assert task.done == 6 and saved(tmp_path) == [4, 6]
    before = (tmp_path / "metrics.csv").read_bytes()
    loop.run(Nothing(tmp_path, ends=6))
    assert (tmp_path / "metrics.csv").read_bytes() == before


def at(moment: str, step: int, error: BaseException) -> Any:
    def act(now: str, number: int, task: Nothing) -> None:
        if (now, number) == (moment, step):
            raise error

    return act


@pytest.mark.parametrize(
    ("moment", "step", "error", "raised", "kept"),
    [
        ("request", 6, ValueError("no such video"), ValueError, [4, 6]),  # six steps are done, and saved
        ("request", 4, OSError("gone"), OSError, [4]),
        ("request", 0, ValueError("no such video"), ValueError, []),
        ("step", 6, ValueError("not finite"), ValueError, [4]),  # half of a step is nothing to save
        ("follow", 6, ValueError("no such video"), ValueError, [4, 6]),
        ("follow", 6, Interrupted(130, "stopped"), Interrupted, [4, 6]),
        ("follow", 6, NotFinite("diverged", []), NotFinite, [4]),  # the last good one stays the newest
        ("step", 5, ZeroDivisionError(), ValueError, [4]),
    ],
)
def test_what_is_saved_before_an_error(
    tmp_path: Path, moment: str, step: int, error: BaseException, raised: type[BaseException], kept: list[int]
) -> None:
    with pytest.raises(raised) as caught:
        loop.run(Nothing(tmp_path, at(moment, step, error)))
    assert saved(tmp_path) == kept
    if isinstance(error, ZeroDivisionError):
        assert str(caught.value) == "explained" and caught.value.__cause__ is error
    else:
        assert caught.value is error
    resumed = Nothing(tmp_path)
    assert resumed.done == (kept[-1] if kept else 0)
    loop.run(resumed)
    rows = list(csv.DictReader((tmp_path / "metrics.csv").read_text().splitlines()))
    assert [row["step"] for row in rows] == [str(i) for i in range(1, 11)]


@pytest.mark.parametrize("broken", [False, True], ids=["a signal", "a signal that ended what loads, too"])
def test_a_wish_to_stop_is_answered_after_a_step_with_everything_saved(tmp_path: Path, broken: bool) -> None:
    wish = Interrupt()

    def act(moment: str, step: int, task: Nothing) -> None:
        if (moment, step) == ("request" if broken else "follow", 6):
            wish.exit_code = 143
            if broken:
                raise ValueError("its process died")

    with pytest.raises(Interrupted, match=r"stopped at step 6 of 10, saved in .*; go on with: go on") as stop:
        loop.run(Nothing(tmp_path, act), wish)
    assert stop.value.exit_code == 143 and saved(tmp_path) == [4, 6]
