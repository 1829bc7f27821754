"""The benchmark of a family's members: nothing is computed twice."""

import argparse
import json

from benchmarks import scaling as benchmark
from scaling.scale import scale
from tests.scaling.small import settings


def test_members_are_trained_once(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setitem(__import__("video.motion").motion.DEFAULT_SIZES, "val", 32)
    monkeypatch.setattr(benchmark, "RESULTS", tmp_path / "results.jsonl")
    family = scale(settings(tmp_path, coeffs="1.2,1.1,1.1,1.2"), runs=tmp_path, name="family").folder
    arguments = argparse.Namespace(
        family=family, clip="4x16x16@5", clips=32, seeds=2, members="A1:A2", workers=1, again=False
    )
    benchmark.members_step_up(arguments)
    first = capsys.readouterr().out
    assert "step A1 -> A2: " in first
    (line,) = map(json.loads, (tmp_path / "results.jsonl").read_text().splitlines())
    assert {name: len(values) for name, values in line["accuracies"].items()} == {"A1": 2, "A2": 2}
    assert line["steps"][0] in first
    benchmark.members_step_up(arguments)
    assert len((tmp_path / "results.jsonl").read_text().splitlines()) == 1
    assert line["steps"][0] in capsys.readouterr().out
    assert len((family / "benchmark-4x16x16-32" / "trainings.jsonl").read_text().splitlines()) == 4
