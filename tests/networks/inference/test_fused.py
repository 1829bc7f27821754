"""Fused networks: the logits and states of the networks they are made of, in any pieces, and what they refuse."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import networks
import searchspace
from networks import MoViNet, Stream
from networks.inference import bottleneck, fused
from networks.inference.fused import FusedMoViNet
from searchspace import Architecture, Form
from searchspace.form import WORDS
from tests.networks.live_ensembles import ENSEMBLES, live_ensemble
from tests.networks.live_networks import (
    CHUNKS,
    FORMS,
    assert_any_chunking,
    assert_close,
    frames,
    live,
    run,
    slow,
    small,
)

BASES = [
    Form(),
    Form(squeeze_kind="2d", gate="hard_sigmoid", activation="relu6", dense_activation="relu6"),
    Form(convolution="2plus1d", squeeze_kind="2plus3d"),
]


def assert_same(network: networks.Network, clip: Tensor, bound: float = 1e-5, dtype: torch.dtype | None = None) -> None:
    """Logits within a bound relative to their spread, and states as close."""
    with torch.no_grad():
        expected, given = network(clip), network.fuse(dtype)(clip)
    if network.streams:
        (expected, before), (given, after) = expected, given
        assert before.keys() == after.keys()
        if dtype is None:
            for name in before:
                assert before[name].dtype == after[name].dtype
                assert_close(after[name].float(), before[name].float())
    assert (given - expected).abs().max() < bound * expected.std()


def random_architecture(seed: int) -> Architecture:
    """Any kernel, width and depth of the space, in any form."""
    rng = np.random.default_rng(seed)
    space = searchspace.load("movinet")
    words = {key: str(rng.choice(allowed)) for key, allowed in WORDS.items()}
    causal = bool(seed % 2)
    form = Form(causal=causal, position_encoding=causal and bool(rng.integers(2)), **words)
    return dataclasses.replace(space.architecture(space.decisions.sample(rng, 1)[0]), form=form)


# ---------------------------------------------------------------------------------------------------------------- equal


@pytest.mark.parametrize("stream", [False, True], ids=["base", "stream"])
@pytest.mark.parametrize("name", [slow(name, name > "a2" and name != "t0") for name in searchspace.published_names()])
def test_published_networks(name: str, stream: bool) -> None:
    network, clip = live(searchspace.published(name, stream)), frames(2, 6, 33, 26)
    assert_same(network, clip)
    assert_same(network, clip, 0.1, torch.bfloat16)


@pytest.mark.parametrize("seed", [slow(seed, seed >= 8) for seed in range(30)])
def test_random_networks(seed: int) -> None:
    network = live(random_architecture(seed), seed)
    assert_same(network, frames(2, 5, 17 + seed % 3, 20, seed))
    assert_same(network, frames(1, 3, 20, 17, seed), 0.15, torch.bfloat16)


@pytest.mark.parametrize("name", ENSEMBLES)
def test_ensembles(name: str) -> None:
    ensemble = ENSEMBLES[name]
    for form in (Form(), searchspace.STREAM):
        changed = ensemble.map(lambda one, form=form: dataclasses.replace(one, form=form))
        for length in (1, 7):
            assert_same(live_ensemble(changed), frames(2, length, 24, 24))


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 24), (25, 24)])
@pytest.mark.parametrize("form", [*BASES, *FORMS])
def test_any_size_in_double_precision(form: Form, size: tuple[int, int]) -> None:
    """To 1e-11: nothing but rounding lies between the two."""
    network = live(dataclasses.replace(small(), form=form)).double()
    with torch.no_grad():
        clip = frames(2, 5, *size).double()
        torch.testing.assert_close(network.fuse()(clip), network(clip), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("form", BASES)
@pytest.mark.parametrize("length", [1, 2, 9, 23])
def test_any_pieces_of_a_clip(form: Form, length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of few frames, whose neighbours come from other pieces."""
    network, clip = live(dataclasses.replace(small(), form=form)), frames(1, length, 24, 24)
    ranges = []
    pieces = bottleneck.pieces
    monkeypatch.setattr(bottleneck, "EXPANDED_BYTES", 4 * 24 * 12 * 12)
    monkeypatch.setattr(bottleneck, "pieces", lambda *a: ranges.append(list(pieces(*a))) or iter(ranges[-1]))
    assert_same(network, clip)
    assert max(map(len, ranges)) > 1 or length < 3


