"""`nas benchmark`: a user's own table from file to figures, nothing computed twice, and mistakes in a line."""

import json
import math
import signal
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest

from controller import benchmark
from experiments.benchmark_results import Mean, Point, ahead
from experiments.commands.benchmark_command import grid, verdict
from experiments.text.terminal import short
from tests.experiments.conftest import Nas


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of one's own: 3 x 3 x 2 networks, dearer is better, latency in milliseconds."""
    rows = ["kernel,width,gate,cost,accuracy"]
    for k, kernel in enumerate((3, 5, 7)):
        for w, width in enumerate(("narrow", "middle", "wide")):
            for gate in (0, 1):
                cost, accuracy = 4 + 2 * k + 3 * w + 0.5 * gate, 0.5 + 0.06 * (k + w) + 0.02 * gate
                rows.append(f"{kernel},{width},{gate},{cost},{accuracy}")
    file = tmp_path / "mine.csv"
    file.write_text("\n".join(rows))
    return file


def words(table: Path, *more: object) -> list[object]:
    return ["benchmark", "--table", table, "--runs", table.parent / "runs", "--budget", 9, *more]


def test_a_table_of_ones_own(nas: Nas, table: Path) -> None:
    answer = nas(*words(table, "--seeds", 2, "--looks", 300))
    assert answer.code == 0, answer.err
    assert "table mine, budget 9: the best architecture within it has" in answer.out
    for name in ("reinforce", "random", "evolution", "without the model", "with the model", "ahead of random search"):
        assert name in answer.out
    assert "12 of 12 searches were new" in answer.out and "next: " in answer.out
    picture = matplotlib.image.imread(table.parent / "runs" / "benchmark-mine" / "regret.png")
    assert picture.shape[1] > 1000 and np.ptp(picture[..., :3]) > 0.5


def test_nothing_is_computed_twice(nas: Nas, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = words(table, "--searcher", "random", "--looks", 200)
    first = nas(*base, "--seeds", 2, "--json")
    ledger = table.parent / "runs" / "benchmark-mine" / "results.jsonl"
    before = ledger.read_text()
    assert before.count("\n") == 2

    def run(*_: object) -> None:
        raise AssertionError("computed again")

    with monkeypatch.context() as patch:
        patch.setattr(benchmark, "run", run)
        again = nas(*base, "--seeds", 2, "--json")
    assert json.loads(again.out) == json.loads(first.out)
    more = nas(*base, "--seeds", 3)
    assert "1 of 3 searches were new" in more.out and ledger.read_text().startswith(before)
    # A table that changed is another table.
    table.write_text(table.read_text().replace("0.5,", "0.51,", 1) + "\n")
    assert "2 of 2 searches were new" in nas(*base, "--seeds", 2).out


def test_an_interrupt_keeps_what_is_done(nas: Nas, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = benchmark.run

    def run(*args: Any) -> benchmark.Outcome:
        signal.raise_signal(signal.SIGINT)
        return real(*args)

    base = words(table, "--searcher", "random", "--looks", 200, "--seeds", 2)
    with monkeypatch.context() as patch:
        patch.setattr(benchmark, "run", run)
        answer = nas(*base)
    assert answer.code == 130 and "stopped with 1 of 2 searches done and kept" in answer.err
    assert "1 of 2 searches were new" in nas(*base).out


def test_json_holds_every_seed(nas: Nas, table: Path) -> None:
    answer = nas(*words(table, "--searcher", "reinforce,random", "--seeds", 3, "--looks", 200, "--json"))
    points = json.loads(answer.out)
    assert [(p["searcher"], p["target"], p["looks"]) for p in points] == [("reinforce", 9, 200), ("random", 9, 200)]
    for point in points:
        assert len(point["modelled"]["values"]) == len(point["favourite_costs"]) == len(point["reward_regrets"]) == 3
        assert min(point["reward_regrets"]) >= 0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--searcher", "random,evoluton"], "did you mean 'evolution'"),
        (["--budget", "900"], "no architecture of table mine costs"),
        (["--budget", "much"], "cannot be read"),
        (["--looks", "10"], "must be from 200"),
        (["--seeds", "0"], "from 1"),
        (["--name", "a/b"], "single folder name"),
        (["--table", "none.csv"], "no such file"),
        (["--table", "none.txt"], "a .csv or a .json file"),
    ],
)
def test_mistakes_leave_nothing_behind(nas: Nas, table: Path, more: list[str], said: str) -> None:
    answer = nas(*words(table), *more)
    assert answer.code == 2 and len(answer.err.splitlines()) == 1
    assert said in answer.err and not (table.parent / "runs").exists()


def test_the_curve_ends_where_it_was_asked_to() -> None:
    assert grid(160_000) == [200, 500, 2000, 5000, 20_000, 50_000, 160_000]
    assert grid(200) == [200] and grid(2000) == [200, 500, 2000]


def test_numbers_of_any_size_are_short() -> None:
    assert [short(n) for n in (200, 160_000, 5e7, 12.5, 2.5e9)] == ["200", "160k", "50M", "12.5", "2.5G"]


def test_the_standard_error_is_that_of_numpy() -> None:
    values = np.random.default_rng(0).normal(size=9)
    mean = Mean(tuple(values))
    assert mean.mean == pytest.approx(values.mean())
    assert mean.error == pytest.approx(values.std(ddof=1) / 3)
    assert Mean((0.5,)).error == math.inf and str(Mean((0.5,))) == "50.00"


def test_ahead_means_beyond_the_standard_error() -> None:
    def point(searcher: str, *values: float) -> Point:
        return Point(searcher, 1.0, 200, Mean(values), Mean(values), (), ())

    chance, better, level = point("random", 0.3, 0.2), point("reinforce", 0.1, 0.1), point("evolution", 0.28, 0.2)
    assert ahead(better.seen, chance.seen) and not ahead(level.seen, chance.seen) and not ahead(chance.seen, level.seen)
    assert verdict([better, chance, level]).endswith("without the model reinforce, with it reinforce")
    assert verdict([chance, level]).endswith("without the model nobody, with it nobody")
    assert "two or more seeds" in verdict([better])
