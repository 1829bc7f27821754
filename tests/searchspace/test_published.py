"""The published networks against the numbers that are known of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from searchspace import Architecture, Clip, Form, cost, published, published_names
from searchspace.cost import layer_cost
from tests.searchspace.util import counted

# Trainable parameters (600 classes), parameters with BatchNorm statistics (seven constants of the reference code's own
# test), MACs of one evaluation clip (torch's counter on a port of the reference), layers, stem, head, side, frames.
KNOWN = {
    "a0": (3_111_799, 3_126_071, 2_630_733_808, 15, 8, (480, 2048), 172, 50),
    "a1": (4_690_296, 4_717_912, 5_865_612_704, 24, 16, (600, 2048), 172, 50),
    "a2": (5_249_562, 5_280_922, 11_558_071_168, 26, 16, (640, 2048), 224, 50),
    "a3": (7_397_545, 7_443_289, 55_593_197_440, 33, 16, (744, 2048), 256, 120),
    "a4": (11_349_463, 11_422_727, 103_338_794_368, 47, 24, (856, 2048), 290, 80),
    "a5": (18_650_523, 18_763_355, 276_334_081_024, 59, 24, (992, 2048), 320, 120),
    "t0": (1_727_414, 1_740_502, 871_231_664, 14, 8, (240, 1024), 160, 25),
}
BACKBONE = {"a0": 897_311, "a1": 2_230_048, "a2": 2_707_394, "a3": 4_642_385, "a4": 8_364_927, "a5": 15_387_459}
BACKBONE["t0"] = 865_630
FPS = {"a0": 5, "a1": 5, "a2": 5, "a3": 12.5, "a4": 25 / 3, "a5": 12.5, "t0": 2.5}
# GMAC of stem, expansions, depthwise, squeeze-excitation, projections, skips, head, dense layers.
KINDS = ("stem", "expand", "depthwise", "se", "project", "skip", "head", "dense")
BREAKDOWN = {
    "a0": (0.0799, 1.0455, 0.5228, 0.0003, 0.8567, 0.0334, 0.0899, 0.0022),
    "a1": (0.1598, 2.4619, 0.9786, 0.0009, 2.0449, 0.0703, 0.1469, 0.0025),
    "a2": (0.2710, 4.8131, 2.0803, 0.0011, 4.0454, 0.1189, 0.2258, 0.0025),
    "a3": (0.8493, 23.5281, 8.7713, 0.0019, 20.8119, 0.6680, 0.9599, 0.0028),
    "a4": (1.0899, 44.6698, 15.3766, 0.0034, 40.1857, 0.6955, 1.3148, 0.0030),
    "a5": (1.9907, 121.9676, 35.1417, 0.0064, 112.5089, 2.0490, 2.6665, 0.0033),
    "t0": (0.0346, 0.3520, 0.1639, 0.0003, 0.2907, 0.0132, 0.0156, 0.0009),
}
KEYS = {
    "a0": "b9d0d0b783",
    "a1": "3ceb0ba0a5",
    "a2": "0ef6cde1f4",
    "a3": "337ba0dc7d",
    "a4": "806413e721",
    "a5": "1fe154041f",
    "t0": "b38fd5dba8",
}
# MACs of one evaluation clip, millions of MACs of a frame without the dense layers, floats carried from frame to frame.
STREAMS = {
    "a0": (2_426_445_040, 48.5, 674_192),
    "a1": (5_540_325_200, 110.8, 1_220_560),
    "a2": (10_700_453_120, 214.0, 2_707_088),
    "a3": (52_133_563_392, 434.4, 4_568_880),
    "a4": (96_741_128_448, 1209.2, 12_350_080),
    "a5": (261_710_004_736, 2180.9, 18_773_392),
    "t0": (834_575_360, 33.3, 326_448),
}
TRAINABLE = {"a0": 3_748_031, "a1": 6_447_352, "a2": 7_326_962, "a3": 10_986_618, "a4": 18_136_182, "a5": 31_495_934}
TRAINABLE["t0"] = 2_368_958
RECEPTIVE = {"a0": 29, "a1": 41, "a2": 45, "a3": 53, "a4": 77, "a5": 95, "t0": 23}  # frames
STREAM_KEYS = {
    "a0": "7a15b6a673",
    "a1": "57bea898b5",
    "a2": "44568db9fe",
    "a3": "730ab42d9d",
    "a4": "2c3589dc06",
    "a5": "a9125bd47f",
    "t0": "ceb1aa6a5b",
}
LAYERS = Path(__file__).parents[3] / "shared" / "spec" / "movinet_layers.json"


def test_names() -> None:
    assert published_names() == tuple(KNOWN)
    assert published("A2") == published("a2")
    with pytest.raises(ValueError, match=r"'a7' is not a published network; known: a0, a1"):
        published("a7")


@pytest.mark.parametrize("name", KNOWN)
def test_sizes_parameters_and_macs(name: str) -> None:
    trainable, total, macs, layers, stem, head, side, frames = KNOWN[name]
    network = published(name)
    assert (network.depth, network.stem.width, (network.head.width, network.head.hidden)) == (layers, stem, head)
    assert (network.clip.frames, network.clip.height, network.clip.width) == (frames, side, side)
    assert network.clip.fps == pytest.approx(FPS[name], abs=1e-6)
    assert network.dropout == (0.2 if name in ("a0", "t0") else 0.5)
    assert all(position.layer.squeeze for position in network.layers()), "every released layer squeezes"
    result = cost(network)
    assert (result.macs, result.params, result.state_bytes) == (macs, trainable, 0)
    assert result.macs_per_frame == macs / frames
    norms = (
        stem
        + head[0]
        + sum(2 * p.layer.expand + p.width + (p.width if p.has_projection else 0) for p in network.layers())
    )
    assert trainable + 2 * norms == total
    dense = head[0] * head[1] + head[1] + head[1] * 600 + 600
    assert trainable - dense == BACKBONE[name]


@pytest.mark.parametrize("name", KNOWN)
def test_stream_networks(name: str) -> None:
    """As released: dropout of the configurations, positional encoding in A3 to A5, the gate of 2021."""
    network = published(name, stream=True)
    form = Form(True, "2plus1d", "2plus3d", name in ("a3", "a4", "a5"), "hard_swish", "hard_sigmoid_2021")
    assert network.form == form and network.form.dense_activation == "swish"
    assert network.dropout == (0.2 if name in ("a0", "a1", "t0") else 0.5)
    assert network.receptive_frames == RECEPTIVE[name]
    assert network.name == f"{name}-stream" and network.clip == published(name).clip
    result = cost(network)
    macs, frame, floats = STREAMS[name]
    assert (result.macs, result.params, result.state_bytes) == (macs, TRAINABLE[name], 4 * floats)
    dense = network.head.width * network.head.hidden + network.head.hidden * 600
    assert round((result.frame_macs - dense) / 1e6, 1) == frame
    assert result.macs - dense == network.clip.frames * (result.frame_macs - dense)
    assert network.key() == STREAM_KEYS[name] != published(name).key()


@pytest.mark.parametrize("name", KNOWN)
def test_macs_by_kind_of_operation(name: str) -> None:
    macs, _ = counted(published(name), published(name).clip)
    assert tuple(round(macs[kind] / 1e9, 4) for kind in KINDS) == BREAKDOWN[name]


def test_the_search_clip_of_a2() -> None:
    assert cost(published("a2"), Clip(8, 128, 128)).macs == 607_296_256


@pytest.mark.parametrize("name", KNOWN)
def test_round_trip_and_key(name: str, tmp_path: Path) -> None:
    network = published(name)
    network.save(tmp_path / "arch.json")
    again = Architecture.load(tmp_path / "arch.json")
    assert again == network and again.key() == network.key() and again.to_json() == network.to_json()
    assert network.key() == KEYS[name], "a key names the same network for ever: ledgers and files hold it"


@pytest.mark.skipif(not LAYERS.exists(), reason="the table of released layers is not beside this clone")
@pytest.mark.parametrize("name", KNOWN)
def test_every_layer_of_the_released_table(name: str) -> None:
    table = json.loads(LAYERS.read_text())[name]
    network = published(name)
    result = cost(network)
    assert result.params == table["params"]["base_trainable"]
    assert result.macs == round(table["gmac"]["base"] * 1e9)
    assert (table["resolution"], table["eval_frames"]) == (network.clip.height, network.clip.frames)
    assert network.clip.fps == pytest.approx(25 / table["temporal_stride"], abs=1e-6)
    stem, *middle, head = table["layers"]
    assert (stem["cout"], stem["kernel"]) == (network.stem.width, list(network.stem.kernel.size))
    assert (head["project"], head["dense"], head["cin"]) == (
        network.head.width,
        network.head.hidden,
        network.blocks[-1].width,
    )
    side = stem["out_hw"]
    assert side == -(-network.clip.height // 2)
    positions, streams = (list(a.layers()) for a in (network, published(name, stream=True)))
    assert len(positions) == len(middle)
    for i, (position, row) in enumerate(zip(positions, middle, strict=True)):
        layer = position.layer
        assert row["name"] == f"block{position.block}_layer{position.index}"
        assert row["kernel"] == list(layer.kernel.size) and row["stride"] == [1, layer.stride, layer.stride]
        assert (row["cin"], row["expand"], row["cout"]) == (position.in_width, layer.expand, position.width)
        assert row["se_hidden_base"] == layer.squeeze
        assert row["se_hidden_stream"] == streams[i].layer.squeeze
        assert (row["skip"] == "identity") is not position.has_projection
        assert row["stoch_depth_rate_at_0p2"] == pytest.approx(network.drop_path * (i + 1) / network.depth, abs=1e-6)
        clip = Clip(1, network.clip.height, network.clip.width)
        macs = layer_cost(layer, position.in_width, position.width, clip, side, side).macs
        assert macs - 2 * layer.expand * layer.squeeze == row["macs_per_frame_base"]  # the table leaves SE out
        assert row["in_hw"] == side
        side = -(-side // layer.stride)
        assert row["out_hw"] == side
    assert head["in_hw"] == side
