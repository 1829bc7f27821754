"""The other operations against plain calls, and the switch."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from networks import kernels, layer_weights, layers
from networks.kernels import formulation

SIZES = st.integers(1, 9)


def test_switch_is_restored_after_an_error() -> None:
    x = torch.zeros(1)
    assert kernels.is_fast(x)
    with pytest.raises(RuntimeError), formulation("reference"):
        assert not kernels.is_fast(x)
        raise RuntimeError
    assert kernels.is_fast(x)


def test_unknown_formulation_is_refused() -> None:
    with pytest.raises(ValueError, match="'slow': allowed are fast, reference"), formulation("slow"):
        pass


@given(st.tuples(st.integers(1, 3), st.integers(1, 9), SIZES, SIZES, SIZES), st.integers(1, 9), st.booleans())
def test_pointwise_is_a_convolution(shape: tuple[int, ...], outputs: int, last: bool) -> None:
    x = torch.randn(shape, dtype=torch.float64)
    if last:
        x = x.contiguous(memory_format=torch.channels_last_3d)
    weight = torch.randn(outputs, shape[1], dtype=torch.float64)
    expected = F.conv3d(x, weight[:, :, None, None, None])
    torch.testing.assert_close(kernels.pointwise(x, weight), expected)


@pytest.mark.parametrize("size", [(8, 8), (7, 8), (1, 2)])
def test_stem_pads_as_tensorflow_does(size: tuple[int, int]) -> None:
    """Stride 2: the odd zero stands behind; checked against a loop over the taps."""
    x = torch.randn(2, 3, 2, *size, dtype=torch.float64)
    weight = torch.randn(4, 3, 1, 3, 3, dtype=torch.float64)
    y = kernels.spatial_conv(x, weight, 2)
    expected = torch.zeros(2, 4, 2, -(-size[0] // 2), -(-size[1] // 2), dtype=torch.float64)
    top, left = (kernels.same_padding(length, 3, 2)[0] for length in size)
    for i in range(expected.shape[3]):
        for j in range(expected.shape[4]):
            for a in range(3):
                for b in range(3):
                    row, column = 2 * i + a - top, 2 * j + b - left
                    if 0 <= row < size[0] and 0 <= column < size[1]:
                        tap = torch.einsum("nitc,oi->noct", x[:, :, :, row, column][..., None], weight[:, :, 0, a, b])
                        expected[:, :, :, i, j] += tap[:, :, 0]
    torch.testing.assert_close(y, expected)


@pytest.mark.parametrize("height", range(1, 10))
@pytest.mark.parametrize("width", [1, 4, 7])
def test_skip_pool_is_a_mean_over_what_is_there(height: int, width: int) -> None:
    """Mean over the window without padding, written as a loop: SAME windows start at 2i - before."""
    x = torch.randn(2, 3, 2, height, width, dtype=torch.float64)
    y = kernels.skip_pool(x)
    assert y.shape[3:] == (-(-height // 2), -(-width // 2))
    top = kernels.same_padding(height, 3, 2)[0]
    left = kernels.same_padding(width, 3, 2)[0]
    for i in range(y.shape[3]):
        for j in range(y.shape[4]):
            rows = slice(max(0, 2 * i - top), 2 * i - top + 3)
            columns = slice(max(0, 2 * j - left), 2 * j - left + 3)
            torch.testing.assert_close(y[:, :, :, i, j], x[:, :, :, rows, columns].mean((3, 4)))


def test_same_padding_by_hand() -> None:
    assert kernels.same_padding(8, 3, 2) == (0, 1)
    assert kernels.same_padding(7, 3, 2) == (1, 1)
    assert kernels.same_padding(8, 5, 2) == (1, 2)
    assert kernels.same_padding(7, 5, 2) == (2, 2)
    assert kernels.same_padding(5, 7, 1) == (3, 3)


def test_squeeze_excitation_by_hand() -> None:
    """All ones: a channel of constant c is gated by sigmoid(h * swish(C * c)) for C channels and h hidden ones."""
    c, channels, hidden = 0.5, 3, 2
    ones = layer_weights.SqueezeWeights(
        layer_weights.LinearWeights(torch.ones(hidden, channels), torch.zeros(hidden)),
        layer_weights.LinearWeights(torch.ones(channels, hidden), torch.zeros(channels)),
    )
    x = torch.full((1, channels, 2, 3, 3), c)
    swish = channels * c * torch.sigmoid(torch.tensor(channels * c))
    gate = torch.sigmoid(hidden * swish)
    torch.testing.assert_close(kernels.gated(x, layers.squeeze_gate(x, ones)[0]), x * gate)
    ones.share = 0.5  # the mean of with and without
    torch.testing.assert_close(kernels.gated(x, layers.squeeze_gate(x, ones)[0]), (x * gate + x) / 2)


def test_residual_scalar_multiplies_the_normalised_branch() -> None:
    x = torch.randn(3, 4, 2, 5, 5)
    norm = layer_weights.NormWeights(torch.rand(4), torch.rand(4))
    scale = torch.tensor(0.3)
    expected = 0.3 * layers.batch_norm(x, norm, training=True)
    torch.testing.assert_close(layers.batch_norm(x, norm, True, scale), expected)


def test_batch_norm_has_the_right_gradient_whatever_the_strides() -> None:
    """The library's own is wrong (torch 2.13, CPU) for 1x1 maps in this memory layout."""
    x = torch.empty_strided((3, 8, 5, 1, 1), (40, 1, 8, 1, 1), dtype=torch.float64)
    x.copy_(torch.randn(x.shape, generator=torch.Generator().manual_seed(0)))
    norm = layer_weights.NormWeights(torch.rand(8).double(), torch.rand(8).double())
    assert torch.autograd.gradcheck(lambda x: layers.batch_norm(x, norm, True), (x.requires_grad_(),))
