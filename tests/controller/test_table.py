"""Tables: what is read is what stands in the file, and a file that is no table is refused in a line."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.nas_bench_macro import convert
from controller.start import largest_entropy
from controller.table import read
from tests.controller.conftest import TABLES

PUBLISHED = Path(__file__).parents[3] / "shared" / "data" / "nas-bench-macro_cifar10.json"
GOOD = """a,b,cost,accuracy1,accuracy2,network
x,1,10,0.5,0.6,p
y,1,20,0.6,0.7,q
x,2,20,0.6,0.7,q
y,2,40.5,0.9,0.8,r
"""


def _write(tmp_path, text, name="t.csv"):
    file = tmp_path / name
    file.write_text(text)
    return file


def test_rows_are_found_whatever_their_order(tmp_path):
    table = read(_write(tmp_path, GOOD))
    assert table.decisions.paths == ("a", "b") and table.decisions.values == (("x", "y"), ("1", "2"))
    assert table.every.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert table.cost.tolist() == [10, 20, 20, 40.5]
    assert table.truth == pytest.approx([0.55, 0.65, 0.65, 0.85])
    assert table.index(table.every).tolist() == [0, 1, 2, 3]
    assert table.key(table.every[1]) == table.key(table.every[2]) != table.key(table.every[0])
    assert table.best(table.cost < 30) == 1
    header, *rows = GOOD.splitlines()
    shuffled = read(_write(tmp_path, "\n".join([header, rows[0], *rows[:0:-1]]), "s.csv"))
    assert (shuffled.cost == table.cost).all() and (shuffled.accuracy == table.accuracy).all()
    assert shuffled.digest != table.digest


def test_json_is_the_same_table(tmp_path):
    rows = [line.split(",") for line in GOOD.splitlines()[1:]]
    data = [
        {
            "choices": {"a": r[0], "b": int(r[1])},
            "cost": float(r[2]),
            "accuracy": [float(r[3]), float(r[4])],
            "network": r[5],
        }
        for r in rows
    ]
    ours, theirs = read(_write(tmp_path, GOOD)), read(_write(tmp_path, json.dumps(data), "t.json"))
    assert ours.decisions == theirs.decisions
    for name in ("cost", "accuracy"):
        assert (getattr(ours, name) == getattr(theirs, name)).all()
    assert [ours.key(c) for c in ours.every] == [theirs.key(c) for c in theirs.every]


def test_a_look_is_binomial_around_one_copy(tmp_path):
    table = read(_write(tmp_path, GOOD))
    looks = table.look(np.repeat(table.every[:1], 40_000, axis=0), 512, np.random.default_rng(0))
    assert (looks * 512 == np.round(looks * 512)).all()
    assert looks.mean() == pytest.approx(0.55, abs=0.001)
    # Variance of a mixture of two binomials: mean of p (1 - p) / n, and the variance between copies.
    assert looks.var() == pytest.approx((0.25 + 0.24) / 2 / 512 + 0.05**2, rel=0.03)


def test_expected_cost_is_the_mean_of_all(macro):
    rng = np.random.default_rng(1)
    probabilities = [rng.dirichlet(np.ones(3)) for _ in range(8)]
    weight = np.prod([probabilities[d][macro.every[:, d]] for d in range(8)], axis=0)
    total, given = macro.expected("cost", probabilities)
    assert total == pytest.approx(float(weight @ macro.cost))
    for d in range(8):
        for c in range(3):
            mine = macro.every[:, d] == c
            assert given[d][c] == pytest.approx(float(weight[mine] @ macro.cost[mine] / weight[mine].sum()))
    start = largest_entropy(macro.decisions, macro, "cost", 70e6)
    assert macro.expected("cost", start.probabilities)[0] == pytest.approx(70e6, rel=1e-3)


def test_nas_bench_macro_is_what_its_authors_describe(macro):
    """Facts of the table, found in the published file: counts, extremes, and FLOPs that add up over layers."""
    assert len(macro.cost) == 6561 and len(np.unique(macro.network)) == 3969
    assert macro.truth.max() == pytest.approx(0.93127, abs=1e-5)
    assert macro.truth.min() == pytest.approx(0.4536, abs=1e-4)
    assert (macro.cost.min(), macro.cost.max()) == (7_713_280, 105_660_928)
    one_hot = (macro.every[:, :, None] == np.arange(3)).reshape(len(macro.every), -1).astype(float)
    fitted = one_hot @ np.linalg.lstsq(one_hot, macro.cost, rcond=None)[0]
    assert np.abs(fitted - macro.cost).max() < 1
    for target, best in ((50e6, 0.9217), (70e6, 0.9294)):
        assert macro.truth[macro.best(macro.cost <= target)] == pytest.approx(best, abs=5e-5)
    for name in ("accuracy", "cost"):  # one network, one row of numbers
        values = getattr(macro, name)
        for network in np.unique(macro.network)[::50]:
            assert len(np.unique(values[macro.network == network], axis=0)) == 1


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published file is not here")
def test_the_asset_is_the_published_file():
    assert convert(PUBLISHED.read_text()) == (TABLES / "nas_bench_macro.csv").read_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "needs a column cost"),
        ("a,b,price,accuracy\n", "needs a column cost"),
        ("cost,accuracy\n1,0.5\n", "one column a decision"),
        ("a,a,cost,accuracy\n", "twice"),
        ("a,cost,accuracy\n", "no rows"),
        ("a,cost,accuracy\nx,1\n", "line 2: 2 cells, the header has 3"),
        ("a,cost,accuracy\nx,much,0.5\n", "line 2: cost is 'much'"),
        ("a,cost,accuracy\nx,-1,0.5\n", "line 2: cost is -1.0"),
        ("a,cost,accuracy\nx,inf,0.5\n", "line 2: cost is inf"),
        ("a,cost,accuracy\nx,1,nan\n", "line 2: accuracy is nan"),
        ("a,cost,accuracy\nx,1,92.5\n", "divide per cent by 100"),
        (GOOD.replace("y,2,40.5,0.9,0.8,r\n", ""), "3 rows, but 2 x 2 = 4 combinations"),
        (GOOD.replace("y,2,40.5", "y,1,40.5"), "line 5: the same choices as"),
        (GOOD + "x,1,10,0.5,0.6,p\n", "line 6: the same choices as"),
        ('a,cost,accuracy\n"x,1,0.5\n', "not CSV"),
        ("a,cost,accuracy\n" + "".join(f"{i},1,0.5\n" for i in range(200)), "a has 200 values; at most 127"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, text, said):
    with pytest.raises(ValueError) as error:
        read(_write(tmp_path, text))
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({}, "list of mappings"),
        ([{"choices": {"a": 1}, "cost": 1}], "key 'accuracy' is missing"),
        ([{"choices": {"a": 1}, "cost": 1, "accuracy": "high"}], "a number from 0 to 1"),
        ([{"choices": {"a": 1}, "cost": 1, "accuracy": 0.5, "flops": 3}], "unknown key 'flops'"),
        (
            [{"choices": {"a": 1}, "cost": 1, "accuracy": 0.5}, {"choices": {"b": 1}, "cost": 1, "accuracy": 0.5}],
            "the same decisions",
        ),
        (
            [
                {"choices": {"a": 1}, "cost": 1, "accuracy": 0.5},
                {"choices": {"a": 2}, "cost": 1, "accuracy": [0.5, 0.6]},
            ],
            "2 accuracies, but 1",
        ),
    ],
)
def test_json_that_is_no_table_is_refused(tmp_path, data, said):
    with pytest.raises(ValueError, match=said):
        read(_write(tmp_path, json.dumps(data), "t.json"))


def test_other_endings_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a \.csv or a \.json"):
        read(_write(tmp_path, GOOD, "t.parquet"))
    with pytest.raises(ValueError, match="no such file"):
        read(tmp_path / "none.csv")
