"""TensorFlow Lite files: those that TensorFlow made, and any network of ours through the tests' writer."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import networks
from networks import MoViNet, layer_weights
from searchspace import BASE, STREAM, Architecture, Block, Clip, Form, Head, Kernel, Layer, Stem, published
from tests.networks.live_networks import clips, slow
from tests.networks.small_reference import small_reference
from tests.networks.weights.other_projects import thin
from tests.networks.weights.tflite_files import ASSETS, HARD, live, relative, seeded, unpacked
from tests.networks.weights.tflite_writer import _Network, write

POSITIONS = dataclasses.replace(STREAM, gate="hard_sigmoid", position_encoding=True)
# What TensorFlow's converter made of the network `small`, and the form that its authors' code was given.
MADE = {
    "small_stream": POSITIONS,
    "small_stream_int8": HARD,
    "small_stream_2021": dataclasses.replace(STREAM, dense_activation="hard_swish"),
    "small_base": BASE,
    "small_base_float16": dataclasses.replace(BASE, convolution="2plus1d"),
}


@pytest.mark.parametrize("name", MADE)
def test_files_that_tensorflow_made(name: str, tmp_path: Path) -> None:
    """Logits of every frame and all states after sixteen, against LiteRT's interpreter or TensorFlow itself."""
    expected = np.load(ASSETS / f"{name}.npz")
    network = networks.import_weights(unpacked(name, tmp_path)).network
    form, clip = MADE[name], "4x32x32@5" if "base" in name else "50x32x32@5"
    reference = small_reference(form)
    assert network.architecture.blocks == reference.blocks and network.architecture.head == reference.head
    assert network.architecture.form == form and str(network.architecture.clip) == clip
    with torch.no_grad():
        if not network.streams:
            assert relative(network(seeded(4, 32, 32)), expected["logits"]) < 1e-5
            return
        frames, state = seeded(16, 32, 32), network.initial_state(1, 32, 32)
        for i in range(16):
            logits, state = network(frames[:, :, i : i + 1], state)
            assert relative(logits, expected["logits"][:, i]) < 1e-5
    assert {f"state_{key}" for key in state} == {key for key in expected.files if key.startswith("state_")}
    for key, tensor in state.items():
        assert relative(tensor, expected[f"state_{key}"]) < 1e-5, key


def same(one: MoViNet, other: MoViNet, clip: Tensor, bound: float) -> None:
    with torch.no_grad():
        expected, found = one.logits(clip), other.logits(clip)
    assert float((expected - found).abs().max() / expected.abs().max()) < bound


FORMS = [
    BASE,
    dataclasses.replace(BASE, activation="hard_swish", gate="hard_sigmoid", dense_activation="relu6"),
    STREAM,
    HARD,
    dataclasses.replace(STREAM, squeeze_kind="3d", activation="relu6", gate="sigmoid"),
    dataclasses.replace(STREAM, squeeze_kind="2d", activation="swish", dense_activation="hard_swish"),
]


@pytest.mark.parametrize("stored", ["float32", "float16", "int8"])
@pytest.mark.parametrize("form", FORMS)
def test_networks_come_back(form: Form, stored: str, tmp_path: Path) -> None:
    network = live(small_reference(form))
    (tmp_path / "a.tflite").write_bytes(write(network, 33, 32, 4, stored))
    found = networks.import_weights(tmp_path / "a.tflite").network
    assert found.architecture.form == form and found.architecture.blocks == network.architecture.blocks
    assert (found.architecture.clip.height, found.architecture.clip.width) == (33, 32)
    same(network, found, clips(2, 4, 32), {"float32": 1e-6, "float16": 2e-3, "int8": 3e-2}[stored])


