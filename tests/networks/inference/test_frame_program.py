"""Streamed frames as prepared programs: the numbers of the general path, whatever runs before, beside or after them."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

import networks
import searchspace
from networks import Stream
from networks.inference import frame_program as programs
from networks.inference import fused
from networks.inference.frame_program import FrameProgram, Parts
from networks.inference.fused import FusedMoViNet
from networks.temporal import State
from searchspace import Architecture, Form, Kernel
from searchspace.form import WORDS
from tests.networks.live_networks import assert_close, frames, live, slow, small

STREAM = searchspace.STREAM
KERNELS = [Kernel(1, 5, 5), Kernel(3, 3, 3), Kernel(5, 3, 3), Kernel(5, 1, 1), Kernel(1, 1, 1), Kernel(1, 7, 7)]


def random_stream(seed: int) -> Architecture:
    """Kernels, squeeze-excitation and everything of the form at random."""
    rng = np.random.default_rng(seed)
    words = {key: str(rng.choice(allowed)) for key, allowed in WORDS.items() if key != "convolution"}
    form = Form(causal=True, convolution="2plus1d", position_encoding=bool(rng.integers(2)), **words)
    blocks = []
    for block in small().blocks:
        layers = []
        for layer in block.layers:
            kernel = KERNELS[rng.integers(len(KERNELS))]
            layers.append(dataclasses.replace(layer, kernel=kernel, squeeze=int(rng.choice([0, 8]))))
        blocks.append(dataclasses.replace(block, layers=tuple(layers)))
    return dataclasses.replace(small(), form=form, blocks=tuple(blocks))


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[FrameProgram]]:
    """The program of each frame that one ran."""
    seen: list[FrameProgram] = []
    call = FrameProgram.run

    def spied(self: FrameProgram, image: Tensor, state: State) -> Tensor:
        seen.append(self)
        return call(self, image, state)

    monkeypatch.setattr(FrameProgram, "run", spied)
    yield seen


def general(network: FusedMoViNet) -> FusedMoViNet:
    """The same without programs."""
    network.prepares = False
    return network


def assert_frames_equal(architecture: Architecture, streams: int, height: int, width: int, seed: int = 0) -> None:
    """Donated or not: programs, the general path and the network itself."""
    network, clip = live(architecture, seed), frames(streams, 4, height, width, seed)
    fast, plain = network.fuse(), general(network.fuse())
    state = kept = donated = expected = network.initial_state(streams, height, width)
    donated = {name: tensor.clone() for name, tensor in donated.items()}
    with torch.no_grad():
        for frame in clip.split(1, 2):
            before = {name: tensor.clone() for name, tensor in kept.items()}
            logits, state = network(frame, state)
            other, expected = plain(frame, expected)
            given, after = fast(frame, kept)
            assert all(torch.equal(kept[name], before[name]) for name in before), "a state is never changed"
            again, donated = fast(frame, donated, donate=True)
            for one in (given, again, other):
                assert one.shape == logits.shape
                assert (one - logits).abs().max() < 1e-5 * max(1.0, float(logits.abs().max()))
            assert after.keys() == donated.keys() == state.keys()
            for name in state:
                assert after[name].dtype == donated[name].dtype == state[name].dtype
                assert_close(after[name].float(), state[name].float())
                assert_close(donated[name].float(), state[name].float())
            kept = after


@pytest.mark.parametrize("name", ["t0", "a0", slow("a1", True), "a3"])
def test_published_networks(name: str, ran: list[FrameProgram]) -> None:
    assert_frames_equal(searchspace.published(name, stream=True), 1, 33, 26)
    assert_frames_equal(searchspace.published(name, stream=True), 3, 26, 40)
    assert len(ran) == 16


@pytest.mark.parametrize("seed", [slow(seed, seed >= 12) for seed in range(40)])
def test_random_networks(seed: int, ran: list[FrameProgram]) -> None:
    for streams, size in ((1, (24 + seed % 3, 20)), (3, (7, 16))):
        assert_frames_equal(random_stream(seed), streams, *size, seed)
    assert len(ran) == 16


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 24), (25, 24), (64, 33)])
def test_any_size(size: tuple[int, int]) -> None:
    for streams in (1, 2):
        assert_frames_equal(dataclasses.replace(small(), form=STREAM), streams, *size)


def test_what_takes_the_general_path(ran: list[FrameProgram]) -> None:
    """Several frames, other precisions, the plain calls, and kernels in space and time at once."""
    network, frame = live(dataclasses.replace(small(), form=STREAM)), frames(1, 1, 24, 24)
    network.fuse()(frames(1, 2, 24, 24))
    network.fuse(torch.bfloat16)(frame)
    live(dataclasses.replace(small(), form=Form(causal=True))).fuse()(frame)
    network.double().fuse()(frame.double())
    with networks.formulation("reference"):
        live(dataclasses.replace(small(), form=STREAM)).fuse()(frame)
    assert not ran


def test_a_clip_in_pieces_of_a_frame(ran: list[FrameProgram], monkeypatch: pytest.MonkeyPatch) -> None:
    network, clip = live(dataclasses.replace(small(), form=STREAM)).fuse(), frames(2, 5, 24, 24)
    expected, _ = network(clip)
    assert not ran
    monkeypatch.setattr(fused, "EXPANDED_BYTES", 1)
    logits, _ = network(clip)
    assert_close(logits, expected)
    assert len(ran) == 5


def test_answers_and_states_are_memory_of_their_own() -> None:
    """What one call returned does not change with the next ones, on the same stream or on another."""
    for head_pool in WORDS["head_pool"]:
        form = dataclasses.replace(STREAM, head_pool=head_pool)
        network = live(dataclasses.replace(small(), form=form)).fuse()
        clip, state, returned = frames(1, 4, 24, 24), network.initial_state(1, 24, 24), []
        for frame in clip.split(1, 2):
            logits, state = network(frame, state)
            returned.append((logits, logits.clone(), state, {name: tensor.clone() for name, tensor in state.items()}))
        network(frames(1, 1, 24, 24, seed=1))
        for logits, copied, after, copies in returned:
            assert torch.equal(logits, copied)
            assert all(torch.equal(after[name], copies[name]) for name in copies)


def test_donated_tensors_are_those_of_the_new_state() -> None:
    network = live(dataclasses.replace(small(), form=STREAM)).fuse()
    state = network.initial_state(1, 24, 24)
    _, after = network(frames(1, 1, 24, 24), state, donate=True)
    assert all(after[name] is state[name] for name in state)


def test_states_and_answers_in_any_mode() -> None:
    """Made in inference mode and used outside, and the other way round: no call complains, and answers are tensors."""
    network, clip = live(dataclasses.replace(small(), form=STREAM)).fuse(), frames(1, 6, 24, 24)
    expected, _ = network(clip)
    state = network.initial_state(1, 24, 24)
    for i, frame in enumerate(clip.split(1, 2)):
        with torch.inference_mode(i % 2 == 0):
            logits, state = network(frame, state, donate=i % 3 > 0)
    assert_close(logits, expected)
    assert not logits.is_inference() and not logits.requires_grad
    logits.mul_(2.0)


def test_sizes_in_turn_and_how_many_are_kept() -> None:
    network = live(dataclasses.replace(small(), form=STREAM))
    fast = network.fuse()
    sizes = [(16 + 3 * i, 24 - i, 1 + i % 2) for i in range(programs.SIZES + 2)]
    for height, width, streams in [*sizes, *reversed(sizes), sizes[-1]]:
        frame = frames(streams, 1, height, width)
        with torch.no_grad():
            assert_close(fast(frame)[0], network(frame)[0])
        assert len(fast.programs.free) <= programs.SIZES
        assert all(len(free) == 1 for free in fast.programs.free.values())
    assert list(fast.programs.free)[-1] == (sizes[-1][2], *sizes[-1][:2]), "the last one used is kept"


def test_whatever_the_defaults_of_torch_are() -> None:
    network, frame = live(dataclasses.replace(small(), form=STREAM)).fuse(), frames(1, 1, 24, 24)
    state = network.initial_state(1, 24, 24)
    torch.set_default_dtype(torch.float64)
    try:
        given, _ = network(frame, state)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(given, network(frame)[0])


def test_copies_have_programs_of_their_own() -> None:
    network, frame = live(dataclasses.replace(small(), form=STREAM)).fuse(), frames(1, 1, 24, 24)
    other = copy.deepcopy(network)
    expected, _ = network(frame)
    assert network.programs.free and not other.programs.free
    assert torch.equal(other(frame)[0], expected)


def test_two_threads_at_once() -> None:
    """Two streams through one network give what they give one after the other."""
    network, count = live(dataclasses.replace(small(), form=STREAM)).fuse(), 40
    clips = [frames(1, count, 40, 40, seed)[0] for seed in range(2)]
    alone = [[stream.push(one) for one in clip.unbind(1)] for clip in clips for stream in [Stream(network)]]
    together: list[list[Tensor]] = [[], []]
    start = threading.Barrier(2)

    def run(i: int) -> None:
        stream = Stream(network)
        start.wait()
        for one in clips[i].unbind(1):
            together[i].append(stream.push(one))

    threads = [threading.Thread(target=run, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(itertools.chain(*alone), itertools.chain(*together), strict=True):
        assert_close(other, one)


def test_a_program_that_runs_is_nobody_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame that comes while another is computed gets a program of its own; both are kept."""
    network, frame = live(dataclasses.replace(small(), form=STREAM)).fuse(), frames(1, 1, 24, 24)
    expected, _ = network(frame)
    call, inner = FrameProgram.run, list[Tensor]()

    def nested(self: FrameProgram, image: Tensor, state: State) -> Tensor:
        monkeypatch.setattr(FrameProgram, "run", call)
        inner.append(network(frame)[0])
        return call(self, image, state)

    monkeypatch.setattr(FrameProgram, "run", nested)
    outer, _ = network(frame)
    assert torch.equal(outer, expected) and torch.equal(inner[0], expected)
    assert [len(free) for free in network.programs.free.values()] == [2]


def test_parts_that_are_served() -> None:
    for form, served in {STREAM: True, Form(): False, Form(causal=True): False}.items():
        parts = live(dataclasses.replace(small(), form=form)).fuse().parts
        assert isinstance(parts, Parts)
        assert parts.serves is served
