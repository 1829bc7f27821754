"""Weights from files of every kind: the golden logits come out, and what does not fit is said."""

import dataclasses
import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow
import pytest
import safetensors.torch
import torch
from torch import Tensor

import networks
import searchspace
from networks.weights import weight_names
from searchspace import BASE, STREAM, Form, published
from tests.networks.golden_values import GOLDEN, close, golden, golden_network, value
from tests.networks.live_networks import clips, randomise_
from tests.networks.small_reference import ASSETS, small_reference
from tests.networks.weights import bundle_writer
from tests.networks.weights.other_projects import live_port, of_2021, thin

BASE_AND_STREAM = pytest.mark.parametrize("form", [BASE, STREAM], ids=["base", "stream"])


def logits(network: networks.MoViNet, clip: Tensor) -> Tensor:
    with torch.no_grad():
        result = network(clip)
    return result[0] if network.streams else result


def golden_variables(file: str) -> dict[str, np.ndarray]:
    shapes = json.loads((GOLDEN / f"movinet_{file}_variables.json").read_text())
    return {name: value(name, shape) for name, shape in shapes.items()}


def checkpoint(prefix: Path, variables: Mapping[str, np.ndarray], rename: Callable[[str], str]) -> Path:
    """As TensorFlow stores a network: positions have a place in it, but `scale` as their name."""
    names = {place: "scale" if "pos_encoding" in place else rename(place) for place in variables}
    bundle_writer.write(prefix, variables, names)
    return prefix


@pytest.mark.parametrize(
    ("file", "rename"),
    [("a0_base", of_2021), ("a0_stream", str), ("a0_stream", of_2021), ("a3_stream", str)],
    ids=["a0 base, 2021", "a0 stream, 2022", "a0 stream, 2021", "a3 stream, 2022"],
)
def test_golden_logits_from_a_checkpoint_of_tensorflow(file: str, rename: Callable[[str], str], tmp_path: Path) -> None:
    prefix = checkpoint(tmp_path / "ckpt-7", golden_variables(file), rename)
    name, kind = file.split("_")
    gate = "hard_sigmoid" if kind == "stream" else None
    found = networks.import_weights(prefix, name, stream=kind == "stream", gate=gate)
    expected, clip = golden(f"movinet_{file}")
    close(logits(found.network, clip), expected["logits"])


