"""Dispatch: every kernel of every operation is taken somewhere, and gives there what the library's plain call gives."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from networks import layer_weights, layers
from networks.kernels import OPERATIONS, CpuKernel, Operation, Shape, depthwise, formulation, otherwise, pointwise
from searchspace import STREAM
from tests.networks.live_networks import frames, live, small

Call = Callable[[], list[Tensor]]


def drawn(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=dtype).requires_grad_()


def upstream(y: Tensor) -> Tensor:
    """A gradient that does not depend on the kernel."""
    return torch.cos(torch.arange(y.numel(), dtype=y.dtype)).view(y.shape)


def widening(clips: int, frames: int, size: int, inputs: int, outputs: int, gates: bool = False) -> Call:
    """A pointwise convolution and its gradients."""

    def call() -> list[Tensor]:
        leaves = [drawn(clips, inputs, frames, size, size), drawn(outputs, inputs)]
        leaves += [drawn(clips, inputs)] if gates else []
        y = pointwise(*leaves)
        return [y, *torch.autograd.grad(y, leaves, upstream(y))]

    return call


def norm_act(size: int, inputs: int, outputs: int) -> Call:
    """A pointwise convolution, BatchNorm and swish in training, with its moving statistics; float64 for long sums."""

    def call() -> list[Tensor]:
        double = torch.float64
        mean, var = torch.zeros(outputs, dtype=double), torch.ones(outputs, dtype=double)
        norm = layer_weights.NormWeights(drawn(outputs, dtype=double), drawn(outputs, dtype=double), mean, var)
        weights = layer_weights.ConvWeights(drawn(outputs, inputs, dtype=double), norm)
        leaves = [drawn(2, inputs, 2, size, size, dtype=double), weights.weight, norm.weight, norm.bias]
        y = layers.pointwise_norm_act(leaves[0], weights, True, "swish")
        return [y, mean, var, *torch.autograd.grad(y, leaves, upstream(y))]

    return call


def convolving(kernel: tuple[int, int, int], size: int, stride: int = 1, frames: int = 6) -> Call:
    """A depthwise convolution and its gradients."""

    def call() -> list[Tensor]:
        leaves = [drawn(2, 16, frames, size, size), drawn(16, 1, *kernel)]
        y = depthwise(*leaves, stride)
        return [y, *torch.autograd.grad(y, leaves, upstream(y))]

    return call


def streaming(count: int) -> Call:
    """Frames of a fused network, and the state after them."""

    def call() -> list[Tensor]:
        fused = live(dataclasses.replace(small(), form=STREAM)).fuse()
        logits, state = fused(frames(1, count, 24, 20))
        return [logits, *state.values()]

    return call


# operation, kernel -> a call that it serves
SERVED: dict[tuple[str, str], Call] = {
    ("pointwise", "conv2d"): widening(1, 2, 3, 5, 7),
    ("pointwise", "linear"): widening(1, 1, 3, 5, 7),
    ("gated pointwise", "weights"): widening(2, 1, 16, 5, 7, gates=True),
    ("gated pointwise", "map"): widening(2, 1, 15, 5, 7, gates=True),
    ("pointwise, BatchNorm, activation", "folded"): norm_act(182, 3, 16),
    ("pointwise, BatchNorm, activation", "in turn"): norm_act(181, 3, 16),
    ("depthwise", "product"): convolving((5, 3, 3), 1, frames=1),
    ("depthwise", "over time"): convolving((5, 1, 1), 4),
    ("depthwise", "conv3d"): convolving((3, 3, 3), 4),
    ("depthwise input gradient", "product"): convolving((1, 1, 1), 4),
    ("depthwise input gradient", "over time"): convolving((5, 1, 1), 4),
    ("depthwise input gradient", "flipped"): convolving((3, 3, 3), 4),
    ("depthwise input gradient", "2-D library"): convolving((1, 5, 5), 9, 2),
    ("depthwise input gradient", "by parity"): convolving((5, 3, 3), 8, 2),
    ("depthwise input gradient", "spread"): convolving((3, 3, 3), 8, 2),
    ("depthwise weight gradient", "product"): convolving((1, 1, 1), 4),
    ("depthwise weight gradient", "over time"): convolving((5, 1, 1), 4),
    ("depthwise weight gradient", "by rows"): convolving((5, 3, 3), 8),
    ("depthwise weight gradient", "by taps"): convolving((5, 3, 3), 8, 2),
    ("depthwise weight gradient", "by frames"): convolving((3, 3, 3), 8),
    ("streamed frames", "program"): streaming(1),
    ("streamed frames", "general"): streaming(2),
}


def test_every_kernel_has_a_call_here_and_gives_its_reason() -> None:
    rows = [(operation.name, kernel.name) for operation in OPERATIONS.values() for kernel in operation.kernels]
    assert sorted(rows) == sorted(SERVED)
    assert all(kernel.reason and kernel.measured for one in OPERATIONS.values() for kernel in one.kernels)
    assert all(name == operation.name for name, operation in OPERATIONS.items())


@pytest.mark.parametrize(("operation", "kernel"), SERVED)
def test_the_kernel_is_taken_and_equals_the_library(
    operation: str, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, taken = SERVED[operation, kernel], list[str]()

    def spied(row: CpuKernel[Any]) -> CpuKernel[Any]:
        def run(*arguments: Any) -> Any:
            taken.append(row.name)
            return row.run(*arguments)

        return dataclasses.replace(row, run=run)

    monkeypatch.setattr(OPERATIONS[operation], "kernels", tuple(map(spied, OPERATIONS[operation].kernels)))
    ours = call()
    assert set(taken) == {kernel}
    taken.clear()
    with formulation("reference"):
        library = call()
    assert not taken, "the plain call asks no kernel"
    for one, other in zip(ours, library, strict=True):
        assert one.shape == other.shape
        torch.testing.assert_close(one, other, atol=2e-5 * max(1.0, float(other.detach().abs().max())), rtol=1e-5)


def test_a_kernel_that_does_nothing_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No operation computes anything beside the kernel that is taken."""
    for name, operation in OPERATIONS.items():
        with monkeypatch.context() as patch:
            rows = [dataclasses.replace(row, run=refuse) for row in operation.kernels]
            patch.setattr(operation, "kernels", tuple(rows))
            call = next(call for (one, _), call in SERVED.items() if one == name)
            with pytest.raises(RuntimeError, match="no kernel here"):
                call()


