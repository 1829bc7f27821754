"""What is called a busy machine: by made-up counts, and by the system's own."""

import math
import multiprocessing
import os
import threading
import time
from pathlib import Path

import pytest

from training.machine.contention import EVERY, WINDOW, Contention, Look
from training.machine.resources import core_seconds, thread_seconds
from video.processes import start_process


class Machine:
    """Two cores and a clock of its own; what runs on them is said by the second."""

    def __init__(self) -> None:
        self.now = self.ran = self.waited = self.workers = self.used = 0.0
        self.load, self.looks = 2.0, 0

    def run(self, seconds: float, ran: float, waited: float = 0.0, workers: float = 0.0, others: float = 0.0) -> None:
        """Cores that our threads, our workers and others take for some seconds, and how many threads wait for one."""
        self.now += seconds
        self.ran += seconds * ran
        self.waited += seconds * waited
        self.workers += seconds * workers
        self.used += seconds * (ran + workers + others)

    def look(self) -> Look:
        self.looks += 1
        return Look(self.now, self.ran, self.waited, self.workers, self.used, self.load)

    def contention(self) -> Contention:
        return Contention(self.look, lambda: self.now, free=2)


def after(seconds: float = 10.0, **what: float) -> str:
    machine = Machine()
    contention = machine.contention()
    contention.text()
    machine.run(seconds, **what)
    return contention.text()


def test_threads_that_wait_for_cores_that_others_take() -> None:
    expected = "machine busy: other programs take 0.7 of 2 cores, threads wait 33% of the time"
    assert after(ran=4 / 3, waited=2 / 3, others=2 / 3) == expected


@pytest.mark.parametrize(
    "what",
    [
        {"ran": 2.0, "waited": 0.02},  # alone, computing on both cores
        {"ran": 0.1},  # waits for data, or for a GPU
        {"ran": 1.0, "others": 1.0},  # one thread on one core, another program on the other: nobody waits
        {"ran": 1.2, "waited": 0.8, "workers": 0.8},  # its own workers decode
        {"ran": 1.0, "waited": 1.0},  # a container's limit: no others there
        {"ran": 0.0},
    ],
)
def test_a_job_that_is_slow_by_itself_is_not_put_on_the_machine(what: dict[str, float]) -> None:
    assert after(**what) == ""


def test_it_looks_back_on_half_a_minute() -> None:
    machine = Machine()
    contention = machine.contention()
    for _ in range(60):
        machine.run(1.0, ran=2.0)
        assert contention.text() == ""
    texts = []
    for _ in range(40):
        machine.run(1.0, ran=4 / 3, waited=2 / 3, others=2 / 3)
        texts.append(contention.text())
    assert texts[2] == "" and "33%" in texts[-1]  # a compiler for a moment is no busy machine
    for _ in range(int(WINDOW) + 1):
        machine.run(1.0, ran=2.0)
        contention.text()
    assert contention.text() == ""


def test_many_steps_a_second_are_one_look() -> None:
    machine = Machine()
    contention = machine.contention()
    for _ in range(1000):
        machine.run(EVERY / 100, ran=2.0)
        contention.text()
    assert 9 <= machine.looks <= 11


def test_where_waiting_is_not_counted_the_load_decides() -> None:
    machine = Machine()
    contention = Contention(
        lambda: Look(machine.now, math.nan, math.nan, 0.0, math.nan, machine.load), lambda: machine.now, free=2
    )
    texts = []
    for machine.load in (2.0, 2.9, 3.2):
        machine.now += 2
        texts.append(contention.text())
    assert texts == ["", "", "machine busy: load 3.2 on 2 cores"]


def _spin(stop: float) -> None:
    while time.thread_time() < stop:
        pass


def test_the_systems_counts_are_those_of_its_clocks() -> None:
    """Against the process's own clock: what threads run is in their sum, and in the use of the cores."""
    before, used, clock = thread_seconds(), core_seconds(), time.process_time()
    if before is None or used is None:
        pytest.skip("this system does not count them")
    threads = [threading.Thread(target=_spin, args=(0.2,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    _spin(time.thread_time() + 0.3)
    found, later = thread_seconds(), core_seconds()
    assert found is not None and later is not None
    spent = time.process_time() - clock
    for thread in threads:
        thread.join()
    assert found[0] - before[0] <= spent + 0.05 and found[0] - before[0] >= 0.25
    assert later - used >= 0.25 and found[1] >= before[1] >= 0
    assert thread_seconds(os.getpid()) is not None and thread_seconds(2**22 + 1) is None


def test_workers_are_this_jobs_own() -> None:
    from training.machine.contention import look_now

    process = start_process(_work)
    try:
        assert process in multiprocessing.active_children()
        while look_now().workers == 0:
            time.sleep(0.01)
    finally:
        process.kill()
        process.join()


def _work() -> None:
    while True:
        pass


def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    assert core_seconds(tmp_path / "stat") is None and thread_seconds(1, tmp_path) is None
    (tmp_path / "stat").write_text("cpu  1 2 3\ncpu0 nonsense\nintr 5\n")
    assert core_seconds(tmp_path / "stat") is None
    core = min(os.sched_getaffinity(0))
    (tmp_path / "stat").write_text(f"cpu  9 9\ncpu{core} 100 10 50 900 40 1 2 3 0 0\ncpu99999 1 1 1 1 1 1 1 1 1 1\n")
    assert core_seconds(tmp_path / "stat") == pytest.approx(166 / os.sysconf("SC_CLK_TCK"))
