"""Checkpoints: exact, atomic, the last two kept, damaged ones passed over."""

import errno
import json
import os

import pytest
import torch
from safetensors import SafetensorError

from training.names import OPTIMIZERS
from training.steps import checkpoint, optimizers


def some(seed: int) -> dict[str, dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    return {"supernet": {"a.b": torch.randn(3, 4, generator=generator)}, "optimizer": {"0.square": torch.rand(3)}}


def test_what_is_loaded_is_what_was_saved_bit_for_bit(tmp_path):
    tensors = some(0)
    checkpoint.save(tmp_path, 7, tensors, {"searcher": {"x": [0.1, 1e-17]}, "n": None})
    found, damaged = checkpoint.load_newest(tmp_path)
    assert found is not None and damaged == []
    assert found.step == 7 and found.data == {"searcher": {"x": [0.1, 1e-17]}, "n": None}
    for group in tensors:
        for name in tensors[group]:
            assert torch.equal(found.tensors[group][name], tensors[group][name])


def test_the_last_two_are_kept_and_the_newest_is_loaded(tmp_path):
    for step in (5, 10, 100_000_000, 15):
        checkpoint.save(tmp_path, step, some(step), {})
    assert len(checkpoint.names(tmp_path)) == 2
    found, _ = checkpoint.load_newest(tmp_path)
    assert found is not None and found.step == 100_000_000


def test_a_damaged_newest_falls_back_to_the_one_before(tmp_path):
    checkpoint.save(tmp_path, 1, some(1), {})
    newest = checkpoint.save(tmp_path, 2, some(2), {})
    file = newest / "supernet.safetensors"
    file.write_bytes(file.read_bytes()[:-8])
    found, damaged = checkpoint.load_newest(tmp_path)
    assert found is not None and found.step == 1
    assert len(damaged) == 1 and "step-00000002" in damaged[0]
    (tmp_path / "step-00000001" / "checkpoint.json").write_text("{")
    with pytest.raises(ValueError, match="no checkpoint can be read"):
        checkpoint.load_newest(tmp_path)


def test_what_is_not_finite_is_damage(tmp_path):
    checkpoint.save(tmp_path, 1, some(1), {})
    broken = some(2)
    broken["optimizer"]["0.square"][1] = float("nan")
    checkpoint.save(tmp_path, 2, broken, {})
    found, damaged = checkpoint.load_newest(tmp_path)
    assert found is not None and found.step == 1
    assert len(damaged) == 1 and "optimizer: tensor '0.square' has values that are not finite" in damaged[0]


def test_a_write_cut_short_leaves_the_earlier_checkpoint(tmp_path, monkeypatch):
    checkpoint.save(tmp_path, 1, some(1), {})

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(OSError, match="No space"):
        checkpoint.save(tmp_path, 2, some(2), {})
    monkeypatch.undo()
    assert checkpoint.names(tmp_path) == ["step-00000001"]
    assert [item.name for item in tmp_path.iterdir()] == ["step-00000001"]
    # what a kill leaves behind is never taken for a checkpoint, and the next save clears it
    (tmp_path / ".writing-00000002").mkdir()
    found, _ = checkpoint.load_newest(tmp_path)
    assert found is not None and found.step == 1
    checkpoint.save(tmp_path, 2, some(2), {})
    assert not (tmp_path / ".writing-00000002").exists()


def test_no_checkpoint_yet(tmp_path):
    assert checkpoint.load_newest(tmp_path / "none") == (None, [])


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_an_optimiser_goes_on_as_if_nothing_had_happened(tmp_path, kind):
    def build(weight):
        if kind == "sgd":
            return torch.optim.SGD([weight], lr=0.1, momentum=0.9, nesterov=True)
        return torch.optim.AdamW([weight], lr=0.1)

    def advance(weight, optimizer, steps):
        for step in steps:
            weight.grad = torch.full_like(weight, 0.1 * (step + 1))
            optimizer.step()

    straight = torch.ones(4, requires_grad=True)
    optimizer = build(straight)
    advance(straight, optimizer, range(6))

    first = torch.ones(4, requires_grad=True)
    optimizer = build(first)
    advance(first, optimizer, range(3))
    tensors, plain = checkpoint.optimizer_state(optimizer)
    checkpoint.save(tmp_path, 3, {"w": {"w": first.detach()}, "optimizer": tensors}, {"optimizer": plain})
    found, _ = checkpoint.load_newest(tmp_path)
    assert found is not None
    second = found.tensors["w"]["w"].clone().requires_grad_()
    optimizer = build(second)
    checkpoint.restore_optimizer(optimizer, found.tensors["optimizer"], found.data["optimizer"])
    advance(second, optimizer, range(3, 6))
    assert torch.equal(straight, second)


def test_a_full_disk_behind_safetensors_is_the_system_s_own_error(tmp_path, monkeypatch):
    checkpoint.save(tmp_path, 1, some(1), {})

    def full(*_):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(OSError, match="No space left") as error:
        checkpoint.save(tmp_path, 2, some(2), {})
    assert error.value.errno == errno.ENOSPC and error.value.filename == str(tmp_path)
    assert checkpoint.names(tmp_path) == ["step-00000001"]


def test_one_that_does_not_fit_falls_back_to_the_one_before(tmp_path):
    for step in (1, 2, 3):
        checkpoint.save(tmp_path, step, some(step), {"n": step}, keep=3)
    tried = []

    def restore(found):
        tried.append(found.step)
        if found.step == 3:
            raise RuntimeError("size mismatch for a.b")
        if found.step == 2:
            raise ValueError("optimizer: it is of another network")

    found, passed = checkpoint.load_newest(tmp_path, restore)
    assert found is not None and found.step == 1 and tried == [3, 2, 1]
    assert "step-00000003 (RuntimeError: size mismatch for a.b)" in passed[0]
    assert "step-00000002 (optimizer: it is of another network)" in passed[1]
    assert len(checkpoint.names(tmp_path)) == 3  # who only looks changes nothing


@pytest.mark.parametrize("keep", [1, 2])
def test_what_was_passed_over_is_no_reason_to_remove_what_comes(tmp_path, keep):
    checkpoint.save(tmp_path, 1, some(1), {})
    newest = checkpoint.save(tmp_path, 20, some(2), {})
    (newest / "checkpoint.json").write_text("{}")
    found, _ = checkpoint.load_newest(tmp_path, ours=True)
    assert found is not None and found.step == 1
    checkpoint.save(tmp_path, 5, some(5), {}, keep=keep)
    found, passed = checkpoint.load_newest(tmp_path)
    assert found is not None and found.step == 5 and passed == []
    assert (tmp_path / "damaged-step-00000020" / "checkpoint.json").read_text() == "{}"


@pytest.mark.parametrize(
    "error", [MemoryError(), PermissionError(errno.EACCES, "Permission denied"), OSError(errno.EMFILE, "Too many")]
)
def test_trouble_of_the_machine_is_no_damage(tmp_path, error):
    checkpoint.save(tmp_path, 1, some(1), {})
    checkpoint.save(tmp_path, 2, some(2), {})

    def restore(found):
        raise error

    with pytest.raises(type(error)):
        checkpoint.load_newest(tmp_path, restore, ours=True)
    assert checkpoint.names(tmp_path) == ["step-00000001", "step-00000002"]


@pytest.mark.parametrize(
    "change",
    [
        {"step": 3},
        {"step": "2"},
        {"groups": "supernet"},
        {"groups": ["../step-00000001/supernet"]},
        {"groups": ["missing"]},
        {"data": []},
    ],
)
def test_a_checkpoint_that_says_what_cannot_be_is_damaged(tmp_path, change):
    checkpoint.save(tmp_path, 1, some(1), {})
    newest = checkpoint.save(tmp_path, 2, some(2), {})
    content = json.loads((newest / "checkpoint.json").read_text())
    (newest / "checkpoint.json").write_text(json.dumps({**content, **change}))
    found, passed = checkpoint.load_newest(tmp_path)
    assert found is not None and found.step == 1 and len(passed) == 1


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimiser_takes_only_what_is_its_own(name):
    def made(count, size=3):
        weights = [torch.ones(size, 2, requires_grad=True) for _ in range(count)]
        optimizer = optimizers.build(name, weights, 0.1)
        for weight in weights:
            weight.grad = torch.ones_like(weight)
        optimizer.step()
        return optimizer

    tensors, plain = checkpoint.optimizer_state(made(2))
    checkpoint.restore_optimizer(made(2), tensors, plain)
    some = next(iter(tensors))
    for other in (
        {f"7{some[1:]}": tensors[some]},
        {"x.y": tensors[some]},
        {**tensors, some: tensors[some].to(torch.int32)},
        {**tensors, some: torch.zeros(9)},
        {**tensors, f"{some}x": tensors[some]},
        {key: value for key, value in tensors.items() if key != some or name == "sgd"} | {"0.other": tensors[some]},
    ):
        with pytest.raises(ValueError, match="optimizer: "):
            checkpoint.restore_optimizer(made(2), other, plain)
    with pytest.raises(ValueError, match="optimizer: "):
        checkpoint.restore_optimizer(made(2, size=4), tensors, plain)
    with pytest.raises(ValueError, match="optimizer: "):
        checkpoint.restore_optimizer(made(1), tensors, plain)
