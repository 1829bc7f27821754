"""Sizes and types that a file of weights claims, held against the file and the network before memory is taken."""

import dataclasses
import json
import struct
from pathlib import Path

import pytest
import torch

import networks
from searchspace import BASE, Architecture, cost
from searchspace.weights_header import with_metadata
from tests.networks.small_reference import small_reference
from tests.networks.weights.other_projects import live_port


def huge(architecture: Architecture) -> Architecture:
    """With a classifier that takes gigabytes."""
    head = dataclasses.replace(architecture.head, hidden=16_384)
    result = dataclasses.replace(architecture, head=head, classes=100_000)
    assert cost(result).params > 1.6e9
    return result


def with_architecture(file: Path, text: str) -> None:
    """Another architecture in the header of a file of ours."""
    content = file.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    del header["__metadata__"]
    bare = json.dumps(header).encode()
    file.write_bytes(with_metadata(struct.pack("<Q", len(bare)) + bare + content[8 + length :], {"architecture": text}))


def test_a_small_file_that_claims_a_huge_network_is_refused(tmp_path: Path) -> None:
    architecture = small_reference(BASE)
    network, folder = networks.create(architecture), tmp_path / "best"
    names = [str(i) for i in range(architecture.classes)]
    networks.save_trained(folder, network, classes=names, recipe={}, data={}, metrics={}, step=1)
    file = tmp_path / "a.safetensors"
    networks.save_weights(network, file)
    with_architecture(file, huge(architecture).to_json())
    huge(architecture).save(folder / "arch.json")
    with_architecture(folder / "model.safetensors", huge(architecture).to_json())
    for load in (networks.load, networks.import_weights):
        with pytest.raises(ValueError, match=r"a\.safetensors: [\d,]+ bytes cannot hold the 1,6[\d,]+ parameters"):
            load(file)
    with pytest.raises(ValueError, match=r"model\.safetensors: [\d,]+ bytes cannot hold"):
        networks.load(folder)


def relabelled(file: Path, name: str, kind: str) -> None:
    content = file.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header[name]["dtype"] = kind
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode().ljust(length)
    assert len(text) == length
    file.write_bytes(struct.pack("<Q", length) + text + content[8 + length :])


@pytest.mark.parametrize("name", ["classifier.bias", "blocks.0.layers.0.scale"])
@pytest.mark.parametrize("kind", ["I32", "U32"])
def test_weights_of_another_type_do_not_load_in_silence(name: str, kind: str, tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    network = networks.create(small_reference(BASE))
    networks.save_weights(network, file)
    networks.load_weights(network, file)
    relabelled(file, name, kind)
    word = {"I32": "int32", "U32": "uint32"}[kind]
    with pytest.raises(ValueError, match=f"tensor '{name}' is of type {word}, this network wants float32"):
        networks.load_weights(network, file)
    with pytest.raises(ValueError, match=rf"{name} \[.*\] of {word} instead of \["):
        networks.import_weights(file)


def test_weights_of_others_in_another_type_do_not_either(tmp_path: Path) -> None:
    architecture = small_reference(BASE)
    state = live_port(architecture).state_dict()
    state["conv1.conv_1.conv3d.weight"] = state["conv1.conv_1.conv3d.weight"].view(torch.int32)
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=r"1 of another shape or type: conv1\.conv_1\.conv3d\.weight \[.*\] of int32"):
        networks.import_weights(tmp_path / "a.pth", architecture)


def test_tensors_of_the_file_that_are_one_are_read_once(tmp_path: Path) -> None:
    """A thousand names of one storage: a file of two megabytes takes about as much."""
    architecture = small_reference(BASE)
    state = live_port(architecture).state_dict()
    shared = torch.zeros(500_000)
    torch.save({**state, **{f"more.{i}": shared for i in range(1000)}}, tmp_path / "a.pth")
    assert (tmp_path / "a.pth").stat().st_size < 4e6
    with pytest.raises(ValueError, match="1000 of no layer"):
        networks.import_weights(tmp_path / "a.pth", architecture)
