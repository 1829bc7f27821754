"""The published A0-Stream for Kinetics-600, int8, where it lies beside the repository: numbers, answers, commands."""

import numpy as np
import pytest
import torch
from PIL import Image

import networks
import video
from networks import Trained
from searchspace import published
from tests.networks.weights.published_file import FILE, SHARED
from tests.networks.weights.tflite_files import ASSETS, relative, seeded

# Clip, frames a second (None: its own), class, probability: measured with four ways of resizing, which differ by 0.02.
CLIPS = [
    ("carving_ice.mp4", None, "carving ice", 0.911),
    ("carving_ice2.mp4", None, "carving ice", 0.831),
    ("arm_wrestling.mp4", None, "arm wrestling", 0.969),
    ("arm_wrestling.mp4", 5.0, "arm wrestling", 0.999),
]


@pytest.fixture(scope="module")
def trained() -> Trained:
    """The file as a trained network; skips where it is absent, since it is not part of the project."""
    if not (SHARED / FILE).exists():
        pytest.skip("no ../shared/weights here")
    return networks.load(SHARED / FILE)


def test_the_architecture_is_that_of_a0_with_relu6_and_no_squeeze_excitation(trained: Trained) -> None:
    own, known = trained.network.architecture, published("a0", stream=True)
    assert isinstance(own, type(known))
    assert (own.name, own.clip, own.classes, own.stem, own.head) == (
        "a0-stream",
        known.clip,
        600,
        known.stem,
        known.head,
    )
    assert [(p.block, p.index, p.layer.kernel, p.layer.stride, p.layer.expand, p.width) for p in own.layers()] == [
        (p.block, p.index, p.layer.kernel, p.layer.stride, p.layer.expand, p.width) for p in known.layers()
    ]
    assert not any(position.layer.squeeze for position in own.layers())
    assert (own.form.activation, own.form.dense_activation, own.form.causal) == ("relu6", "relu6", True)
    weights = own.provenance["weights"]
    assert weights["licence"] == "Apache-2.0" and weights["trained_on"] == "Kinetics-600"
    assert weights["sha256"].startswith("6125b36e2485") and "flutter-tflite" in weights["source"]
    assert weights["batch_norm"] == "folded into the convolutions"


def test_logits_and_states_of_sixteen_frames_are_those_of_the_graph_in_floating_point(trained: Trained) -> None:
    """By LiteRT's interpreter, which read the file, not by us; see tests/assets/tflite/README.md."""
    expected = np.load(ASSETS / "a0_stream_k600_int8.npz")
    network, frames = trained.network, seeded(16, 172, 172)
    state, likeliest = network.initial_state(1, 172, 172), []
    with torch.no_grad():
        for i in range(16):
            logits, state = network(frames[:, :, i : i + 1], state)
            assert relative(logits, expected["logits"][:, i]) < 1e-5
            likeliest.append(int(logits.argmax()))
    assert likeliest == expected["as_it_is"][0].tolist()  # of the int8 file as it is
    told = {name for name in expected.files if name.startswith("state_")}
    assert {f"state_{name}" for name in state} <= told and len(told) == 43
    for name in told:
        values = expected[name]
        if name.removeprefix("state_") not in state:  # of squeeze-excitation, which the file only hands through
            assert not values.any()
            continue
        tensor = state[name.removeprefix("state_")]
        flat = (tensor.movedim(1, -1) if tensor.dim() == 5 else tensor).reshape(-1).double()
        some = flat[:: max(1, len(flat) // 64)][:64]
        ours = torch.cat([flat.norm()[None], some])
        assert float((ours - torch.from_numpy(values)).abs().max() / np.abs(values).max()) < 1e-4, name
        assert float((some - torch.from_numpy(values[1:])).abs().max() / np.abs(values[1:]).max()) < 1e-4, name


@pytest.mark.parametrize(("name", "fps", "label", "probability"), CLIPS)
def test_clips_of_known_class(name: str, fps: float | None, label: str, probability: float, trained: Trained) -> None:
    """All frames in order, squeezed to 172 x 172."""
    info = video.probe(SHARED / name)
    rate = fps or info.fps
    frames = video.read_frames(SHARED / name, [i / rate for i in range(int(info.duration * rate + 0.5))])
    small = [np.array(Image.fromarray(frame).resize((172, 172), Image.Resampling.BILINEAR)) for frame in frames]
    clip = video.to_float(torch.from_numpy(np.stack(small)).permute(3, 0, 1, 2)[None])
    with torch.no_grad():
        likeliest = trained.network.fuse().logits(clip)[0].softmax(0).max(0)
    assert trained.classes[int(likeliest.indices)] == label
    assert abs(float(likeliest.values) - probability) < 0.02
