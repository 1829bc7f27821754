"""The status line: what it says, and how often a log hears of it."""

import dataclasses
import io
import math

import pytest

from experiments.plots import live
from experiments.plots.live import Live, duration, status_line
from training.progress import Progress, Status


def status(step: int, accuracy: float = 0.3125) -> Status:
    return Status(step, 4000, 3.2145, accuracy, 0.28, 1.021, 141.2, 12.4, 240.3, 672.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (45.4, "45 s"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
        (3601, "1 h"),
        (97_200, "1 d 3 h"),
        (math.inf, "unknown"),
        (math.nan, "unknown"),
        (-3, "0 s"),
    ],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_status_line_says_everything() -> None:
    assert status_line(status(1200)) == (
        "step 1,200/4,000  loss 3.215  accuracy 31.2%  reward 0.280  cost 1.02x  entropy 141.2"
        " | data 12 ms, step 240 ms | ETA 11 min 12 s"
    )


def test_status_line_ends_with_a_busy_machine() -> None:
    busy = dataclasses.replace(status(1200), machine="machine busy: other programs take 1.0 of 2 cores")
    assert status_line(busy) == f"{status_line(status(1200))} | machine busy: other programs take 1.0 of 2 cores"


def test_what_is_not_measured_is_left_out() -> None:
    assert "accuracy" not in status_line(status(1, math.nan))


def test_a_log_hears_now_and_then_and_of_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: now[0])
    log = io.StringIO()
    with Live(log) as progress:
        as_protocol: Progress = progress  # mypy and the reader: it is one
        for step in range(1, 4001):
            now[0] += 0.01
            as_protocol.status(status(step))
        progress.line("a remark [not markup]")
        progress.phase("re-scoring", 64, 640)
        progress.phase("re-scoring", 640, 640)
    lines = log.getvalue().splitlines()
    steps = [line for line in lines if line.startswith("step")]
    assert len(steps) == 5  # 40 s: the first, every 10 s, the last
    assert steps[-1].startswith("step 4,000/4,000")
    assert "a remark [not markup]" in lines
    assert lines[-1] == "re-scoring: 640 of 640 (100%)"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_keeps_one_line_and_the_remarks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    screen = Terminal()
    with Live(screen) as progress:
        for step in range(1, 20):
            progress.status(status(step))
        progress.line("a remark [not markup]")
    text = screen.getvalue()
    assert "a remark [not markup]" in text
    assert text.count("\n") < 8
