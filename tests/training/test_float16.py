"""Training in float16 with a scaled loss. Users get it on a GPU only; torch's scaler and autocast do the same here."""

import json

import pytest
import torch

from tests.training.networks_of_seconds import architecture, batch, network, recipe
from tests.training.test_retrain import SETTINGS, Crash, Heard, assert_equal_trainings, crash
from training.retrain import run_retrain as retrain_module
from training.retrain.run_retrain import retrain
from training.steps import checkpoint
from training.steps import trainer as trainer_module
from training.steps.trainer import Trainer


@pytest.fixture(autouse=True)
def on_a_cpu(monkeypatch):
    for module in (trainer_module, retrain_module):
        monkeypatch.setattr(module, "check", lambda *_: None)
    monkeypatch.setitem(__import__("video.motion").motion.DEFAULT_SIZES, "val", 64)


def training(**changes) -> Trainer:
    return Trainer(network(), recipe(compute__precision="float16", **changes), 40, epoch_steps=20)


def with_scale(trainer: Trainer, scale: float, **changes) -> Trainer:
    trainer._scaler.load_state_dict({**trainer._scaler.state_dict(), "scale": scale, **changes})
    return trainer


def bits(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in trainer.network.state_dict().items()}


def test_gradients_are_scaled_back_before_anything_uses_them():
    """Whatever the scale, loss and gradient are about those of float32."""
    plain = Trainer(network(), recipe(), 40, epoch_steps=20)
    expected = [plain.step(*batch(step)) for step in range(3)]
    for scale in (2.0**8, 2.0**12):
        trainer = with_scale(training(), scale)
        for step, theirs in enumerate(expected):
            ours = trainer.step(*batch(step))
            assert not ours.skipped
            assert ours.loss == pytest.approx(theirs.loss, rel=1e-2)
            assert ours.gradient_norm == pytest.approx(theirs.gradient_norm, rel=5e-2)


def test_an_overflow_is_skipped_and_counted_and_halves_the_scale():
    trainer = with_scale(training(), 2.0**40)
    before = bits(trainer)
    outcome = trainer.step(*batch(0))
    assert outcome.skipped and trainer.skipped == trainer.in_a_row == 1
    assert all(torch.equal(tensor, before[name]) for name, tensor in trainer.network.state_dict().items())
    assert trainer._scaler.get_scale() == 2.0**39
    for step in range(1, 30):
        skipped = trainer.step(*batch(step)).skipped
        if not skipped:
            break
    assert not skipped and trainer.in_a_row == 0 and trainer.skipped == step
    assert trainer._scaler.get_scale() == 2.0 ** (40 - step)
    assert any(not torch.equal(tensor, before[name]) for name, tensor in trainer.network.state_dict().items())


def test_the_scale_and_its_growth_go_through_a_checkpoint(tmp_path):
    straight = with_scale(training(), 2.0**10, growth_interval=4)
    for step in range(3):
        straight.step(*batch(step))
    tensors, data = straight.state()
    checkpoint.save(tmp_path, straight.done, tensors, data)
    found, _ = checkpoint.load_newest(tmp_path)
    resumed = training()
    resumed.restore(found.step, found.tensors, found.data)
    assert resumed._scaler.state_dict() == straight._scaler.state_dict()
    for step in range(3, 6):
        one, two = (trainer.step(*batch(step)) for trainer in (straight, resumed))
        assert one == two
    assert resumed._scaler.get_scale() == straight._scaler.get_scale() == 2.0**11  # four good steps in a row
    theirs = bits(straight)
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in bits(resumed).items())


def test_a_run_that_crashed_goes_on_to_the_same_end(tmp_path):
    given = {**SETTINGS, "compute.precision": "float16"}
    straight = retrain(architecture(), given, runs=tmp_path, name="straight")
    with pytest.raises(Crash):
        retrain(architecture(), given, runs=tmp_path, name="cut", progress=Heard(6, crash))
    cut = retrain(None, runs=tmp_path, name="cut", resume=True)
    assert_equal_trainings(straight.folder, cut.folder)
    assert straight.summary["members"][0]["skipped"] == cut.summary["members"][0]["skipped"]
    names = checkpoint.names(cut.folder / "checkpoints")
    kept = json.loads((cut.folder / "checkpoints" / names[-1] / "checkpoint.json").read_text())
    assert kept["data"]["trainer"]["scaler"]["scale"] > 0
