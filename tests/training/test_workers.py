"""Workers here and in processes: the same results, lost workers, jobs that fail, and what Ctrl-C leaves behind."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.training.worker_jobs import Errand, die_so_often, save_when_asked, square, where
from training.machine import openmp
from training.machine.interrupt import Stopped, signals_raise
from training.progress import Silent
from training.workers import Lost, in_order, open_workers

ERRANDS = [Errand(str(number)) for number in range(5)]


class Heard(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.phases: list[tuple[str, int, int]] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def phase(self, title: str, done: int, total: int) -> None:
        self.phases.append((title, done, total))


@pytest.mark.parametrize("count", [None, 1, 2, 7])
def test_results_are_the_same_whatever_the_number_of_workers(count: int | None) -> None:
    heard = Heard()
    with open_workers(count, progress=heard) as workers:
        found = [(job.name, result) for job, result in workers.map(square, in_order(ERRANDS))]
        assert sorted(found) == [(str(number), number**2) for number in range(5)]
        assert list(workers.map(square, in_order([]))) == []
    assert sorted(heard.lines) == [f"{number}: counting" for number in range(5)]
    assert multiprocessing.active_children() == []


def test_the_next_job_may_follow_from_results() -> None:
    """Where nothing is to be done now, workers wait for what runs, and end when nothing does."""
    known: list[int] = []
    begun: list[str] = []

    def take() -> Errand | None:
        if len(begun) == 3 or len(begun) > len(known):
            return None
        begun.append(str(len(known) + 1))
        return Errand(begun[-1])

    with open_workers(2) as workers:
        for _, result in workers.map(square, take):
            assert not isinstance(result, Lost)
            known.append(result)
    assert known == [1, 4, 9] and begun == ["1", "2", "3"]


def test_processes_live_on_and_are_started_as_all_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """From Python, where nothing was set: in their processes, and not in the user's."""
    for name in openmp.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(openmp, "_set_here", {})
    monkeypatch.setattr(openmp, "is_busy", lambda: False)
    with open_workers(2) as workers:
        results = [result for _, result in workers.map(where, in_order(ERRANDS))]
    found = [result for result in results if not isinstance(result, Lost)]
    assert len(found) == 5 and not openmp.given()
    assert len({process for process, *_ in found}) <= 2 and os.getpid() not in {process for process, *_ in found}
    assert all(told == [openmp.ours(False), "1", "1"] for _, *told in found)


def test_here_the_threads_of_torch_are_given_back() -> None:
    def change(job: Errand, _: object) -> int:
        torch.set_num_threads(int(job.name))
        return torch.get_num_threads()

    before = torch.get_num_threads()
    with open_workers() as workers:
        assert [result for _, result in workers.map(change, in_order([Errand("3")]))] == [3]
    assert torch.get_num_threads() == before


def test_the_job_of_a_lost_worker_begins_again_and_is_named_at_last(tmp_path: Path) -> None:
    heard, jobs = Heard(), [Errand(str(deaths), tmp_path) for deaths in (0, 2, 3)]
    with open_workers(2, flag="--parallel", progress=heard) as workers:
        found = {job.name: result for job, result in workers.map(die_so_often, in_order(jobs))}
    assert (found["0"], found["2"]) == (1, 3)
    reason = (
        "its worker was lost 3 times, at last its process ended with code -9 (out of memory? then lower --parallel)"
    )
    assert found["3"] == Lost(reason)
    again = "its worker was lost (its process ended with code -9), it begins again"
    assert sorted(heard.lines) == [f"2: {again}"] * 2 + [f"3: {again}"] * 2


def test_a_worker_that_was_killed_while_it_was_idle_costs_nothing() -> None:
    with open_workers(2) as workers:
        for _ in range(2):
            assert len(list(workers.map(square, in_order(ERRANDS)))) == 5
            for child in multiprocessing.active_children():
                child.kill()
                child.join()


def test_a_job_that_fails_in_a_process_stops_no_other_one(capfd: pytest.CaptureFixture[str]) -> None:
    with open_workers(2) as workers:
        found = dict(workers.map(square, in_order([Errand("no\nnumber"), *ERRANDS])))
    reason = found.pop(Errand("no\nnumber"))
    assert isinstance(reason, Lost) and reason.reason.startswith("ValueError: invalid literal for int()")
    assert "\n" not in reason.reason and len(found) == 5
    assert "Traceback" in capfd.readouterr().err
    with open_workers() as workers, pytest.raises(ValueError, match="invalid literal"):
        list(workers.map(square, in_order([Errand("no number")])))


def both_run(folder: Path) -> bool:
    return len(list(folder.glob("*-begun"))) == 2


@pytest.mark.parametrize(
    ("number", "kind"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Stopped), (signal.SIGHUP, Stopped)]
)
def test_a_signal_asks_all_to_save_and_waits_for_them(
    tmp_path: Path, number: signal.Signals, kind: type[KeyboardInterrupt]
) -> None:
    class Stopping(Heard):
        def phase(self, title: str, done: int, total: int) -> None:
            super().phase(title, done, total)
            if both_run(tmp_path):
                signal.raise_signal(number)

    heard, jobs = Stopping(), [Errand("a", tmp_path), Errand("b", tmp_path), Errand("c", tmp_path)]
    with pytest.raises(kind), signals_raise(), open_workers(2, progress=heard, total=3) as workers:
        list(workers.map(save_when_asked, in_order(jobs)))
    assert {path.name for path in tmp_path.iterdir()} == {"a-begun", "b-begun", "a-saved", "b-saved"}
    assert "25%, loss 0.50, 1 min left; trained" in heard.phases[-1][0] and heard.phases[-1][1:] == (0, 3)
    assert multiprocessing.active_children() == []


def test_an_error_of_the_caller_ends_the_workers(tmp_path: Path) -> None:
    def take_then_fail() -> Callable[[], Errand | None]:
        jobs = iter([Errand("a", tmp_path), Errand("b", tmp_path)])
        return lambda: next(jobs, None)

    class Failing(Silent):
        def phase(self, title: str, done: int, total: int) -> None:
            if both_run(tmp_path):
                raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"), open_workers(2, progress=Failing()) as workers:
        list(workers.map(save_when_asked, take_then_fail()))
    assert len(list(tmp_path.glob("*-saved"))) == 2 and multiprocessing.active_children() == []