def refuse(*_: object) -> None:
    raise RuntimeError("no kernel here")


def test_an_operation_without_a_last_kernel_is_none() -> None:
    row = CpuKernel("one", refuse, lambda shape: shape.frames > 1, "a reason", "a measurement")
    with pytest.raises(AssertionError, match="half"):
        Operation("half", row)
    last = dataclasses.replace(row, when=otherwise)
    with pytest.raises(AssertionError, match="half"):
        Operation("half", last, row)
    with pytest.raises(AssertionError, match="pointwise"):
        Operation("pointwise", last)
    assert "half" not in OPERATIONS


def test_the_first_kernel_that_applies_is_taken() -> None:
    def taken(operation: str, shape: Shape) -> str:
        return OPERATIONS[operation].kernel(shape).name

    assert taken("gated pointwise", Shape(clips=2, frames=8, height=32, width=32, groups=2)) == "weights"
    assert taken("gated pointwise", Shape(clips=2, frames=8, height=4, width=4, groups=2)) == "map"
    assert taken("depthwise weight gradient", Shape(frames=8, height=8, width=8, taps=(5, 3, 3))) == "by rows"
    assert taken("depthwise weight gradient", Shape(frames=8, height=8, width=8, taps=(5, 3, 3), bytes=2)) == "by rows"
    assert taken("depthwise input gradient", Shape(taps=(1, 5, 5), stride=2)) == "2-D library"
    assert taken("depthwise input gradient", Shape(taps=(1, 5, 5), stride=2, bytes=2)) == "spread"
