"""The causal pieces alone: constants of the reference's own tests, any chunking, states that do not fit."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from networks import layers
from networks.causal import CausalConv, CausalSqueezeExcite, CumulativeGlobalAveragePool, StreamBuffer, TemporalShift
from networks.temporal import State, position_encoding
from searchspace import STREAM, Form

POSITIONS = Form(causal=True, squeeze_kind="2plus3d", position_encoding=True)


def in_chunks(piece: Callable[..., tuple[Tensor, State]], x: Tensor, chunks: list[int]) -> tuple[Tensor, State]:
    outputs, state = [], None
    for chunk in x.split(chunks, 2):
        y, state = piece(chunk, state)
        outputs.append(y)
    assert state is not None
    return torch.cat(outputs, 2), state


@torch.no_grad()
def ones_(module: nn.Module) -> Any:
    """All weights one, all biases zero."""
    for name, parameter in module.named_parameters():
        parameter.fill_(0.0 if name.endswith("bias") else 1.0)
    return module


def norm(x: Tensor) -> Tensor:
    """A fresh BatchNorm in evaluation: divides by sqrt(1 + 1e-3); then ReLU."""
    fresh = layers.NormWeights(torch.ones(3), torch.zeros(3), torch.zeros(3), torch.ones(3))
    return layers.batch_norm(x, fresh, training=False).relu()


SPLITS = [[4], [2, 2], [1, 1, 1, 1], [3, 1]]


@pytest.mark.parametrize("chunks", SPLITS)
def test_convolution_constants(chunks: list[int]) -> None:
    """Kernel of ones 3x3x3, stride 2, 3 -> 3 channels, on ones of 2x2: 4 positions x 3 channels a frame."""
    conv = ones_(CausalConv(3, 3, (3, 3, 3), stride=2, bias=False))
    y, _ = in_chunks(conv, torch.ones(1, 3, 4, 2, 2), chunks)
    assert y.shape == (1, 3, 4, 1, 1)
    assert y[0, 0, :, 0, 0].tolist() == [12, 24, 36, 36] and (y == y[:, :1]).all()
    expected = [11.994005, 23.988010, 35.982014, 35.982014]
    assert norm(y)[0, 0, :, 0, 0].tolist() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("chunks", SPLITS)
def test_2plus1d_constants(chunks: list[int]) -> None:
    spatial = ones_(CausalConv(3, 3, (1, 3, 3), stride=2, bias=False))
    temporal = ones_(CausalConv(3, 3, (3, 1, 1), bias=False))
    y, none = in_chunks(spatial, torch.ones(1, 3, 4, 2, 2), chunks)
    assert none == {}
    y, _ = in_chunks(temporal, norm(y), chunks)
    expected = [35.96404, 71.92807, 107.892105, 107.892105]
    assert norm(y)[0, 0, :, 0, 0].tolist() == pytest.approx(expected, rel=1e-6)


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
    squeeze = ones_(CausalSqueezeExcite(3, 3, form))
    x = torch.arange(1.0, 5.0).view(1, 1, 4, 1, 1).expand(1, 3, 4, 2, 1)
    y, _ = in_chunks(squeeze, x, chunks)
    assert y[0, 0, :, 0, 0].tolist() == pytest.approx(expected, abs=tolerance)


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
        y, state = in_chunks(CumulativeGlobalAveragePool(), x, chunks)
        torch.testing.assert_close(y, expected)
        torch.testing.assert_close(state["pool_buffer"], x.mean((3, 4)).sum(2))
        assert state["pool_frame_count"].tolist() == [7, 7]


def test_stream_buffer_keeps_the_last_frames() -> None:
    x = torch.randn(2, 3, 5, 2, 2)
    for chunks in ([5], [1] * 5, [2, 3]):
        _, state = in_chunks(StreamBuffer(2), x, chunks)
        assert torch.equal(state["stream_buffer"], x[:, :, 3:])
    first, state = StreamBuffer(4)(x[:, :, :1])
    assert torch.equal(first[:, :, 4:], x[:, :, :1]) and (first[:, :, :4] == 0).all()
    assert state["stream_buffer"].untyped_storage().nbytes() == 4 * 2 * 3 * 4 * 2 * 2, "no more than it shows"


def test_temporal_shift_is_a_stream_buffer_of_one_frame() -> None:
    """Shifting a quarter of the channels equals a depthwise 3x1x1 kernel that reads one frame back, or none."""
    x = torch.randn(2, 8, 5, 3, 3)
    shift, conv = TemporalShift(0.25), CausalConv(8, 8, (3, 1, 1), groups=8, bias=False)
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight[:2, 0, 1], conv.weight[2:, 0, 2] = 1, 1
        expected, buffer = conv(x)
    y, state = shift(x)
    assert torch.equal(y, expected)
    assert torch.equal(y[:, :2, 1:], x[:, :2, :-1]) and (y[:, :2, 0] == 0).all()
    joined, one = StreamBuffer(1)(x)
    assert torch.equal(y[:, :2], joined[:, :2, :-1])
    assert torch.equal(state["stream_buffer"], one["stream_buffer"][:, :2])
    assert torch.equal(state["stream_buffer"], buffer["stream_buffer"][:, :2, 1:])
    with pytest.raises(ValueError, match="share 0; allowed: above 0"):
        TemporalShift(0)


PIECES = [
    TemporalShift(0.5),
    CausalConv(6, 4, (5, 3, 3), stride=2, groups=2),
    CausalConv(6, 6, (3, 1, 1), groups=6),
    CausalSqueezeExcite(6),
    CausalSqueezeExcite(6, form=POSITIONS),
    CausalSqueezeExcite(6, form=Form(causal=True, squeeze_kind="2d")),
    CausalSqueezeExcite(6, form=Form(causal=True, squeeze_kind="3d", position_encoding=True)),
]


@pytest.mark.parametrize("piece", PIECES)
def test_any_chunking_and_no_look_ahead(piece: nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 6, 9, 5, 4, generator=generator)
    with torch.no_grad():
        for name, parameter in piece.named_parameters():
            parameter.copy_(
                torch.randn(parameter.shape, generator=generator) * (0.5 if name != "position_scale" else 1)
            )
        whole, end = piece(x)
        for chunks in ([1] * 9, [2, 2, 2, 2, 1], [4, 5], [3, 1, 5]):
            y, state = in_chunks(piece, x, chunks)
            torch.testing.assert_close(y, whole, rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(state, end, rtol=1e-5, atol=1e-5)
        moved = x.clone()
        moved[:, :, 6] += 1
        other, _ = piece(moved)
    assert torch.equal(other[:, :, :6], whole[:, :, :6]) and not torch.equal(other[:, :, 6], whole[:, :, 6])


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(ValueError, match="each length must be odd"):
        CausalConv(3, 3, (2, 3, 3))
    with pytest.raises(ValueError, match="buffer of 0 frames; allowed: at least 1"):
        StreamBuffer(0)
    with pytest.raises(ValueError, match="allowed: a causal form"):
        CausalSqueezeExcite(8, form=Form())
    conv = CausalConv(3, 3, (3, 3, 3))
    x = torch.zeros(2, 3, 1, 4, 4)
    _, state = conv(x)
    with pytest.raises(ValueError, match=r"'stream_buffer' of CausalConv is \[2, 3, 2, 4, 4\], expected \[1, 3, 2"):
        conv(x[:1], state)
    with pytest.raises(ValueError, match=r"'pool_buffer' of CumulativeGlobalAveragePool is nothing, expected \[2, 3\]"):
        CumulativeGlobalAveragePool()(x, state)
    with pytest.raises(ValueError, match=r"'other' of CausalConv is \[1\], expected nothing"):
        conv(x, {**state, "other": torch.zeros(1)})