def test_int8_weights_are_within_half_a_step_of_each_channel(tmp_path: Path) -> None:
    network = live(small_reference(STREAM))
    (tmp_path / "a.tflite").write_bytes(write(network, 32, 32, 1, "int8"))
    (tmp_path / "b.tflite").write_bytes(write(network, 32, 32, 1))
    rounded, exact = (networks.import_weights(tmp_path / f"{name}.tflite").network.state_dict() for name in "ab")
    weights = [name for name in exact if name.endswith(".weight") and "norm" not in name]
    assert len(weights) == 30
    for name in weights:
        rows, difference = exact[name].flatten(1).abs(), (exact[name] - rounded[name]).flatten(1).abs()
        step = rows.amax(1, keepdim=True) / 127
        assert bool((difference <= 0.5001 * step).all()) and float(difference.max()) > 0


@pytest.mark.parametrize("stream", [False, True], ids=["base", "stream"])
@pytest.mark.parametrize("name", ["a0", "a3", *(slow(name, True) for name in ("a1", "a2", "a4", "a5", "t0"))])
def test_every_published_network_is_read_off_its_graph(name: str, stream: bool, tmp_path: Path) -> None:
    """Layers and kernels of the published ones, an eighth of their widths."""
    architecture = thin(published(name, stream))
    form = dataclasses.replace(architecture.form, position_encoding=False)  # the writer has none; see `small_stream`
    network = live(dataclasses.replace(architecture, form=form))
    (tmp_path / "thin.tflite").write_bytes(write(network, 48, 48, 2))
    found = networks.import_weights(tmp_path / "thin.tflite").network
    assert found.architecture.blocks == architecture.blocks and found.architecture.form == form
    assert found.architecture.name == "thin" and str(found.architecture.clip) == f"{50 if stream else 2}x48x48@5"
    same(network, found, clips(1, 3, 32), 1e-5)


@pytest.mark.parametrize("stream", [False, True], ids=["base", "stream"])
@pytest.mark.parametrize("name", ["a0", slow("a1", True), "t0"])
def test_a_published_network_is_known_by_its_layers(name: str, stream: bool, tmp_path: Path) -> None:
    """Name, blocks, frames, frame rate and dropout, whatever the activation."""
    architecture = published(name, stream)
    form = dataclasses.replace(architecture.form, activation="relu6")
    side = architecture.clip.height
    network = live(dataclasses.replace(architecture, form=form))
    (tmp_path / "x.tflite").write_bytes(write(network, side, side, 1, "int8"))
    found = networks.import_weights(tmp_path / "x.tflite").network.architecture
    expected = dataclasses.replace(architecture, form=form, provenance=found.provenance)
    assert found == expected and found.provenance["source"] == architecture.provenance["source"]
    assert found.provenance["weights"]["batch_norm"] == "folded into the convolutions"
    assert len(found.provenance["weights"]["sha256"]) == 64


def odd() -> Architecture:
    """Kernels, strides and widths of no published network; a projection behind the stem, some layers squeezed."""
    layers = (
        Layer(Kernel(1, 3, 5), 1, 16, 0),
        Layer(Kernel(3, 1, 3), 1, 24, 8),
        Layer(Kernel(5, 3, 1), 1, 8, 0),
    )
    blocks = (Block(16, layers), Block(16, (Layer(Kernel(1, 1, 1), 1, 16, 8), Layer(Kernel(7, 5, 5), 2, 24, 16))))
    return Architecture(
        name="odd",
        clip=Clip(3, 20, 28),
        classes=2,
        stem=Stem(8, Kernel(1, 5, 3)),
        blocks=blocks,
        head=Head(16, 24),
        form=HARD,
    )


@pytest.mark.parametrize("form", [HARD, BASE])
def test_networks_of_any_kernels(form: Form, tmp_path: Path) -> None:
    network = live(dataclasses.replace(odd(), form=form))
    (tmp_path / "odd.tflite").write_bytes(write(network, 20, 28, 3))
    found = networks.import_weights(tmp_path / "odd.tflite").network
    assert found.architecture.blocks == odd().blocks and found.architecture.stem == odd().stem
    same(network, found, clips(1, 3, 28), 1e-5)


