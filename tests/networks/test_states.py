"""Sizes of states, states and clips that do not fit, and the stream that keeps its state."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

import networks
import searchspace
from networks import Stream, states
from searchspace import Clip, Ensemble, Form, Member
from tests.networks.live_networks import floats, frames, live, on_meta, small

# State tensors, stream buffers among them, floats of one stream at the network's own size ((2+1)D, 2plus3d).
KNOWN = {
    "a0": (43, 11, 674_192),
    "a1": (67, 17, 1_220_560),
    "a2": (73, 19, 2_707_088),
    "a3": (124, 23, 4_568_880),
    "a4": (178, 35, 12_350_080),
    "a5": (222, 43, 18_773_392),
    "t0": (38, 8, 326_448),
}
MIB_3D = {"a0": 4.92, "a1": 7.44, "a2": 15.28, "a3": 24.51, "a4": 59.66, "a5": 95.97, "t0": 2.81}
LAYERS = Path(__file__).parents[3] / "shared" / "spec" / "movinet_layers.json"


@pytest.mark.parametrize("name", KNOWN)
def test_sizes_of_published_states(name: str) -> None:
    architecture = searchspace.published(name, stream=True)
    tensors, buffers, known = KNOWN[name]
    side = architecture.clip.height
    state = on_meta(architecture).initial_state(1, side, side)
    assert (len(state), sum("stream_buffer" in key for key in state), floats(state)) == (tensors, buffers, known)
    assert {tensor.dtype for tensor in state.values()} == {torch.float32, torch.int32}
    plain = dataclasses.replace(searchspace.published(name), form=Form(causal=True))
    assert round(4 * floats(on_meta(plain).initial_state(1, side, side)) / 2**20, 2) == MIB_3D[name]
    three = on_meta(architecture).initial_state(3, side, side)
    assert floats(three) == 3 * known and all(len(tensor) == 3 for tensor in three.values())


@pytest.mark.skipif(not LAYERS.exists(), reason="the table of released states is not beside this clone")
@pytest.mark.parametrize("name", KNOWN)
def test_every_tensor_of_the_released_table(name: str) -> None:
    table = json.loads(LAYERS.read_text())[name]["states"]
    architecture = searchspace.published(name, stream=True)
    ours = states.shapes(architecture, architecture.clip.height, architecture.clip.width)
    assert list(ours) == [row["name"].removeprefix("state_") for row in table]
    for shape, row in zip(ours.values(), table, strict=True):  # theirs: N T H W C, counters shared by the batch
        if len(shape) == 4:
            assert [1, *shape[1:], shape[0]] == row["shape"]
        else:
            assert ([1, 1, 1, 1, *shape] if shape else [1]) == row["shape"]


def test_parameter_counts() -> None:
    """Trainable, and with BatchNorm statistics, of the reference: stream, causal 3-D with positions, (2+1)D."""
    known = {
        "a0": (3_748_031, 3_765_983, 3_111_814, 3_075_847),
        "a1": (6_447_352, 6_481_560, 4_690_320, 4_633_240),
        "a2": (7_326_962, 7_366_050, 5_249_588, 5_183_970),
        "a3": (10_986_618, 11_043_146, 7_397_578, 7_310_425),
        "a4": (18_136_182, 18_228_326, 11_349_510, 11_206_263),
        "a5": (31_495_934, 31_636_734, 18_650_582, 18_441_723),
        "t0": (2_368_958, 2_385_118, 1_727_428, 1_697_206),
    }
    for name, expected in known.items():
        base = searchspace.published(name)
        stream = on_meta(searchspace.published(name, stream=True))
        others = [Form(causal=True, position_encoding=True), Form(causal=True, convolution="2plus1d")]
        built = [stream, *(on_meta(dataclasses.replace(base, form=form)) for form in others)]
        trainable = [sum(p.numel() for p in network.parameters()) for network in built]
        total = sum(tensor.numel() for tensor in stream.state_dict().values())
        assert (trainable[0], total, *trainable[1:]) == expected, name


# ------------------------------------------------------------------------------------------------------ what is refused


def test_clips_that_do_not_fit() -> None:
    network = live(small())
    for shape, hint in {
        (3, 4, 24, 24): r"clip\[None\]",
        (1, 4, 24, 24, 3): r"permute\(0, 4, 1, 2, 3\)",
        (1, 4, 3, 24, 24): r"transpose\(1, 2\)",
        (1, 4, 4, 24, 24): "expected",
        (2, 3, 24, 24): "stack frames",
        (1, 3, 0, 24, 24): "empty axis",
    }.items():
        with pytest.raises(ValueError, match=rf"clip has shape {list(shape)}.*{hint}".replace("[", r"\[", 1)):
            network(torch.zeros(shape))
    clip = frames(1, 4, 24, 24)
    with pytest.raises(ValueError, match=r"has torch.uint8; expected .* divide bytes by 255"):
        network((clip * 255).byte())
    with pytest.raises(ValueError, match=r"has torch.float64, the network torch.float32"):
        network(clip.double())
    for bad in (float("nan"), float("inf"), -float("inf")):
        spoiled = clip.clone()
        spoiled[0, 1, 2, 3, 4] = bad
        with pytest.raises(ValueError, match=r"clip of shape \[1, 3, 4, 24, 24\] has values that are not finite"):
            network(spoiled)
    with pytest.warns(UserWarning, match=r"values from 0.* to 254.*divide bytes by 255"):
        network(clip * 255)


def test_states_that_do_not_fit() -> None:
    network = live(dataclasses.replace(small(), form=searchspace.STREAM))
    clip = frames(2, 3, 24, 24)
    state = network.initial_state(2, 24, 24)
    name = "block0_layer1_stream_buffer"

    def refused(match: str, **changes: torch.Tensor) -> None:
        with pytest.raises(ValueError, match=match) as caught, torch.no_grad():
            network(clip, {**state, **changes})
        assert "\n" not in str(caught.value)

    refused(rf"'{name}' has shape \[1, 16, 4, 6, 6\], expected \[2, 16, 4, 6, 6\]; give a s", **{name: state[name][:1]})
    refused(rf"'{name}' of shape .* has torch.float64, expected torch.float32", **{name: state[name].double()})
    refused("'head_pool_frame_count' of shape .* expected torch.int32", head_pool_frame_count=torch.zeros(2))
    refused(
        "'block9_layer0_pool_buffer' belongs to no layer.*did you mean", block9_layer0_pool_buffer=torch.zeros(2, 1)
    )
    for key in (name, "block0_layer0_pool_buffer", "head_pool_buffer"):
        for bad in (float("nan"), float("inf")):
            spoiled = state[key].clone()
            spoiled[(1, *[0] * (spoiled.dim() - 1))] = bad
            refused(rf"'{key}' of shape .* not finite; reset the stream", **{key: spoiled})
    with pytest.raises(ValueError, match=rf"state tensor '{name}' is missing; give a state of network 'small'"):
        network(clip, {key: tensor for key, tensor in state.items() if key != name})
    with pytest.raises(ValueError, match="expected"):
        network(clip, network.initial_state(2, 28, 24))
    with pytest.raises(ValueError, match="is not causal and has no state"):
        live(small())(clip, state)
    with pytest.raises(ValueError, match=r"is not causal and has no state.*stream=True"):
        live(small()).initial_state(1, 24, 24)
    with pytest.raises(ValueError, match="0 streams; allowed: at least 1"):
        network.initial_state(0, 24, 24)
    with pytest.raises(ValueError, match=r"0 x 24 pixels; allowed"):
        network.initial_state(1, 0, 24)
    with pytest.raises(ValueError, match="'block0_layer0_pool_buffer' is missing"):
        network.reset({"head_pool_buffer": torch.zeros(1, 32)}, [0])


def test_counters_that_no_stream_has() -> None:
    form = dataclasses.replace(searchspace.STREAM, position_encoding=True)
    network = live(dataclasses.replace(small(), form=form))
    clip = frames(3, 4, 24, 24)
    pools = [name for name in network.initial_state(3, 24, 24) if name.endswith("_pool_frame_count")]
    assert len(pools) > 3 and pools[-1] == "head_pool_frame_count"
    with torch.no_grad():
        _, state = network(clip)
        state = network.reset(state, [1])
        network(clip, dict(reversed(state.items())))  # streams of other ages are fine, and so is another order

        def refused(match: str, name: str, counts: list[int]) -> None:
            spoiled = {**state, name: torch.tensor(counts, dtype=torch.int32)}
            for call in (network, network.features):
                with pytest.raises(ValueError, match=match) as caught:
                    call(clip, spoiled)
                assert "\n" not in str(caught.value)
            assert (network.reset(spoiled)[name] == 0).all(), "a reset is the remedy"

        for name in (*pools, "block0_layer0_pos_enc_frame_count"):
            refused(rf"'{name}' holds -1 frames; allowed: from 0 on; reset the stream", name, [4, -1, 4])
        for name in pools[1:]:
            refused(rf"'{name}' holds 5 frames of stream 2, '{pools[0]}' 4; allowed: the same", name, [4, 0, 5])
        refused(rf"'{pools[1]}' holds 4 frames of stream 0, '{pools[0]}' 7; allowed: the same", pools[0], [7, 0, 4])
        name = "block2_layer0_pos_enc_frame_count"
        refused(rf"'{name}' holds 0 frames of stream 2, 'block0_layer0_pos_enc_frame_count' 4", name, [4, 0, 0])
        _, seen = network.features(clip, state)
        assert seen[pools[0]].tolist() == [8, 4, 8] and seen[pools[-1]].tolist() == [4, 0, 4]
        network(clip, seen)  # the head may have seen fewer
        network.train()(clip, {**state, pools[1]: state[pools[1]] + 3})  # no look at values in training


def test_counters_of_members_are_their_own() -> None:
    """Members see other frames; what is said names the member's tensor."""
    single = dataclasses.replace(small(), form=searchspace.STREAM, clip=Clip(8, 24, 24, 5))
    half = dataclasses.replace(single, clip=Clip(4, 24, 24, 2.5))
    ensemble = networks.create(Ensemble("two", single.clip, (Member(single, 0), Member(half, 0)))).eval()
    clip = frames(1, 4, 24, 24)
    with torch.no_grad():
        _, state = ensemble(clip)
        assert int(state["member0_head_pool_frame_count"]) == 4 and int(state["member1_head_pool_frame_count"]) == 2
        ensemble(clip, state)
        for name in ("frame_count", "member1_block0_layer0_pool_frame_count"):
            with pytest.raises(ValueError, match=rf"'{name}' holds -3 frames"):
                ensemble(clip, {**state, name: torch.tensor([-3], dtype=torch.int32)})
        name = "member1_head_pool_frame_count"
        with pytest.raises(ValueError, match=rf"'{name}' holds 3 .*'member1_block0_layer0_pool_frame_count' 2"):
            ensemble(clip, {**state, name: torch.tensor([3], dtype=torch.int32)})


