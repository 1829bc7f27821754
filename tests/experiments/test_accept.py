"""What commands say of a run, or of something else, that is not what they take."""

import json
from pathlib import Path

import pytest

from searchspace import Architecture, published
from tests.experiments.conftest import Nas
from tests.training.networks_of_seconds import architecture
from training.run import FamilyTrainingRun, FoldsRun, SearchRun, accept, find_run


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


REMEDIES = {
    "search": "it is not finished; go on with: nas search --resume --name early",
    "folds": "it holds a training for each fold; name one of the runs in it",
    "scale": "name one of its members",
    "retrained": "it holds the trainings of a family; name one of the runs in it",
}


@pytest.mark.parametrize("command", REMEDIES)
def test_a_wrong_kind_is_answered_in_one_line_with_the_remedy(nas: Nas, retraining: Path, command: str) -> None:
    (retraining / "config.json").write_text(json.dumps({"command": command}))
    (retraining / "arch.json").unlink()
    for words in (("evaluate", retraining), ("predict", retraining, "."), ("probe", retraining, "--data", ".")):
        answer = nas(*words)
        assert answer.code == 2 and len(answer.err.splitlines()) == 1, answer.err
        assert f"{retraining} holds no trained weights; " in answer.err and REMEDIES[command] in answer.err
    if command != "search":
        answer = nas("plot", "early")
        assert answer.code == 2 and "early: nas plot draws runs of nas search" in answer.err


def test_words_mean_the_same_to_python_and_to_commands(nas: Nas, retraining: Path) -> None:
    """A folder of folds is trained as the network that it judged, and a published name is a published name."""
    (retraining / "config.json").write_text(json.dumps({"command": "folds", "stream": True}))
    assert isinstance(find_run(retraining), FoldsRun)
    causal = accept("retrain", "early", retraining.parent)
    assert causal.architecture() == architecture().streaming() and causal.weights is None
    assert json.loads(nas("cost", "early", "--json").out)["key"] == architecture().streaming().key()
    (retraining.parent / "a0").mkdir()
    architecture().save(retraining.parent / "a0" / "arch.json")
    for command in ("retrain", "scale", "show"):
        assert accept(command, "a0", retraining.parent).architecture() == published("a0")
    with pytest.raises(ValueError, match=r"a0 holds no trained weights; train it with: nas retrain \S+a0$"):
        accept("report", "a0", retraining.parent)  # which takes no published names


def test_a_run_of_a_command_that_is_not_known(retraining: Path) -> None:
    (retraining / "config.json").write_text(json.dumps({"command": "distil"}))
    with pytest.raises(ValueError, match=r"config\.json: command is 'distil'; allowed: search, retrain, folds, scale"):
        accept("show", "early", retraining.parent)
    (retraining / "config.json").write_text("[")
    with pytest.raises(ValueError, match=r"config\.json: not JSON"):
        accept("show", "early", retraining.parent)
    assert find_run(retraining) is None and find_run(retraining / "arch.json") is None
    with pytest.raises(ValueError, match=r"is not a run \(it has no config\.json\); give a folder that nas"):
        FamilyTrainingRun.open(retraining.parent)
