"""The fast depthwise convolution against the library's: values and both gradients."""

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from networks.kernels import depthwise, depthwise_axes, formulation
from networks.kernels.depthwise_input_gradient import INPUT_GRADIENT

LENGTHS = st.sampled_from([1, 3, 5, 7])
SIZES = st.integers(1, 9)


def _run(x: Tensor, weight: Tensor, stride: int, name: str, valid: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    x, weight = x.detach().clone(), weight.detach().clone()
    x.requires_grad_()
    weight.requires_grad_()
    with formulation(name):
        y = depthwise(x, weight, stride, valid)
        upstream = torch.cos(torch.arange(y.numel(), dtype=torch.float64)).bfloat16()  # exact in every precision
        y.backward(upstream.to(y.dtype).view(y.shape))
    assert x.grad is not None and weight.grad is not None
    return y.detach(), x.grad, weight.grad


@given(
    st.tuples(st.integers(1, 3), st.integers(1, 20), SIZES, SIZES, SIZES),
    st.tuples(LENGTHS, LENGTHS, LENGTHS),
    st.sampled_from([1, 2]),
    st.sampled_from([torch.float32, torch.float64]),
    st.booleans(),
    st.booleans(),
)
def test_equals_the_library(
    shape: tuple[int, ...], kernel: tuple[int, ...], stride: int, dtype: torch.dtype, last: bool, valid: bool
) -> None:
    if valid:
        shape = (*shape[:2], shape[2] + kernel[0] - 1, *shape[3:])
    generator = torch.Generator().manual_seed(hash((shape, kernel, stride)) % 2**31)
    x = torch.randn(shape, generator=generator, dtype=dtype)
    if last:
        x = x.contiguous(memory_format=torch.channels_last_3d)
    weight = torch.randn(shape[1], 1, *kernel, generator=generator, dtype=dtype) / sum(kernel)
    results = (_run(x, weight, stride, name, valid) for name in ("fast", "reference"))
    for fast, library in zip(*results, strict=True):
        assert fast.shape == library.shape
        scale = max(1.0, float(library.abs().max()))
        torch.testing.assert_close(fast, library, atol=1e-5 * scale, rtol=1e-5)


@given(
    st.tuples(st.integers(1, 3), st.integers(2, 20), SIZES, SIZES, SIZES),
    st.tuples(LENGTHS, LENGTHS, LENGTHS),
    st.sampled_from([1, 2]),
    st.booleans(),
)
def test_bfloat16_is_rounding(shape: tuple[int, ...], kernel: tuple[int, ...], stride: int, valid: bool) -> None:
    """Under autocast: maps in bfloat16, gradients of the kernels in float32, all near those of double precision.

    From 2 channels on: with one, the library's own depthwise convolution is wrong in bfloat16 (torch 2.13).
    """
    if valid:
        shape = (*shape[:2], shape[2] + kernel[0] - 1, *shape[3:])
    generator = torch.Generator().manual_seed(hash((shape, kernel, stride)) % 2**31)
    x = torch.randn(shape, generator=generator).bfloat16()
    weight = torch.randn(shape[1], 1, *kernel, generator=generator).bfloat16().float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        results = _run(x, weight, stride, "fast", valid)
    assert [result.dtype for result in results] == [torch.bfloat16, torch.bfloat16, torch.float32]
    exact = _run(x.double(), weight.double(), stride, "reference", valid)
    for ours, expected in zip(results, exact, strict=True):
        scale = max(1.0, float(expected.abs().max()))
        torch.testing.assert_close(ours.double(), expected, atol=0.02 * scale, rtol=0.02)


KERNELS = [(1, 3, 3), (1, 5, 5), (1, 7, 7), (5, 1, 1), (7, 1, 1), (3, 3, 3), (5, 3, 3)]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("size", [1, 2, 4, 7])
@pytest.mark.parametrize("stride", [1, 2])
def test_every_kernel_at_search_sizes(kernel: tuple[int, ...], size: int, stride: int) -> None:
    """The shapes of a search at 8x32x32, with enough channels for the vectorised code of the library."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, 48, 8, size, size, generator=generator).contiguous(memory_format=torch.channels_last_3d)
    weight = torch.randn(48, 1, *kernel, generator=generator)
    for fast, library in zip(_run(x, weight, stride, "fast"), _run(x, weight, stride, "reference"), strict=True):
        torch.testing.assert_close(fast, library, atol=1e-5 * max(1.0, float(library.abs().max())), rtol=1e-5)


@pytest.mark.parametrize("kernel", [(3, 3, 3), (1, 5, 5), (5, 1, 1), (5, 3, 3), (1, 1, 1)])
@pytest.mark.parametrize("size", [(5, 4, 3), (6, 1, 1), (2, 2, 5)])
@pytest.mark.parametrize("stride", [1, 2])
def test_gradients_are_those_of_the_values(kernel: tuple[int, ...], size: tuple[int, ...], stride: int) -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 3, *size, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, 1, *kernel, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, w: depthwise(x, w, stride), (x, weight))


@pytest.mark.parametrize("kernel", [(3, 3, 3), (5, 1, 1)])
@pytest.mark.parametrize("stride", [1, 2])
def test_gradients_without_padding_in_time(kernel: tuple[int, ...], stride: int) -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 2, kernel[0] + 1, 4, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 1, *kernel, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, w: depthwise(x, w, stride, valid=True), (x, weight))


@pytest.fixture
def by_parity(monkeypatch: pytest.MonkeyPatch) -> None:
    """Input gradients of strided kernels by parity, whatever their size."""
    (row,) = [kernel for kernel in INPUT_GRADIENT.kernels if kernel.name == "by parity"]
    always = dataclasses.replace(row, when=lambda shape: shape.stride == 2)
    monkeypatch.setattr(INPUT_GRADIENT, "kernels", (always, *INPUT_GRADIENT.kernels))


@pytest.mark.parametrize("kernel", [*KERNELS, (3, 1, 3), (3, 5, 1), (1, 1, 3)])
@pytest.mark.parametrize("height", range(1, 10))
def test_input_gradients_by_parity(kernel: tuple[int, ...], height: int, by_parity: None) -> None:
    """Even and odd sizes, kernels wider than the map, with and without padding in time."""
    generator = torch.Generator().manual_seed(0)
    for width, valid in ((1, False), (4, True), (7, False)):
        x = torch.randn(2, 6, 8, height, width, generator=generator, dtype=torch.float64)
        weight = torch.randn(6, 1, *kernel, generator=generator, dtype=torch.float64)
        results = (_run(x, weight, 2, name, valid) for name in ("fast", "reference"))
        for fast, library in zip(*results, strict=True):
            torch.testing.assert_close(fast, library)


@pytest.mark.parametrize("kernel", [(3, 3, 3), (5, 3, 3), (1, 5, 5), (1, 3, 3)])
@pytest.mark.parametrize("size", [(5, 4, 3), (2, 2, 5)])
def test_gradients_by_parity_are_those_of_the_values(
    kernel: tuple[int, ...], size: tuple[int, ...], by_parity: None
) -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 3, *size, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, 1, *kernel, generator=generator, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, w: depthwise(x, w, 2), (x, weight))


def test_counts_ones_with_same_padding() -> None:
    """A kernel of ones counts the neighbours inside the map; worked by hand for 3x3, stride 2, on 4x4 and 5x5."""
    ones = torch.ones(1, 1, 1, 3, 3)
    even = depthwise(torch.ones(1, 1, 1, 4, 4), ones, 2)
    odd = depthwise(torch.ones(1, 1, 1, 5, 5), ones, 2)
    assert even[0, 0, 0].tolist() == [[9, 6], [6, 4]]  # padded behind only
    assert odd[0, 0, 0].tolist() == [[4, 6, 4], [6, 9, 6], [4, 6, 4]]  # padded on both sides


def test_output_is_channels_last() -> None:
    x = torch.randn(2, 16, 4, 6, 6)
    for kernel in KERNELS:
        y = depthwise(x, torch.randn(16, 1, *kernel), 2)
        assert y.is_contiguous(memory_format=torch.channels_last_3d)


def test_clips_of_a_batch_do_not_meet() -> None:
    x = torch.randn(3, 8, 4, 5, 5)
    for kernel in KERNELS:
        weight = torch.randn(8, 1, *kernel)
        alone = torch.cat([depthwise(clip[None], weight) for clip in x])
        torch.testing.assert_close(depthwise(x, weight), alone, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kernel", KERNELS)
def test_large_batches_in_pieces(kernel: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(depthwise_axes, "COPY_BYTES", 1 << 10)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(5, 16, 4, 6, 6, generator=generator)
    weight = torch.randn(16, 1, *kernel, generator=generator)
    for stride in (1, 2):
        for fast, library in zip(_run(x, weight, stride, "fast"), _run(x, weight, stride, "reference"), strict=True):
            torch.testing.assert_close(fast, library, atol=2e-5, rtol=1e-5)