@pytest.mark.parametrize("path", ["ckpt", "ckpt.index", "ckpt.data-00000-of-00001", "", "saved_model"])
def test_files_that_tensorflow_wrote(path: str, tmp_path: Path) -> None:
    folder = tmp_path / "reference"
    shutil.copytree(ASSETS, folder)
    (folder / "saved_model" / "saved_model.pb").touch()  # the graph, of six million bytes, is never read
    found = networks.import_weights(folder / path, small_reference())
    expected = np.load(ASSETS / "logits.npz")
    clip = np.random.default_rng(0).random(tuple(expected["input_shape"]), dtype=np.float32)
    result = logits(found.network, torch.from_numpy(clip).permute(0, 4, 1, 2, 3))
    np.testing.assert_allclose(result.numpy(), expected["logits"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("stream", [False, True], ids=["base", "stream"])
@pytest.mark.parametrize("name", ["a0", "a1", "a2", "a3", "a4", "a5", "t0"])
def test_every_published_network_goes_through_every_format(name: str, stream: bool, tmp_path: Path) -> None:
    """Layers and kernels of the published ones, an eighth of their widths; one number for each tensor."""
    architecture = thin(published(name, stream))
    source = networks.create(architecture)
    own = source.state_dict()
    for i, tensor in enumerate(own.values()):
        tensor.fill_(i + 1)

    def shaped(ours: str, rank: int) -> Tensor:
        return own[ours].reshape(weight_names.convolution_shape(ours, own[ours].shape, rank))

    port = {key: shaped(ours, 4 if stream else 5) for key, ours in weight_names.port_keys(architecture, own).items()}
    torch.save(port, tmp_path / "port.pth")
    arrays = {key: shaped(ours, 5).numpy() for key, ours in weight_names.tensorflow_keys(own).items()}
    places = {key: np.moveaxis(array, (0, 1), (-1, -2)) if array.ndim == 5 else array for key, array in arrays.items()}
    bundle_writer.write(tmp_path / "ckpt", places, {})
    networks.save_weights(source, tmp_path / "ours.safetensors")
    for file in ("port.pth", "ckpt", "ours.safetensors"):
        found = networks.import_weights(tmp_path / file, architecture).network.state_dict()
        assert all(torch.equal(tensor, found[key]) for key, tensor in own.items()), file


@BASE_AND_STREAM
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "plain pickle"])
def test_the_port_computes_the_same(form: Form, zipped: bool, tmp_path: Path) -> None:
    architecture = small_reference(form)
    port = live_port(architecture)
    torch.save(port.state_dict(), tmp_path / "modelA0_statedict_v3", _use_new_zipfile_serialization=zipped)
    found = networks.import_weights(tmp_path / "modelA0_statedict_v3", architecture)
    assert found.file.ignored and all(name.endswith("num_batches_tracked") for name in found.file.ignored)
    for size in (31, 32):
        clip = clips(2, 6, size)
        port.reset()
        with torch.no_grad():
            torch.testing.assert_close(logits(found.network, clip), port(clip), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("stream", [False, True], ids=["base", "stream"])
def test_a0_of_the_port_computes_the_same(stream: bool, tmp_path: Path) -> None:
    architecture = published("a0", stream)
    port = live_port(architecture)
    torch.save(port.state_dict(), tmp_path / "a0.pth")
    clip = clips(1, 5, 48)
    with torch.no_grad():
        expected = port(clip)
    result = logits(networks.import_weights(tmp_path / "a0.pth", "a0", stream=stream).network, clip)
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-4)


def test_training_checkpoints_and_other_containers_of_the_port(tmp_path: Path) -> None:
    architecture = small_reference(BASE)
    state = live_port(architecture).state_dict()
    parallel = {f"module.{key}": tensor for key, tensor in state.items()}
    torch.save({"epoch": 3, "state_dict": parallel}, tmp_path / "epoch3.pt")
    half = {key: tensor.half() if tensor.is_floating_point() else tensor for key, tensor in state.items()}
    safetensors.torch.save_file(half, tmp_path / "half.safetensors")
    one = networks.import_weights(tmp_path / "epoch3.pt", architecture).network.state_dict()
    two = networks.import_weights(tmp_path / "half.safetensors", architecture).network.state_dict()
    for key, tensor in one.items():
        assert torch.equal(tensor.half().float(), two[key])


@BASE_AND_STREAM
def test_a_file_of_ours_says_which_network_it_is(form: Form, tmp_path: Path) -> None:
    source = networks.create(small_reference(form)).eval()
    randomise_(source)
    file = tmp_path / "mine.safetensors"
    networks.save_weights(source, file)
    for again in (networks.create(file, weights=file).eval(), networks.import_weights(file).network):
        assert torch.equal(logits(again, clips(1, 4, 32)), logits(source, clips(1, 4, 32)))
        assert again.architecture.form == form
    assert searchspace.Architecture.load(file) == source.architecture
    networks.save_weights(again, tmp_path / "copy.safetensors")
    origin = networks.import_weights(tmp_path / "copy.safetensors").network.architecture.provenance["weights"]
    assert origin["file"] == "mine.safetensors"


def test_the_gate_belongs_to_the_weights(tmp_path: Path) -> None:
    source = networks.create(small_reference())  # hard_sigmoid, of 2022
    file = tmp_path / "mine.safetensors"
    networks.save_weights(source, file)
    of_2021_gate = small_reference(dataclasses.replace(source.architecture.form, gate="hard_sigmoid_2021"))
    with pytest.raises(ValueError, match="trained with gate hard_sigmoid, not hard_sigmoid_2021; create the network"):
        networks.create(of_2021_gate, weights=file)
    with pytest.warns(UserWarning, match="trained with gate hard_sigmoid, run with hard_sigmoid_2021 as asked"):
        network = networks.create(file, weights=file, gate="hard_sigmoid_2021")
    assert network.architecture.form.gate == "hard_sigmoid_2021"
    assert networks.import_weights(file, of_2021_gate).network.architecture.form.gate == "hard_sigmoid"
    with pytest.raises(ValueError, match="trained with gate hard_sigmoid, not sigmoid; leave out --arch"):
        networks.import_weights(file, gate="sigmoid")
    assert networks.import_weights(ASSETS / "ckpt", of_2021_gate).network.architecture.form.gate == "hard_sigmoid_2021"


