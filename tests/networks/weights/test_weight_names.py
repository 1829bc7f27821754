"""Names of weights elsewhere: against the port's restated module tree, and against lists of TensorFlow's variables."""

import json

import pytest
import torch

import networks
from benchmarks.port_network import Port
from networks.weights.weight_names import convolution_shape, port_keys, tensorflow_key, tensorflow_keys
from searchspace import published
from tests.networks.golden_values import GOLDEN, our_name
from tests.networks.weights.other_projects import of_2021

PORTED = [(f"a{n}", False) for n in range(6)] + [(f"a{n}", True) for n in range(3)]


@pytest.mark.parametrize(("name", "stream"), PORTED)
def test_names_and_shapes_of_the_port(name: str, stream: bool) -> None:
    architecture = published(name, stream)
    with torch.device("meta"):
        theirs = Port(architecture).state_dict()
        ours = networks.create(architecture).state_dict()
    rank = 4 if stream else 5
    found = {key: convolution_shape(own, ours[own].shape, rank) for key, own in port_keys(architecture, ours).items()}
    counters = {key for key in theirs if key.endswith("num_batches_tracked")}
    assert found == {key: tuple(tensor.shape) for key, tensor in theirs.items() if key not in counters}


def test_the_port_has_a_place_for_positions() -> None:
    architecture = published("a3", stream=True)
    with torch.device("meta"):
        keys = port_keys(architecture, networks.create(architecture).state_dict())
    assert keys["blocks.b3_l1.se.pos_enc.alpha"] == "blocks.3.layers.1.squeeze.position_scale"


@pytest.mark.parametrize("file", ["a0_base", "a0_stream", "a3_stream"])
def test_variables_of_the_reference(file: str) -> None:
    name, kind = file.split("_")
    variables = json.loads((GOLDEN / f"movinet_{file}_variables.json").read_text())
    with torch.device("meta"):
        keys = tensorflow_keys(networks.create(name, stream=kind == "stream").state_dict())
    assert {variable: keys[tensorflow_key(variable)] for variable in variables} == {
        variable: our_name(variable) for variable in variables
    }
    assert len(keys) == len(variables)
    assert {tensorflow_key(of_2021(variable)) for variable in variables} == set(keys)


@pytest.mark.parametrize(
    ("variable", "key"),
    [
        ("stem/stem/bn/gamma:0", "stem/stem/gamma"),
        ("b1/l0/bneck/feature/bn_temporal/gamma:0", "block1_layer0/bneck/feature/temporal/gamma"),
        ("block1_layer0/bneck/feature/conv3d_temporal/kernel", "block1_layer0/bneck/feature/temporal/kernel"),
        ("classifier_head/classifier/conv2d/conv2d_1/bias", "classifier_head/classifier/bias"),
        ("classifier_head_2/head/conv3d/kernel", "classifier_head/head/kernel"),
    ],
)
def test_spellings_of_a_variable(variable: str, key: str) -> None:
    assert tensorflow_key(variable) == key