def test_an_architecture_that_is_given_is_compared(tmp_path: Path) -> None:
    network = live(small_reference(HARD))
    file = tmp_path / "a.tflite"
    file.write_bytes(write(network, 32, 32))
    own = network.architecture
    assert networks.import_weights(file, own).network.architecture.name == "small"
    one_block = Block(16, own.blocks[1].layers)
    split = (own.blocks[0], *(Block(16, (layer,)) for layer in one_block.layers), own.blocks[2])
    found = networks.import_weights(file, dataclasses.replace(own, blocks=split)).network
    same(network, found, clips(1, 4, 32), 1e-6)
    soft = dataclasses.replace(HARD, activation="swish")
    wider = (Block(8, own.blocks[0].layers), *own.blocks[1:2], Block(32, own.blocks[2].layers))
    for given, said in (
        (
            dataclasses.replace(own, blocks=wider),
            "layer 4 is 3x3x3 stride 1, 16 to 40 to 24, squeezed to 24, not 3x3x3",
        ),
        (dataclasses.replace(own, blocks=own.blocks[:2]), "its network has 4 layers, small has 3; leave out --arch"),
        (dataclasses.replace(own, stem=Stem(16)), "its network is not small: stem is 1x3x3 to 8, not 1x3x3 to 16"),
        (dataclasses.replace(own, form=soft), "trained with activation hard_swish, not swish; leave out --arch"),
    ):
        with pytest.raises(ValueError, match=said):
            networks.import_weights(file, given)
    with pytest.raises(ValueError, match=r"has 5 classes, small has 9; give --classes 5"):
        networks.import_weights(file, dataclasses.replace(own, classes=9))
    assert networks.import_weights(file, classes=9).replaced_classes == 5


@pytest.mark.parametrize("form", [HARD, BASE])
def test_a_linear_layer_and_softmax_on_top_of_the_logits(
    form: Form, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And softmax behind it, as users put them there for classes of their own."""
    network, generator = live(small_reference(form)), torch.Generator().manual_seed(1)
    top = layer_weights.LinearWeights(torch.randn(3, 5, generator=generator), torch.randn(3, generator=generator))
    linear = _Network.linear

    def with_more(self: _Network, x: int, weights: layer_weights.LinearWeights) -> int:
        y = linear(self, x, weights)
        if len(weights.bias) != 5:
            return y
        z = linear(self, y, top)
        return self.writer.run("SOFTMAX", [z], self.writer.shape(z))

    monkeypatch.setattr(_Network, "linear", with_more)
    (tmp_path / "top.tflite").write_bytes(write(network, 32, 32, 4))
    found = networks.import_weights(tmp_path / "top.tflite").network
    clip = clips(2, 4, 32)
    with torch.no_grad():
        expected = network.logits(clip) @ top.weight.T + top.bias
        assert float((found.logits(clip) - expected).abs().max() / expected.abs().max()) < 1e-5


def test_a_file_is_loaded_as_a_trained_network(tmp_path: Path) -> None:
    network = live(small_reference(HARD))
    (tmp_path / "five.tflite").write_bytes(write(network, 32, 32))
    assert networks.load(tmp_path / "five.tflite").classes == ("0", "1", "2", "3", "4")
    (tmp_path / "five_labels.txt").write_text("run\nwalk\njump\nsit\nfall down\n")
    trained = networks.load(tmp_path / "five.tflite")
    assert trained.classes == ("run", "walk", "jump", "sit", "fall down")
    same(network, trained.network, clips(1, 4, 32), 1e-6)  # type: ignore[arg-type]
    networks.save_weights(trained.network, tmp_path / "kept.safetensors", trained.classes)
    (tmp_path / "five_labels.txt").unlink()
    again = networks.load(tmp_path / "kept.safetensors")
    assert again.classes == trained.classes and networks.is_folded(again.network)  # type: ignore[arg-type]
    assert networks.import_weights(tmp_path / "kept.safetensors").classes == trained.classes


def test_as_an_architecture_it_is_told_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.tflite").write_bytes(write(live(small_reference(HARD)), 32, 32))
    with pytest.raises(ValueError, match=r"a TensorFlow Lite file; .* comes of it with: nas import .*a\.tflite$"):
        networks.create(tmp_path / "a.tflite")
