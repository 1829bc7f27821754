"""The folder of a trained network: saved whole or not at all, found by every path to it, and refused when it is not."""

import json
import os
from pathlib import Path

import pytest
import torch

import networks
from networks import load, save_trained
from networks.weights import trained_network
from searchspace import published
from searchspace.targets import at
from tests.networks.live_networks import clips, randomise_

CLASSES = ("jump", "run", "walk")


def small(stream: bool = False, seed: int = 0) -> networks.Network:
    network = networks.create("t0", stream=stream, classes=3)
    randomise_(network, seed)
    return network.eval()


def save(folder: Path, network: networks.Network | None = None, **changes: object) -> Path:
    given = {"classes": CLASSES, "recipe": {"epochs": 3}, "data": {"kind": "motion"}, "metrics": {"accuracy": 0.5}}
    return save_trained(folder, network or small(), step=7, **{**given, **changes})


@pytest.mark.parametrize("stream", [False, True])
def test_what_is_loaded_is_what_was_saved(tmp_path: Path, stream: bool) -> None:
    network = small(stream)
    found = load(save(tmp_path / "best", network))
    assert found.classes == CLASSES and found.step == 7 and found.path == tmp_path / "best"
    assert found.recipe == {"epochs": 3} and found.data == {"kind": "motion"} and found.metrics == {"accuracy": 0.5}
    assert found.versions["torch"] == torch.__version__ and not found.network.training
    assert found.network.architecture == network.architecture
    x = clips(2, 4, 32)
    assert torch.equal(found.network.logits(x), network.logits(x))


def test_a_run_its_folders_and_their_files_all_lead_to_it(tmp_path: Path) -> None:
    run = tmp_path / "run"
    last = save(run / "checkpoints" / "last", small(seed=1))
    assert load(run).path == last  # no best yet
    best = save(run / "checkpoints" / "best")
    for path in (run, best, *(best / name for name in ("arch.json", "model.safetensors", "checkpoint.json"))):
        assert at(path).trained == best and load(str(path)).path == best
    assert at(last / "arch.json").trained == last
    assert at(tmp_path).trained is None


def test_an_ensemble_is_one_network(tmp_path: Path) -> None:
    from searchspace import Ensemble

    architecture = small().architecture
    network = networks.create(Ensemble.interleave([architecture, architecture]))
    randomise_(network)
    x = clips(1, 4, 32)
    assert torch.equal(load(save(tmp_path / "e", network)).network(x), network.eval()(x))


def test_weights_with_an_architecture_have_numbers_for_classes(tmp_path: Path) -> None:
    networks.save_weights(small(), tmp_path / "a.safetensors")
    found = load(tmp_path / "a.safetensors")
    assert found.classes == ("0", "1", "2") and found.path == tmp_path / "a.safetensors"


def test_saving_again_replaces_and_a_failure_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path / "best")
    save(tmp_path / "best", metrics={"accuracy": 0.75})
    assert load(tmp_path / "best").metrics == {"accuracy": 0.75}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(trained_network, "save_weights", full)
    with pytest.raises(OSError, match="No space"):
        save(tmp_path / "best", metrics={"accuracy": 1.0})
    monkeypatch.undo()
    real = os.replace

    def second_fails(source: Path, target: Path) -> None:
        if Path(source).name == ".best.writing":
            raise OSError(5, "Input/output error")
        real(source, target)

    monkeypatch.setattr(os, "replace", second_fails)
    with pytest.raises(OSError, match="output"):
        save(tmp_path / "best", metrics={"accuracy": 1.0})
    monkeypatch.undo()
    assert load(tmp_path / "best").metrics == {"accuracy": 0.75}
    assert sorted(item.name for item in tmp_path.iterdir()) == ["best"]


def test_what_does_not_belong_together_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"2 class names for a network of 3 classes"):
        save(tmp_path / "x", classes=("a", "b"))
    with pytest.raises(ValueError, match=r"checkpoint\.metrics\.loss is nan"):
        save(tmp_path / "x", metrics={"loss": float("nan")})
    with pytest.raises(ValueError, match=r"checkpoint\.recipe\.network"):
        save(tmp_path / "x", recipe={"network": object()})
    assert not list(tmp_path.iterdir())


def _change(folder: Path, **values: object) -> None:
    file = folder / "checkpoint.json"
    content = {**json.loads(file.read_text()), **values}
    file.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def test_damage_is_named(tmp_path: Path) -> None:
    best = save(tmp_path / "best")
    weights = (best / "model.safetensors").read_bytes()
    (best / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(ValueError, match=r"model\.safetensors: not a readable safetensors file"):
        load(best)
    (best / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"model\.safetensors: no such file; the checkpoint is not whole"):
        load(best)
    networks.save_weights(networks.create("t0", classes=4), best / "model.safetensors")
    with pytest.raises(ValueError, match=r"belongs to another network than arch\.json"):
        load(best)
    save(best)
    for change, said in (
        ({"classes": ["a", "b"]}, "2 class names"),
        ({"classes": ["a", "b", 3]}, r"classes\[2\] is 3"),
        ({"metrics": [1]}, "metrics"),
        ({"metrics": {"accuracy": "high"}}, r"metrics\.accuracy is 'high'"),
        ({"step": -1}, r"step is -1"),
        ({"schema": "other/9"}, "schema is 'other/9'"),
        ({"clases": ["a"]}, "unknown key 'clases'; did you mean 'classes'"),
        ({"recipe": None}, "'recipe' is missing"),
    ):
        _change(best, **change)
        with pytest.raises(ValueError, match=said):
            load(best)
        save(best)
    (best / "checkpoint.json").write_text("{")
    with pytest.raises(ValueError, match=r"checkpoint\.json: not JSON"):
        load(best)


def test_what_holds_no_trained_weights_says_what_to_do(tmp_path: Path) -> None:
    published("t0").save(tmp_path / "arch.json")
    for config in (None, "{", "[]", '{"command": "search"}'):
        if config is not None:
            (tmp_path / "config.json").write_text(config)
        with pytest.raises(ValueError, match="holds no trained weights; train it with: nas retrain"):
            load(tmp_path)
    (tmp_path / "config.json").write_text('{"command": "retrain"}')
    with pytest.raises(ValueError, match="kept no network yet; go on with: nas retrain --resume --name"):
        load(tmp_path)
    with pytest.raises(ValueError, match="no such file or folder"):
        load(tmp_path / "none")
    (tmp_path / "model.pth").write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(ValueError, match="nas import"):
        load(tmp_path / "model.pth")
    (tmp_path / "note.txt").write_text("no architecture")
    (tmp_path / "empty").mkdir()
    for other in ("note.txt", "empty"):  # which nas retrain would not take
        with pytest.raises(ValueError, match=r"holds no trained weights; give a run of nas retrain"):
            load(tmp_path / other)
    state = tmp_path / "step-00000010"
    state.mkdir()
    (state / "checkpoint.json").write_text('{"step": 10, "groups": ["network"], "data": {}}')
    (state / "model.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match="a state to resume a run from"):
        load(state)


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    network = small()
    with torch.no_grad():
        network.get_parameter("dense.weight")[0, 0] = float("nan")
    save(tmp_path / "best", network)
    with pytest.raises(ValueError, match=r"tensor 'dense.weight' has values that are not finite; take another"):
        networks.load(tmp_path / "best")


def test_a_state_to_go_on_from_is_no_trained_network(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.json").write_text("{}")
    with pytest.raises(ValueError, match="is a state to go on from; give the run, or its checkpoints/best"):
        networks.load(tmp_path)