# ------------------------------------------------------------------------------------------------------------- streams


def test_a_stream_gives_the_networks_probabilities() -> None:
    network = live(dataclasses.replace(small(), form=searchspace.STREAM))
    clip = frames(2, 5, 24, 24)
    one, both = Stream(network), Stream(network, fps=5.2, memory=5)
    for t in range(5):
        with torch.no_grad():
            expected = network(clip[:, :, : t + 1])[0].softmax(1)
        torch.testing.assert_close(one.push(clip[1, :, t]), expected[1], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(both.push(clip[:, :, t]), expected, rtol=1e-5, atol=1e-6)
    first = Stream(network).push(clip[0, :, 0])
    both.reset([0])
    again = both.push(clip[:, :, 0])
    torch.testing.assert_close(again[0], first, rtol=1e-5, atol=1e-6)
    assert (again[1] - first).abs().max() > 1e-4
    one.reset()
    assert one.push(clip[:, :, 0]).shape == (2, 5)


def test_memory_makes_means_exponential() -> None:
    """Of a pool buffer: the mean m after a frame with mean u becomes m + (u - m) / memory."""
    network = live(dataclasses.replace(small(), form=dataclasses.replace(searchspace.STREAM, position_encoding=True)))
    clip = frames(1, 9, 24, 24)
    stream, memory = Stream(network, memory=3), 3
    mean = None
    for t in range(9):
        before = stream.state or network.initial_state(1, 24, 24)
        stream.push(clip[0, :, t])
        with torch.no_grad():
            _, after = network(clip[:, :, t : t + 1], before)
        u = after["head_pool_buffer"] - before["head_pool_buffer"]
        mean = u if mean is None else mean + (u - mean) / min(t + 1, memory)
        ours = after["head_pool_buffer"] / after["head_pool_frame_count"]
        torch.testing.assert_close(ours, mean, rtol=1e-5, atol=1e-6)
        assert stream.state is not None
        assert int(stream.state["head_pool_frame_count"]) == min(t + 1, memory - 1)
        assert int(stream.state["block0_layer0_pos_enc_frame_count"]) == min(
            t + 1, network.architecture.clip.frames - 1
        )


def test_streams_say_what_is_wrong() -> None:
    architecture = dataclasses.replace(small(), form=searchspace.STREAM)
    network = live(architecture)
    with pytest.raises(ValueError, match="is not causal, so it cannot stream"):
        Stream(live(small()))
    with pytest.raises(ValueError, match="is in training mode"):
        Stream(networks.create(architecture))
    with pytest.raises(ValueError, match="memory is 0; allowed"):
        Stream(network, memory=0)
    with pytest.warns(UserWarning, match="frames come at 25 per second, network 'small' is meant for 5"):
        Stream(network, fps=25)
    with pytest.warns(UserWarning, match="has fresh weights"):
        Stream(networks.create(architecture).eval())
    with pytest.raises(ValueError, match=r"frame has shape \[24, 24\]; expected \[3, height, width\]"):
        Stream(network).push(torch.zeros(24, 24))
    stream = Stream(network)
    stream.push(torch.zeros(3, 24, 24))
    with pytest.raises(ValueError, match="expected"):
        stream.push(torch.zeros(3, 32, 24))
