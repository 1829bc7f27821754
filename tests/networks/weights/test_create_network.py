"""Creation by name, file and architecture; weights; errors."""

import dataclasses
from pathlib import Path

import pytest
import safetensors.torch
import torch

import networks
import searchspace
from tests.networks.live_networks import clips, randomise_, small


def test_by_name_path_and_architecture(tmp_path: Path) -> None:
    architecture = small()
    architecture.save(tmp_path / "arch.json")
    assert networks.create(tmp_path / "arch.json").architecture == architecture
    assert networks.create(str(tmp_path / "arch.json"), classes=7).architecture.classes == 7
    with torch.device("meta"):
        assert networks.create("a0").architecture == searchspace.published("a0")
        assert networks.create("t0", classes=3)(torch.empty(2, 3, 4, 32, 32, device="meta")).shape == (2, 3)


def test_stream_networks(tmp_path: Path) -> None:
    small().save(tmp_path / "arch.json")
    with torch.device("meta"):
        assert networks.create("a3", stream=True).architecture == searchspace.published("a3", stream=True)
        own = networks.create(tmp_path / "arch.json", stream=True, gate="hard_sigmoid").architecture
        assert own.form == dataclasses.replace(searchspace.STREAM, gate="hard_sigmoid")
        with pytest.raises(ValueError, match="gate is 'hard'; allowed: sigmoid, hard_sigmoid, hard_sigmoid_2021"):
            networks.create("a0", stream=True, gate="hard")
        clip = torch.empty(1, 3, 2, 32, 32, device="meta")
        maps, state = networks.create("t0", stream=True, features_only=True)(clip)
    assert list(maps) == ["stem", "block0", "block1", "block2", "block3", "block4"] and "head_pool_buffer" in state
    assert networks.list() == ("a0", "a1", "a2", "a3", "a4", "a5", "t0", "a6")


def test_weights_come_back(tmp_path: Path) -> None:
    network = networks.create(small())
    randomise_(network)
    safetensors.torch.save_file(network.state_dict(), tmp_path / "model.safetensors")
    again = networks.create(small(), weights=tmp_path / "model.safetensors")
    with torch.no_grad():
        assert torch.equal(network.eval()(clips(2, 4, 16)), again.eval()(clips(2, 4, 16)))


def test_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(ValueError, match=r"network 'a22' is not known; did you mean 'a2'\? .*arch.json"):
        networks.create("a22")
    with pytest.raises(ValueError, match="no such file"):
        networks.create("missing/arch.json")
    with pytest.raises(ValueError, match="0 classes"):
        networks.create(small(), classes=0)


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    with pytest.raises(ValueError, match="no such file"):
        networks.create(small(), weights=file)
    file.write_bytes(b"not a tensor")
    with pytest.raises(ValueError, match="not a readable safetensors file"):
        networks.create(small(), weights=file)
    state = networks.create(small()).state_dict()
    safetensors.torch.save_file({key: v for key, v in state.items() if key != "dense.bias"}, file)
    with pytest.raises(ValueError, match=r"'dense\.bias' is missing"):
        networks.create(small(), weights=file)
    safetensors.torch.save_file(state | {"extra": torch.zeros(1)}, file)
    with pytest.raises(ValueError, match="'extra' belongs to no layer"):
        networks.create(small(), weights=file)
    safetensors.torch.save_file(state, file)
    with pytest.raises(ValueError, match=r"'classifier\.weight' has shape \[5, 48\], this network wants \[6, 48\]"):
        networks.create(small(), classes=6, weights=file)