def test_a_stem_that_is_asked_for_frames_twice() -> None:
    """A first layer with an identity skip and neighbours in time: nothing of the stem is in memory when it starts."""
    first = dataclasses.replace(small().blocks[0].layers[0], kernel=searchspace.Kernel(5, 3, 3), stride=1)
    block = dataclasses.replace(small().blocks[0], layers=(first, *small().blocks[0].layers[1:]))
    network = live(dataclasses.replace(small(), blocks=(block, *small().blocks[1:])))
    assert network.bottlenecks()[0].skip is None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bottleneck, "EXPANDED_BYTES", 1)
        assert_same(network, frames(1, 11, 24, 24))


def test_the_plain_calls_compute_the_same() -> None:
    for form in (Form(), searchspace.STREAM):
        network, clip = live(dataclasses.replace(small(), form=form)).fuse(), frames(2, 5, 24, 24)
        fast = network(clip)
        with networks.formulation("reference"):
            torch.testing.assert_close(network(clip), fast, rtol=1e-5, atol=1e-5)


def test_training_on_does_not_reach_it() -> None:
    network, clip = live(small()), frames(1, 3, 24, 24)
    fast = network.fuse()
    before = fast(clip)
    with torch.no_grad():
        for tensor in network.state_dict().values():
            tensor.mul_(2)
    assert torch.equal(fast(clip), before)


# -------------------------------------------------------------------------------------------------------------- streams


@pytest.mark.parametrize("form", FORMS)
def test_any_chunking(form: Form, monkeypatch: pytest.MonkeyPatch) -> None:
    network = live(dataclasses.replace(small(), form=form)).fuse()
    assert_any_chunking(network, frames(2, 9, 26, 20), list(CHUNKS.values()))
    monkeypatch.setattr(fused, "EXPANDED_BYTES", 1)  # whole clips go through frame by frame
    assert_any_chunking(network, frames(2, 9, 26, 20), [[4, 5]])


@pytest.mark.parametrize("name", ["t0", slow("a0", True), slow("a2", True), slow("a3", True)])
def test_published_networks_on_any_chunking(name: str) -> None:
    network = live(searchspace.published(name, stream=True)).fuse()
    assert_any_chunking(network, frames(2, 9, 26, 20), list(CHUNKS.values()))


@pytest.mark.parametrize("name", ENSEMBLES)
def test_ensembles_on_any_chunking(name: str) -> None:
    assert_any_chunking(live_ensemble(ENSEMBLES[name]).fuse(), frames(2, 9, 24, 28), list(CHUNKS.values()))


@pytest.mark.parametrize("make", [lambda n: n, MoViNet.fuse], ids=["plain", "fused"])
@pytest.mark.parametrize("form", FORMS)
def test_donated_states(form: Form, make: object) -> None:
    """The same logits; states that were not donated stay, donated ones of a fused network are used again."""
    network = make(live(dataclasses.replace(small(), form=form)))  # type: ignore[operator]
    clip = frames(2, 7, 24, 24)
    expected, end = run(network, clip, [1] * 7)
    state = network.initial_state(2, 24, 24)
    with torch.no_grad():
        for i, frame in enumerate(torch.split(clip, 1, 2)):
            given = {name: tensor.data_ptr() for name, tensor in state.items()}
            logits, state = network(frame, state, donate=True)
            assert_close(logits, expected[i])
            if isinstance(network, FusedMoViNet):
                assert all(state[name].data_ptr() == given[name] for name in state if name.endswith("stream_buffer"))
    for name in end:
        assert_close(state[name].float(), end[name].float())


