"""What passes from frame to frame: constants of the reference's own tests, any chunking, no look ahead."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from networks import layer_weights, layers, temporal
from networks.kernels import gated
from networks.temporal import State, StateLike, position_encoding
from searchspace import STREAM, Form

Operation = Callable[[Tensor, StateLike | None], tuple[Tensor, State]]
POSITIONS = Form(causal=True, squeeze_kind="2plus3d", position_encoding=True)
SPLITS = [[4], [2, 2], [1, 1, 1, 1], [3, 1]]


def in_chunks(operation: Operation, x: Tensor, chunks: list[int]) -> tuple[Tensor, State]:
    outputs, state = [], None
    for chunk in x.split(chunks, 2):
        y, state = operation(chunk, state)
        outputs.append(y)
    assert state is not None
    return torch.cat(outputs, 2), state


def buffer(frames: int) -> Operation:
    """A stream buffer in front of a clip; the last frames of it are as many as came in."""

    def run(x: Tensor, state: StateLike | None) -> tuple[Tensor, State]:
        joined, after = temporal.buffered(x, frames, state)
        return joined[:, :, frames:], after

    return run


def shift(channels: int) -> Operation:
    return lambda x, state: temporal.shifted(x, channels, True, state)


def pool(x: Tensor, state: StateLike | None) -> tuple[Tensor, State]:
    """Mean over the maps of all frames up to each frame, [N, C, T]."""
    means, after = temporal.cumulative_means(temporal.spatial_means(x), state)
    return means.transpose(1, 2), after


def depthwise(kernel: Tensor, form: Form = STREAM) -> Operation:
    """A depthwise convolution that sees no later frame; its BatchNorm and activation change nothing of what is 0."""
    channels = len(kernel)
    norm = layer_weights.NormWeights(*(torch.full((channels,), value) for value in (1.0, 0.0, 0.0, 1.0)))
    weights = layer_weights.DepthwiseWeights(layer_weights.ConvWeights(kernel, norm))
    return lambda x, state: layers.depthwise_unit(x, weights, 1, False, form, state)


def squeeze(form: Form, channels: int, hidden: int, draw: Callable[..., Tensor]) -> Operation:
    """A map times its gates."""
    pooled = channels * form.pooled
    weights = layer_weights.SqueezeWeights(
        layer_weights.LinearWeights(draw(hidden, pooled), torch.zeros(hidden)),
        layer_weights.LinearWeights(draw(channels, hidden), torch.zeros(channels)),
        position_scale=draw() if form.position_encoding else None,
    )

    def run(x: Tensor, state: StateLike | None) -> tuple[Tensor, State]:
        gate, after = layers.squeeze_gate(x, weights, form, state)
        return gated(x, gate), after

    return run


@pytest.mark.parametrize("chunks", SPLITS)
@pytest.mark.parametrize(
    ("form", "expected", "tolerance"),
    [
        (Form(causal=True), [0.9998109, 1.9999969, 3, 4], 1e-6),
        (STREAM, [1, 2, 3, 4], 1e-4),
        (Form(True, squeeze_kind="2plus3d", activation="hard_swish", gate="hard_sigmoid"), [1, 2, 3, 4], 1e-4),
    ],
)
def test_squeeze_excitation_constants(chunks: list[int], form: Form, expected: list[float], tolerance: float) -> None:
    """Frame t holds the value t; ones everywhere, three hidden channels."""
    x = torch.arange(1.0, 5.0).view(1, 1, 4, 1, 1).expand(1, 3, 4, 2, 1)
    y, _ = in_chunks(squeeze(form, 3, 3, torch.ones), x, chunks)
    assert y[0, 0, :, 0, 0].tolist() == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize("chunks", SPLITS)
def test_convolution_constants(chunks: list[int]) -> None:
    """A 3x3x3 kernel of ones on ones of 2x2, BatchNorm that divides by sqrt(1 + 1e-3): 4 positions a frame."""
    convolve = depthwise(torch.ones(3, 1, 3, 3, 3), Form(causal=True, activation="relu6", norm_eps=1e-3))
    y, _ = in_chunks(convolve, torch.full((1, 3, 4, 2, 2), 1 / 3), chunks)
    expected = [11.994005 / 9, 23.988010 / 9, 35.982014 / 9, 35.982014 / 9]
    assert y[0, 0, :, 0, 0].tolist() == pytest.approx(expected, rel=1e-6) and (y == y[:, :1]).all()


def test_position_encoding_constants() -> None:
    encoding = position_encoding(torch.tensor([0, 1]), 8)
    assert encoding[0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    expected = [0.841471, 0.099833, 0.010000, 0.001000, 0.540302, 0.995004, 0.999950, 1.000000]
    assert encoding[1].tolist() == pytest.approx(expected, abs=1e-6)


def test_position_encoding_by_the_formula() -> None:
    for channels in (5, 48):
        ours = position_encoding(torch.tensor([[3, 700]]), channels)
        assert ours.shape == (1, 2, channels)
        for row, p in zip(ours[0], (3, 700), strict=True):
            angles = [p * 10000 ** (-2 * (i // 2) / channels) for i in range(channels)]
            expected = [math.sin(a) for a in angles[0::2]] + [math.cos(a) for a in angles[1::2]]
            np.testing.assert_allclose(row.numpy(), expected, atol=1e-4)


def test_cumulative_pool_is_a_mean_so_far() -> None:
    x = torch.randn(2, 3, 7, 4, 5, dtype=torch.float64)
    expected = torch.stack([x[:, :, : t + 1].mean((2, 3, 4)) for t in range(7)], 2)
    for chunks in ([7], [1] * 7, [2, 5]):
        y, state = in_chunks(pool, x, chunks)
        torch.testing.assert_close(y, expected)
        torch.testing.assert_close(state["pool_buffer"], x.mean((3, 4)).sum(2))
        assert state["pool_frame_count"].tolist() == [7, 7]


def test_stream_buffer_keeps_the_last_frames() -> None:
    x = torch.randn(2, 3, 5, 2, 2)
    for chunks in ([5], [1] * 5, [2, 3]):
        _, state = in_chunks(buffer(2), x, chunks)
        assert torch.equal(state["stream_buffer"], x[:, :, 3:])
    first, state = temporal.buffered(x[:, :, :1], 4, None)
    assert torch.equal(first[:, :, 4:], x[:, :, :1]) and (first[:, :, :4] == 0).all()
    assert state["stream_buffer"].untyped_storage().nbytes() == 4 * 2 * 3 * 4 * 2 * 2, "no more than it shows"


def test_a_shift_is_a_stream_buffer_of_one_frame() -> None:
    """Shifting a quarter of the channels: those of the frame before, zeros at the start; the rest stays."""
    x = torch.randn(2, 8, 5, 3, 3)
    y, state = shift(2)(x, None)
    assert torch.equal(y[:, :2, 1:], x[:, :2, :-1]) and (y[:, :2, 0] == 0).all()
    assert torch.equal(y[:, 2:], x[:, 2:])
    joined, one = temporal.buffered(x, 1, None)
    assert torch.equal(y[:, :2], joined[:, :2, :-1])
    assert torch.equal(state["stream_buffer"], one["stream_buffer"][:, :2])
    assert torch.equal(state["stream_buffer"], x[:, :2, -1:])


GENERATOR = torch.Generator().manual_seed(0)


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=GENERATOR) * 0.5


OPERATIONS: list[Operation] = [
    buffer(2),
    shift(3),
    depthwise(drawn(6, 1, 3, 1, 1)),
    depthwise(drawn(6, 1, 5, 3, 3)),
    squeeze(STREAM, 6, 8, drawn),
    squeeze(POSITIONS, 6, 8, drawn),
    squeeze(Form(causal=True, squeeze_kind="2d", position_encoding=True), 6, 8, drawn),
    squeeze(Form(causal=True, squeeze_kind="3d", position_encoding=True), 6, 8, drawn),
]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_any_chunking_and_no_look_ahead(operation: Operation) -> None:
    x = torch.randn(2, 6, 9, 5, 4, generator=torch.Generator().manual_seed(0))
    whole, end = operation(x, None)
    for chunks in ([1] * 9, [2, 2, 2, 2, 1], [4, 5], [3, 1, 5]):
        y, state = in_chunks(operation, x, chunks)
        torch.testing.assert_close(y, whole, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(state, end, rtol=1e-5, atol=1e-5)
    moved = x.clone()
    moved[:, :, 6] += 1
    other, _ = operation(moved, None)
    assert torch.equal(other[:, :, :6], whole[:, :, :6]) and not torch.equal(other[:, :, 6], whole[:, :, 6])