def test_a_classifier_of_other_classes(tmp_path: Path) -> None:
    architecture = small_reference(BASE)
    torch.save(live_port(architecture).state_dict(), tmp_path / "five.pth")
    with pytest.raises(ValueError, match=r"has 5 classes, small has 600; give --classes 5 to keep it, or"):
        networks.import_weights(tmp_path / "five.pth", dataclasses.replace(architecture, classes=600))
    kept = networks.import_weights(tmp_path / "five.pth", architecture, classes=5)
    new = networks.import_weights(tmp_path / "five.pth", architecture, classes=7)
    assert (kept.replaced_classes, new.replaced_classes) == (None, 5)
    assert new.network.architecture.classes == 7
    before, after = kept.network.state_dict(), new.network.state_dict()
    assert {key for key in before if not torch.equal(before[key], after[key])} == {
        "classifier.weight",
        "classifier.bias",
    }
    assert after["classifier.weight"].shape == (7, 48) and 0.005 < float(after["classifier.weight"].std()) < 0.02
    assert not after["classifier.bias"].any()
    again = networks.import_weights(tmp_path / "five.pth", architecture, classes=7).network.state_dict()
    assert torch.equal(after["classifier.weight"], again["classifier.weight"])


def test_what_does_not_fit_is_listed(tmp_path: Path) -> None:
    architecture = small_reference(BASE)
    state = dict(live_port(architecture).state_dict())
    del state["blocks.b1_l0.alpha"], state["conv7.conv_1.norm.bias"]
    state["blocks.b9_l0.alpha"] = torch.zeros(())
    state["blocks.b0_l0.deep.conv_1.conv3d.weight"] = torch.zeros(16, 1, 5, 5)
    torch.save(state, tmp_path / "odd.pth")
    with pytest.raises(ValueError) as caught:
        networks.import_weights(tmp_path / "odd.pth", architecture)
    assert re.search(
        r"2 missing: (blocks.b1_l0.alpha, conv7.conv_1.norm.bias|conv7.conv_1.norm.bias, blocks.b1_l0.alpha); "
        r"1 of no layer: blocks.b9_l0.alpha; 1 of another shape or type: blocks.b0_l0.deep.conv_1.conv3d.weight "
        r"\[16, 1, 5, 5\] instead of \[16, 1, 1, 5, 5\]; it is of no published network",
        str(caught.value),
    )


def test_weights_of_another_network_are_recognised(tmp_path: Path) -> None:
    """Long lists count by layer; the error says of which network the weights are."""
    bundle_writer.write(tmp_path / "ckpt", golden_variables("a0_stream"), {})
    with pytest.raises(ValueError) as caught:
        networks.import_weights(tmp_path / "ckpt", "a0")
    text = str(caught.value)
    assert "block1_layer0/* (5)" in text and "it is of a0 stream: give --arch a0 --stream" in text
    assert "[48, 16]" not in text and "\n" not in text and len(text) < 1500


def test_shapes_are_told_in_the_order_of_the_file(tmp_path: Path) -> None:
    variables = golden_variables("a0_base")
    name = "block1_layer0/bneck/expansion/conv3d/kernel"
    variables[name] = variables[name].transpose(0, 1, 2, 4, 3)
    bundle_writer.write(tmp_path / "ckpt", variables, {})
    with pytest.raises(ValueError, match=rf"{name} \[1, 1, 1, 80, 8\] instead of \[1, 1, 1, 8, 80\]"):
        networks.import_weights(tmp_path / "ckpt", "a0")


