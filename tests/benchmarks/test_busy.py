"""The table of waiting policies: what is cut off, what is compared, and that no policy changes what is computed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks import busy
from benchmarks.busy import SETTINGS, Row, Setting, cell, check_digests, loops, measured, table


def row(setting: str = "default", load: int = 0, seconds: float | None = 0.2, digest: str = "a", **more: Any) -> Row:
    given = {"work": "search", "turn": 0, "threads": 2, "limit": 10.0, "repeats": 3, **more}
    return Row(setting=setting, load=load, seconds=seconds, digest=digest, **given)


def test_the_settings_that_are_compared() -> None:
    spins = [one.environment["GOMP_SPINCOUNT"] for one in SETTINGS if one.environment and one.name.isdigit()]
    assert spins == ["1000", "3000", "10000", "30000", "100000"]
    assert [one.name for one in SETTINGS if not one.name.isdigit()] == ["default", "PASSIVE", "one thread", "by load"]


@pytest.mark.slow
def test_no_policy_changes_what_is_computed(tmp_path: Path) -> None:
    """Real processes, each with a library of its own: equal to the last bit on as many threads."""
    rows: list[Row] = []
    for name in ("PASSIVE", "10000"):
        setting = next(one for one in SETTINGS if one.name == name)
        rows += measured(Setting(name, setting.environment, 2), 0, 0, ["retrain", "evaluate"], 0.01, 60.0, tiny=True)
    assert [(one.work, one.seconds is not None) for one in rows] == [("retrain", True), ("evaluate", True)] * 2
    assert len({one.digest for one in rows}) == 2 and all(len(one.digest) == 16 for one in rows)
    check_digests(rows)


class Starving:
    """A process in which one work never ends."""

    begun: list[list[str]] = []  # noqa: RUF012

    def __init__(self, _: Setting, works: Sequence[str], *__: Any) -> None:
        self.begun.append(list(works))
        self.lines = self.of(works)

    def of(self, works: Sequence[str]) -> Iterator[dict[str, Any] | None]:
        for work in works:
            yield {"begins": work}
            yield None if work == "retrain" else {"work": work, "seconds": 0.1, "repeats": 5, "digest": "d"}

    def line(self, seconds: float) -> dict[str, Any] | None:
        return next(self.lines)

    def end(self) -> None:
        self.lines = iter(())


def test_a_work_that_starves_is_cut_off_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Starving, "begun", [])
    monkeypatch.setattr(busy, "Measured", Starving)
    rows = measured(SETTINGS[0], 0, 2, busy.WORKS, 1.0, 9.0)
    assert [(one.work, one.seconds) for one in rows] == [
        ("search", 0.1), ("retrain", None), ("evaluate", 0.1), ("stream", 0.1),
    ]  # fmt: skip
    assert Starving.begun == [list(busy.WORKS), ["evaluate", "stream"]]  # in a fresh process
    assert rows[1].limit == 9.0 and rows[1].turn == 2


def test_cells_say_ratios_and_what_was_cut_off() -> None:
    assert cell([row(seconds=0.5)], 0.2) == "500 ms (2.50)" and cell([], 0.2) == "-"
    assert cell([row(seconds=0.0123)], None) == "12.3 ms"
    assert cell([row(seconds=None)] * 2 + [row(seconds=0.2)], 0.2) == "> 10 s"
    assert cell([row(seconds=0.4), row(seconds=None), row(seconds=0.2)], 0.2) == "400 ms (2.00), 1 of 3 cut off"
    rows = [row(seconds=second) for second in (0.3, 0.2, 0.1)] + [row("PASSIVE", 1, 0.5)]
    lines = table(rows, [SETTINGS[0], SETTINGS[1]], [0, 1], ["search"])
    assert lines[1:] == [
        "| search | step beside 0 | step beside 1 |",
        "|---|---|---|",
        "| default | 200 ms (1.00) | - |",
        "| PASSIVE | - | 500 ms (2.50) |",
    ]


def test_another_result_is_an_error() -> None:
    check_digests([row(), row("PASSIVE", 1), row("one thread", threads=1, digest="b"), row(seconds=None, digest="")])
    with pytest.raises(SystemExit, match="search on 2 threads: 'PASSIVE' beside 1 loops computes something else"):
        check_digests([row(), row("PASSIVE", 1, digest="b")])


def test_loops_end_with_their_block() -> None:
    started: list[subprocess.Popen[bytes]] = []
    real = subprocess.Popen

    def popen(*arguments: Any) -> subprocess.Popen[bytes]:
        started.append(real(*arguments))
        return started[-1]

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(subprocess, "Popen", popen)
        with loops(2):
            assert [process.poll() for process in started] == [None, None]
            raise KeyboardInterrupt
    assert [process.poll() for process in started] == [-9, -9]


def test_every_measurement_is_kept_and_time_has_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(busy, "Measured", Starving)
    words = ["--results", str(tmp_path / "busy.jsonl"), "--loads", "0", "--settings", "default", "PASSIVE"]
    busy.main([*words, "--turns", "2"])
    kept = [json.loads(line) for line in (tmp_path / "busy.jsonl").read_text().splitlines()]
    assert len(kept) == 2 * 2 * 4 and {"date", "cores", "setting", "seconds", "limit"} <= kept[0].keys()
    assert "| default | > 10 s |" in capsys.readouterr().out
    busy.main([*words, "--minutes", "0"])
    assert "stopped after 0 minutes, in turn 1 of 3" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        busy.main([*words, "--limit", "1"])
