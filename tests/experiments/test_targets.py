"""What a word on the command line means where a run is not what a command expects."""

import json
from pathlib import Path

import pytest

from searchspace import Architecture
from tests.experiments.conftest import Nas
from tests.training.networks_of_seconds import architecture
from training.run import SearchRun


@pytest.fixture
def retraining(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of `nas retrain` that was stopped before its first network was kept, in the working directory."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "early"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"command": "retrain", "stream": False}))
    architecture().save(folder / "arch.json")
    return folder


def test_a_retraining_without_a_network_stands_for_its_architecture(nas: Nas, retraining: Path) -> None:
    shown = nas("show", "early", "--json")
    assert shown.code == 0, shown.err
    assert Architecture.from_dict(json.loads(shown.out)["architecture"]) == architecture()
    by_path, by_name = (nas("show", word).out.splitlines() for word in (retraining, "early"))
    assert by_path[:-1] == by_name[:-1]  # the last one repeats the word that was given
    assert nas("cost", "early").code == 0
    (retraining / "config.json").write_text(json.dumps({"command": "retrain", "stream": True}))
    causal = Architecture.from_dict(json.loads(nas("show", "early", "--json").out)["architecture"])
    assert causal == architecture().streaming()


def test_what_draws_searches_says_what_else_a_run_is(nas: Nas, retraining: Path) -> None:
    answer = nas("plot", "early")
    assert answer.code == 2 and "nas plot draws runs of nas search" in answer.err
    assert "--resume" not in answer.err


@pytest.mark.parametrize("command", ["retrain", "benchmark"])
def test_only_a_search_is_opened_as_one(retraining: Path, command: str) -> None:
    (retraining / "config.json").write_text(json.dumps({"command": command}))
    with pytest.raises(ValueError, match=f"not a run of nas search but of '{command}'"):
        SearchRun.open(retraining)