def test_values_that_are_not_finite(tmp_path: Path) -> None:
    architecture = small_reference(BASE)
    state = live_port(architecture).state_dict()
    state["blocks.b1_l0.alpha"].fill_(float("nan"))
    torch.save(state, tmp_path / "nan.pth")
    with pytest.raises(ValueError, match=r"not finite in blocks\.1\.layers\.0\.scale; the file is damaged"):
        networks.import_weights(tmp_path / "nan.pth", architecture)


def test_what_stands_beside_a_network_is_left_out(tmp_path: Path) -> None:
    variables = golden_variables("a0_base")
    beside = {key: np.ones((), np.float32) for key in ("optimizer/learning_rate", "keras_api/metrics/0/total")}
    beside["save_counter"] = np.ones((), np.int64)
    bundle_writer.write(tmp_path / "ckpt", variables | beside, {})
    found = networks.import_weights(tmp_path / "ckpt", "a0")
    assert set(found.file.ignored) == set(beside)
    ours = golden_network("movinet_a0_base", published("a0")).state_dict()
    assert all(torch.equal(tensor, found.network.state_dict()[key]) for key, tensor in ours.items())


def test_an_index_that_is_compressed(tmp_path: Path) -> None:
    """As the authors' own checkpoints are: Snappy by Google's library, which Arrow carries."""
    variables = golden_variables("a0_base")
    bundle_writer.write(tmp_path / "plain", variables, {})
    bundle_writer.write(tmp_path / "ckpt-1", variables, {}, lambda data: pyarrow.compress(data, "snappy", asbytes=True))
    plain, compressed = (tmp_path / f"{name}.index" for name in ("plain", "ckpt-1"))
    assert compressed.stat().st_size < 0.8 * plain.stat().st_size
    found = networks.import_weights(tmp_path / "ckpt-1", "a0").network.state_dict()
    ours = golden_network("movinet_a0_base", published("a0")).state_dict()
    assert all(torch.equal(tensor, found[key]) for key, tensor in ours.items())
    data = bytearray(compressed.read_bytes())
    data[200] ^= 1
    compressed.write_bytes(data)
    with pytest.raises(ValueError, match=r"ckpt-1\.index: a block does not match its checksum"):
        networks.import_weights(tmp_path / "ckpt-1", "a0")


def test_variables_of_no_movinet_are_passed_over(tmp_path: Path) -> None:
    """Counters of both spellings, an optimiser's slots, and the Dense layer that users put on top."""
    variables = golden_variables("a0_base")
    beside = {"save_counter": np.ones((), np.int64), "_save_counter": np.ones((), np.int32)}
    beside |= {"layer-9/kernel": np.ones((600, 10), np.float32), "layer-9/bias": np.ones(10, np.float32)}
    beside["stem/stem/conv3d/kernel/.OPTIMIZER_SLOT/optimizer/momentum"] = np.ones(3, np.float32)
    names = {"layer-9/kernel": "dense_1/kernel", "layer-9/bias": "dense_1/bias"}
    bundle_writer.write(tmp_path / "ckpt", variables | beside, names)
    found = networks.import_weights(tmp_path / "ckpt", "a0")
    said = " ".join(found.file.ignored)
    assert len(found.file.ignored) == 5 and "OPTIMIZER_SLOT" in said
    assert {"save_counter", "_save_counter", "dense_1/kernel", "dense_1/bias"} < set(found.file.ignored)
    ours = golden_network("movinet_a0_base", published("a0")).state_dict()
    assert all(torch.equal(tensor, found.network.state_dict()[key]) for key, tensor in ours.items())
    del variables["stem/stem/conv3d/kernel"]
    bundle_writer.write(tmp_path / "lacks", variables | beside, names)
    with pytest.raises(ValueError, match=r"1 missing: stem/stem/kernel; 2 of no MoViNet: dense_1/kernel, dense_1/bias"):
        networks.import_weights(tmp_path / "lacks", "a0")
    with pytest.raises(ValueError, match=r"of no layer: .*block0_layer0"):
        networks.import_weights(tmp_path / "ckpt", small_reference(BASE))
