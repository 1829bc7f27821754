"""Small networks with live weights, clips for them, and how streams are compared: what tests of networks share."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

import networks
import searchspace
from networks import MoViNet, State
from searchspace import Architecture, Block, Clip, Form, Head, Kernel, Layer, NetworkSpec, Stem

CHUNKS = {
    "frame by frame": [1] * 9,
    "two": [2, 2, 2, 2, 1],
    "four and five, longer than most kernels": [4, 5],
    "mixed": [3, 1, 5],
}


FORMS = [
    Form(causal=True),
    Form(causal=True, squeeze_kind="2d", convolution="2plus1d"),
    searchspace.STREAM,
    dataclasses.replace(searchspace.STREAM, position_encoding=True, gate="hard_sigmoid"),
]


def small() -> Architecture:
    """Every kind of layer in a few channels: strided, widening, identity, with and without squeeze-excitation."""
    layers = (
        Layer(Kernel(1, 5, 5), 2, 24, 8),
        Layer(Kernel(5, 3, 3), 1, 16, 0),
        Layer(Kernel(5, 1, 1), 1, 16, 8),
    )
    wider = (Layer(Kernel(3, 3, 3), 1, 40, 0), Layer(Kernel(7, 1, 1), 1, 32, 8))
    blocks = (Block(8, layers), Block(16, wider), Block(16, (Layer(Kernel(1, 7, 7), 2, 24, 8),)))
    return Architecture("small", Clip(4, 24, 24), 5, Stem(8), blocks, Head(32, 48))


def on_meta(architecture: NetworkSpec) -> networks.Network:
    with torch.device("meta"):
        return networks.create(architecture)


@torch.no_grad()
def randomise_(network: nn.Module, seed: int = 0) -> None:
    """Makes a fresh network live: residual scalars not zero, affine parts and statistics of BatchNorm random."""
    generator = torch.Generator().manual_seed(seed)

    def noise(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator, dtype=like.dtype)

    for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
        last = name.rsplit(".", 1)[-1]
        if last in ("scale", "position_scale"):
            tensor.copy_(0.5 + 0.1 * noise(tensor))
        elif last == "running_var":
            tensor.copy_(torch.exp(0.1 * noise(tensor)))
        elif last in ("running_mean", "bias"):
            tensor.copy_(0.1 * noise(tensor))
        elif last == "weight" and tensor.dim() == 1:
            tensor.copy_(1 + 0.1 * noise(tensor))


def clips(count: int, frames: int, size: int, seed: int = 0) -> Tensor:
    """Random clips [N, 3, T, H, W] in [0, 1]."""
    return torch.rand(count, 3, frames, size, size, generator=torch.Generator().manual_seed(seed))


def floats(state: networks.State) -> int:
    return sum(tensor.numel() for tensor in state.values() if tensor.is_floating_point())


def live(architecture: Architecture, seed: int = 0) -> MoViNet:
    network = MoViNet(architecture, torch.Generator().manual_seed(seed)).eval()
    randomise_(network, seed)
    return network


def frames(count: int, frames: int, height: int, width: int, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, frames, height, width, generator=torch.Generator().manual_seed(seed))


def run(network: MoViNet, clip: Tensor, chunks: Sequence[int]) -> tuple[list[Tensor], State]:
    """Logits after each chunk, and the last state."""
    state = network.initial_state(len(clip), *clip.shape[3:])
    logits = []
    with torch.no_grad():
        for chunk in clip.split(list(chunks), 2):
            before = {name: tensor.clone() for name, tensor in state.items()}
            result, after = network(chunk, state)
            assert all(torch.equal(before[name], state[name]) for name in state), "a state is never changed"
            assert {n: (t.shape, t.dtype) for n, t in after.items()} == {
                n: (t.shape, t.dtype) for n, t in state.items()
            }
            logits.append(result)
            state = after
    return logits, state


def assert_close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5 * max(1e-3, float(b.abs().max())))


def assert_any_chunking(network: MoViNet, clip: Tensor, chunkings: Sequence[Sequence[int]]) -> None:
    with torch.no_grad():
        whole, end = network(clip)
    for chunks in chunkings:
        logits, state = run(network, clip, chunks)
        assert_close(logits[-1], whole)
        assert state.keys() == end.keys()
        for name in end:
            assert_close(state[name].float(), end[name].float())


def slow(value: object, late: bool) -> object:
    """A parameter whose test is a long proof."""
    return pytest.param(value, marks=pytest.mark.slow) if late else value
