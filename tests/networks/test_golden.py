"""Our networks compute what the authors' TensorFlow code computes, for weights that a formula regenerates."""

import dataclasses
import json

import numpy as np
import pytest
import torch

import networks
import searchspace
from searchspace import Architecture
from tests.networks.golden_values import close, golden, golden_network


def test_a0_base_equals_the_reference() -> None:
    found, clip = golden("movinet_a0_base")
    network = golden_network("movinet_a0_base", searchspace.published("a0"))
    for name in ("fast", "reference"):
        with torch.no_grad(), networks.formulation(name):
            close(network(clip), found["logits"])


def stream(name: str, gate: str) -> Architecture:
    architecture = searchspace.published(name, stream=True)
    return dataclasses.replace(architecture, form=dataclasses.replace(architecture.form, gate=gate))


@pytest.mark.parametrize("name", ["a0", "a3"])
def test_stream_networks_equal_the_reference(name: str) -> None:
    """The whole clip at once, and one frame after the other; names and sizes of the states too."""
    file = f"movinet_{name}_stream"
    found, clip = golden(file)
    network = golden_network(file, stream(name, "hard_sigmoid"))
    with torch.no_grad():
        logits, _ = network(clip)
        close(logits, found["logits"])
        with networks.formulation("reference"):
            close(network(clip)[0], found["logits"])
        state = network.initial_state(*(clip.shape[i] for i in (0, 3, 4)))
        for frame in range(clip.shape[2]):
            logits, state = network(clip[:, :, frame : frame + 1], state)
            close(logits, found["logits_per_frame"][:, frame])
    shapes = json.loads(str(found["state_shapes"]))
    assert {f"state_{key}" for key in state} == {str(key) for key in found["state_names"]} == set(shapes)
    for key, tensor in state.items():
        theirs = shapes[f"state_{key}"]  # N T H W C; a counter for all of a batch
        if tensor.dim() == 5:
            assert [tensor.shape[i] for i in (0, 2, 3, 4, 1)] == theirs
        elif tensor.dim() == 2:
            assert [len(tensor), 1, 1, 1, tensor.shape[1]] == theirs
        else:
            assert theirs == [1] and tensor.tolist() == [clip.shape[2]] * len(clip)


def test_the_gate_of_2021_is_another_function() -> None:
    found, clip = golden("movinet_a0_stream")
    network = golden_network("movinet_a0_stream", stream("a0", "hard_sigmoid_2021"))
    with torch.no_grad():
        assert np.abs(network(clip)[0].numpy() - found["logits"]).max() > 0.1
