"""`nas report`: grouping over seeds, references, a page that needs nothing but itself."""

import dataclasses
import json
import math
import os
import re
import shutil
import statistics
from pathlib import Path

import pytest

import searchspace
from experiments.plots.comparison import _ticks
from experiments.report_data import _shared_name, compare, read_entry
from searchspace.published_accuracy import published_accuracy
from tests.experiments.conftest import Nas
from tests.training.tiny import tiny, trained_run
from training.run import accept


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Three seeds of one network, and another that does not stream."""
    for seed, accuracy in enumerate((0.6, 0.7, 0.65)):
        trained_run(tmp_path / f"first-{seed}", seed=seed, accuracy=accuracy)
    trained_run(tmp_path / "second", stream=False, architecture=1, accuracy=0.8)
    return tmp_path


def test_seeds_are_grouped_and_spread(runs: Path) -> None:
    names = ["first-0", "first-1", "second", "first-2"]
    found = compare([read_entry(accept("report", name, runs)) for name in names])
    second, first = found.groups
    assert (first.name, len(first.entries)) == ("first", 3) and (second.name, len(second.entries)) == ("second", 1)
    assert first.accuracy == pytest.approx(0.65)
    assert first.deviation == pytest.approx(statistics.stdev([0.6, 0.7, 0.65]))
    assert first.bar == (first.deviation, first.deviation)
    assert math.isnan(second.deviation) and second.bar == (0.0, 0.0)  # nobody knows on how many videos
    assert first.first.cost == searchspace.cost(tiny(3, True)) and not found.references and not found.notes


def test_what_makes_runs_hard_to_compare_is_said(runs: Path) -> None:
    trained_run(runs / "twin", seed=1, accuracy=0.5)
    trained_run(runs / "elsewhere", data={"kind": "folder", "root": "/other"})
    found = compare([read_entry(accept("report", name, runs)) for name in ("first-1", "twin", "elsewhere")])
    assert any("different data" in note for note in found.notes)
    assert any("same seed" in note for note in found.notes)


def test_the_newest_evaluation_of_that_checkpoint_counts(runs: Path) -> None:
    run = runs / "second"
    for number, (accuracy, checkpoint) in enumerate(((0.1, "best"), (0.4, "best"), (0.9, "last")), 1):
        folder = run / f"evaluation-{number}"
        folder.mkdir()
        content = {
            "protocols": [
                {"protocol": "multiclip", "accuracy": 0.7, "videos": 50},
                {"protocol": "clip", "accuracy": accuracy, "videos": 50},
            ]
        }
        content["checkpoint"] = str(run / "checkpoints" / checkpoint)  # type: ignore[assignment]
        (folder / "evaluation.json").write_text(json.dumps(content))
    entry = read_entry(accept("report", "second", runs))
    assert (entry.accuracy, entry.videos, entry.measured) == (0.4, 50, "nas evaluate")
    low, high = compare([entry]).groups[0].bar
    assert 0.1 < low < 0.15 and 0.1 < high < 0.16


def test_evaluations_are_in_order_of_their_numbers_and_stay_with_their_run(runs: Path, tmp_path: Path) -> None:
    """A copy has other times of change, and another place than the record says."""
    run = runs / "second"
    for number, (accuracy, data) in enumerate(((0.1, "/a"), (0.2, "/b")), 9):
        folder = run / f"evaluation-{number}"
        folder.mkdir()
        protocols = [{"protocol": "clip", "accuracy": accuracy, "videos": 50}]
        content = {"checkpoint": str(run / "checkpoints" / "best"), "data": data, "protocols": protocols}
        (folder / "evaluation.json").write_text(json.dumps(content))
        os.utime(folder / "evaluation.json", (0, 1000 - number))  # the older one was touched last
    shutil.copytree(run, tmp_path / "copy")
    for word in (run, tmp_path / "copy"):
        entry = read_entry(accept("report", word, runs))
        assert (entry.accuracy, entry.judged) == (0.2, "/b")
    other = dataclasses.replace(entry, judged="/a")
    assert "measured on different videos: /a, /b." in " ".join(compare([entry, other]).notes)


def test_published_numbers_stand_beside_kinetics_600_only(runs: Path) -> None:
    classes = tuple(f"class {i}" for i in range(600))
    annotated = {"kind": "folder", "annotations": "/k600/train.csv"}
    for stream in (False, True):
        trained_run(runs / f"k{stream}", classes, stream=stream, data=annotated)
        found = compare([read_entry(accept("report", f"k{stream}", runs))])
        assert {r.name: r.accuracy for r in found.references} == {
            searchspace.published(name, stream).name: value for name, value in published_accuracy(stream).items()
        }
    assert published_accuracy()["a0"] == 0.7228 and published_accuracy(stream=True)["a5"] == 0.8237
    trained_run(runs / "other", classes, data={"kind": "folder", "annotations": None})
    assert not compare([read_entry(accept("report", "other", runs))]).references


def test_the_page_needs_nothing_but_itself(nas: Nas, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(runs)
    trained_run(runs / "<b>evil&", architecture=2, accuracy=0.3)
    words = ["report", "first-0", "first-1", "first-2", "second", "<b>evil&", "--runs", runs]
    answer = nas(*words)
    assert answer.code == 0, answer.err
    assert "first " in answer.out and "65.0%" in answer.out and "next: open report.html" in answer.out
    page = Path("report.html").read_text()
    assert "<b>evil&" not in page and "&lt;b&gt;evil&amp;" in page
    assert not re.findall(r"""(?:src|href)=['"](?!data:)""", page) and "://" not in page and "<!--ROWS" not in page
    assert Path("report.png").read_bytes()[:4] == b"\x89PNG"
    assert nas(*words).code == 0 and Path("report-2.html").exists()
    named = nas(*words, "-o", "report")
    assert named.code == 2 and "nothing is overwritten" in named.err
    data = json.loads(nas(*words, "--json").out)
    assert [len(group["runs"]) for group in data["groups"]] == [1, 3, 1]


def test_ticks_are_few_and_inside() -> None:
    for low, high in ((0.9, 1.1), (1, 3), (5, 80), (1, 5000), (0.02, 0.05)):
        ticks = _ticks(low * 1e6, high * 1e6)
        assert 2 <= len(ticks) <= 6 and all(low * 1e6 <= tick <= high * 1e6 for tick in ticks), (low, high)


def test_what_is_no_trained_run_is_refused(nas: Nas, runs: Path) -> None:
    (runs / "empty").mkdir()
    for word, said in (("none", "no file and no run"), ("empty", "give a run of nas retrain")):
        answer = nas("report", word, "--runs", runs)
        assert answer.code == 2 and said in answer.err
    record = runs / "second" / "checkpoints" / "best" / "checkpoint.json"
    content = json.loads(record.read_text())
    record.write_text(json.dumps({**content, "metrics": {}}))
    answer = nas("report", "second", "--runs", runs)
    assert answer.code == 2 and "measure it with: nas evaluate " in answer.err


def test_a_group_is_called_by_what_its_names_share() -> None:
    for *names, shared in (
        ("a0-0", "a0-1", "a0"),
        ("retrain-10", "retrain-11", "retrain"),
        ("x", "x", "x"),
        ("left", "right", "left"),
    ):
        assert _shared_name(names) == shared
