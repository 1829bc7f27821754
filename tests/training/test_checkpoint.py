"""Checkpoints: exact, atomic, the last two kept, damaged ones passed over."""

import errno
import os

import pytest
import torch
from safetensors import SafetensorError

from training import checkpoint


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