def test_streams_of_a_batch_are_alone() -> None:
    """Streams that start at other times, reset, gathered and scattered equal streams that run alone."""
    network = live(searchspace.published("t0", stream=True)).fuse()
    clip = frames(3, 6, 32, 24)
    alone = [run(network, clip[i : i + 1], [1] * 6) for i in range(3)]
    _, state = network(clip[:, :, :2], network.initial_state(3, 32, 24))
    state = network.reset(state, [1])
    moved = clip[:, :, 2:5].clone()
    moved[1] = clip[1, :, :3]
    for i in range(3):
        _, state = network(moved[:, :, i : i + 1], state, donate=True)
    swapped = networks.gather(state, [2, 1, 0])
    swapped = networks.scatter(swapped, [0], networks.gather(swapped, [0]))
    last = torch.stack([clip[2, :, 5:], clip[1, :, 3:4], clip[0, :, 5:]])
    logits, _ = network(last, swapped, donate=True)
    assert_close(logits[0:1], alone[2][0][5])
    assert_close(logits[1:2], alone[1][0][3])
    assert_close(logits[2:3], alone[0][0][5])


@pytest.mark.parametrize("memory", [None, 3])
def test_a_stream_of_frames(memory: int | None) -> None:
    network, clip = live(dataclasses.replace(small(), form=FORMS[-1])), frames(1, 8, 24, 24)[0]
    plain, fast = Stream(network, memory=memory), Stream(network.fuse(), memory=memory)
    for i, frame in enumerate(clip.unbind(1)):
        if i == 5:
            plain.reset([0])
            fast.reset([0])
        assert_close(fast.push(frame), plain.push(frame))


def test_sums_of_a_stream_in_bfloat16_do_not_saturate() -> None:
    """Maps are bfloat16, sums float32: after 300 equal frames the mean is still that of one."""
    network = live(dataclasses.replace(small(), form=FORMS[-1])).fuse(torch.bfloat16)
    frame = frames(1, 1, 16, 16)
    state = network.initial_state(1, 16, 16)
    assert state["block1_layer0_stream_buffer"].dtype is torch.bfloat16
    assert state["head_pool_buffer"].dtype is torch.float32
    for _ in range(300):
        logits, state = network(frame, state, donate=True)
    assert logits.dtype is torch.float32
    one = state["head_pool_buffer"] / state["head_pool_frame_count"][:, None]
    _, last = network(frame, {**state, "head_pool_buffer": torch.zeros_like(state["head_pool_buffer"])})
    assert (one - last["head_pool_buffer"]).abs().max() < 0.05 * one.abs().max()


# ------------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("network", [small(), ENSEMBLES["two"]], ids=["network", "ensemble"])
def test_refusals(network: Architecture | searchspace.Ensemble, tmp_path: Path) -> None:
    fast = networks.create(network).fuse()
    assert fast.eval() is fast and not list(fast.parameters())
    for call, words in {
        fast.train: "is fused and does not train; train the network that it was made of",
        fast.state_dict: "is fused and has no weights to save or load; save the network that it was made of",
        fast.double: "is fused and stays on its device and in its dtype; move the network",
    }.items():
        with pytest.raises(ValueError, match=words):
            call()
    with pytest.raises(ValueError, match="has no weights to save"):
        networks.save_weights(fast, tmp_path / "fused.safetensors")
    clip = frames(1, 2, 24, 24)
    with pytest.raises(ValueError, match="wants a gradient"):
        fast(clip.requires_grad_())
    with pytest.raises(ValueError, match="keeps its dtype under autocast"), torch.autocast("cpu", torch.bfloat16):
        fast(clip.detach())
    with pytest.raises(ValueError, match=r"has torch.float64, the network torch.float32; convert one"):
        fast(clip.detach().double())
    with pytest.raises(ValueError, match=r"dtype torch.int32; allowed: a floating-point dtype"):
        networks.create(network).fuse(torch.int32)


def test_no_answer_through_a_fused_network_carries_gradients() -> None:
    assert not live(small()).fuse()(frames(1, 2, 24, 24)).requires_grad
