"""Append-only files: torn lines, rewinding, and files changed from outside."""

import json
import math

import pytest

from searchspace.stored import complete_lines, read_records
from training.run.ledger import Ledger


def test_lines_survive_and_floats_keep_every_bit(tmp_path):
    ledger = Ledger(tmp_path / "a.jsonl")
    values = [0.1 + 0.2, math.pi, 1e-300, 5e-324]
    for value in values:
        ledger.append_json({"value": value})
    assert Ledger(tmp_path / "a.jsonl").lines == 4
    assert [record["value"] for record in read_records(tmp_path / "a.jsonl")] == values


def test_a_header_is_written_once_and_counted(tmp_path):
    path = tmp_path / "m.csv"
    Ledger(path, "step,loss").append("1,2.0")
    Ledger(path, "step,loss").append("2,1.0")
    assert path.read_text() == "step,loss\n1,2.0\n2,1.0\n"
    assert Ledger(path, "step,loss").lines == 3


def test_rewind_moves_lines_and_the_torn_end_to_another_file(tmp_path):
    path, aside = tmp_path / "a.jsonl", tmp_path / "discarded.jsonl"
    path.write_text('{"n":0}\n{"n":1}\n{"n":2}\n{"n":')
    ledger = Ledger(path)
    assert ledger.lines == 3
    assert ledger.rewind(1, aside) == 2
    assert path.read_text() == '{"n":0}\n'
    assert aside.read_text() == '{"n":1}\n{"n":2}\n{"n":\n'
    ledger.append_json({"n": 9})
    assert [record["n"] for record in read_records(path)] == [0, 9]
    assert ledger.lines == 2


def test_rewinding_twice_loses_nothing(tmp_path):
    path, aside = tmp_path / "a.jsonl", tmp_path / "d.jsonl"
    path.write_text("1\n2\n3\n")
    Ledger(path).rewind(2, aside)
    Ledger(path).append("4")
    Ledger(path).rewind(2, aside)
    assert aside.read_text() == "3\n4\n"
    assert list(complete_lines(path)) == ["1", "2"]


def test_fewer_lines_than_the_checkpoint_counted_is_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("1\n")
    with pytest.raises(ValueError, match="was changed from outside"):
        Ledger(path).rewind(2, tmp_path / "d")
    assert path.read_text() == "1\n"


def test_a_damaged_complete_line_is_named(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"n":1}\nnot json\n')
    with pytest.raises(ValueError, match="line 2 is damaged"):
        read_records(path)


def test_not_a_number_is_never_written(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        Ledger(tmp_path / "a").append_json({"loss": math.nan})
    assert not (tmp_path / "a").exists()


def test_missing_files_are_empty(tmp_path):
    assert read_records(tmp_path / "none") == []
    assert json.dumps(list(complete_lines(tmp_path / "none"))) == "[]"
