"""Kernels against plain library calls, forward plus backward.

Three tables: the depthwise convolution by classes of shapes, against the ratio to the library's contiguous call that
a prototype had reached (two thirds of it are the aim); the other operations at the shapes of a search; and the
table of all kernels, `networks.kernels.OPERATIONS`. Both sides alternate, three runs each at a time, medians: an
operation of a training step comes upon maps that the layer before has just written, not upon caches that the other side
has filled. The allocator keeps what is freed, for both.

Run: python -m benchmarks.operations
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from experiments.allocator import keep_pages
from networks import formulation, layer_weights, layers
from networks.kernels import OPERATIONS, channels_last, depthwise, pointwise, skip_pool, spatial_conv

Run = Callable[[], None]
IN_A_ROW = 3
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclasses.dataclass(frozen=True)
class ShapeClass:
    """A depthwise convolution of 8 clips of 8 frames.

    Attributes:
        channels, size: of the input; its map is square.
        kernel, stride: of the convolution.
        listed: how many times as fast as the library's contiguous float32 call a prototype was, by dtype.
    """

    channels: int
    size: int
    kernel: tuple[int, int, int]
    stride: int
    listed: dict[str, float]

    def __str__(self) -> str:
        kernel = "x".join(map(str, self.kernel))
        return f"{kernel} stride {self.stride}, {self.channels} x 8x{self.size}x{self.size}"


CLASSES = (
    ShapeClass(24, 64, (1, 5, 5), 2, {"float32": 83.9 / 31, "bfloat16": 83.9 / 61}),
    ShapeClass(80, 32, (3, 3, 3), 2, {"float32": 114 / 31.7, "bfloat16": 114 / 20.2}),
    ShapeClass(80, 16, (3, 3, 3), 1, {"float32": 88.6 / 10, "bfloat16": 88.6 / 7.4}),
    ShapeClass(184, 8, (5, 3, 3), 1, {"float32": 105.6 / 9.3, "bfloat16": 105.6 / 6.7}),
    ShapeClass(384, 8, (5, 3, 3), 2, {"float32": 51.3 / 7.7, "bfloat16": 51.3 / 4.8}),
    ShapeClass(280, 4, (1, 5, 5), 1, {"float32": 21.5 / 4.5, "bfloat16": 21.5 / 13.6}),
    ShapeClass(184, 8, (5, 1, 1), 1, {"float32": 22.1 / 2.0, "bfloat16": 22.1 / 1.1}),
)
# Inputs, outputs, map: 8 clips of 8 frames.
WIDENING = [(8, 24, 64), (16, 40, 64), (40, 120, 16), (72, 240, 8), (144, 480, 2)]
NARROWING = [(40, 16, 32), (120, 40, 16), (240, 72, 8), (480, 144, 2)]


def both_ways(operation: Callable[[], Tensor], leaves: list[Tensor], name: str, dtype: torch.dtype) -> Run:
    """Forward and backward under one formulation; the gradient that comes in is made once."""
    upstream: list[Tensor] = []

    def run() -> None:
        for leaf in leaves:
            leaf.grad = None
        with formulation(name), torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
            y = operation()
        if not upstream:
            upstream.append(torch.randn_like(y))
        y.backward(upstream[0])

    return run


def milliseconds(runs: list[Run], repeats: int) -> list[float]:
    """Median of each, all in turn, each `IN_A_ROW` times: of the processor's time on one thread, which other work on
    the machine disturbs less, else of the wall clock's."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    times: list[list[float]] = [[] for _ in runs]
    for round_ in range(repeats + 2):
        for run, measured in zip(runs, times, strict=True):
            for _ in range(IN_A_ROW):
                start = clock()
                run()
                if round_ >= 2:
                    measured.append(1e3 * (clock() - start))
    return [statistics.median(measured) for measured in times]


def shape_classes(repeats: int) -> None:
    """Prints the depthwise convolution by classes of shapes."""
    print("\n| depthwise, forward and backward | dtype | library, ms | ours, ms | times | listed | two thirds of it |")
    print("|---|---|---|---|---|---|---|")
    for case in CLASSES:
        plain = torch.randn(8, case.channels, 8, case.size, case.size)
        weight = torch.randn(case.channels, 1, *case.kernel, requires_grad=True)
        pad = tuple(taps // 2 for taps in case.kernel)
        contiguous = plain.clone().requires_grad_()
        stride = (1, case.stride, case.stride)

        def library(x: Tensor = contiguous, w: Tensor = weight, s: tuple[int, ...] = stride, p: object = pad) -> Tensor:
            return F.conv3d(x, w, None, s, p, groups=len(w))  # type: ignore[arg-type]

        runs = [both_ways(library, [contiguous, weight], "reference", torch.float32)]
        for dtype in DTYPES.values():
            x = channels_last(plain.to(dtype)).requires_grad_()

            def ours(x: Tensor = x, w: Tensor = weight, s: int = case.stride) -> Tensor:
                return depthwise(x, w, s)

            runs.append(both_ways(ours, [x, weight], "fast", dtype))
        base, *times = milliseconds(runs, repeats)
        for (name, listed), time_ in zip(case.listed.items(), times, strict=True):
            met = "met" if base / time_ >= listed * 2 / 3 else "not met"
            print(
                f"| {case} | {name} | {base:.1f} | {time_:.1f} | {base / time_:.1f} | {listed:.1f} | {met} |",
                flush=True,
            )


def compare(label: str, operation: Callable[[], Tensor], leaves: list[Tensor], repeats: int) -> None:
    """Prints a line: the library's calls and ours, in both precisions, in channels-last memory."""
    runs = [both_ways(operation, leaves, name, dtype) for dtype in DTYPES.values() for name in ("reference", "fast")]
    times = milliseconds(runs, repeats)
    cells = [f"{value:.2f}" for value in times]
    ratios = [f"{times[i] / times[i + 1]:.1f}" for i in (0, 2)]
    print(f"| {label} | {cells[0]} | {cells[1]} | {ratios[0]} | {cells[2]} | {cells[3]} | {ratios[1]} |", flush=True)


def operations(repeats: int) -> None:
    """Prints the operations beside the depthwise one."""
    print("\n| operation, 8 clips of 8 frames | library, ms | ours | times | library, bfloat16 | ours | times |")
    print("|---|---|---|---|---|---|---|")

    def leaf(*shape: int) -> Tensor:
        x = torch.randn(*shape)
        return (channels_last(x) if x.dim() == 5 else x).requires_grad_()

    for inputs, outputs, size in WIDENING:
        x, weight = leaf(8, inputs, 8, size, size), leaf(outputs, inputs)
        norm = layer_weights.NormWeights(leaf(outputs), leaf(outputs))
        conv = layer_weights.ConvWeights(weight, norm)
        leaves = [x, weight, norm.weight, norm.bias]
        label = f"pointwise {inputs} -> {outputs}, BatchNorm, swish, {size}x{size}"
        compare(label, lambda x=x, c=conv: layers.pointwise_norm_act(x, c, True, "swish"), leaves, repeats)  # type: ignore[misc]
    for inputs, outputs, size in NARROWING:
        x, weight, gate = leaf(8, inputs, 8, size, size), leaf(outputs, inputs), leaf(8, inputs)
        label = f"gates, pointwise {inputs} -> {outputs}, {size}x{size}"
        compare(label, lambda x=x, w=weight, g=gate: pointwise(x, w, g), [x, weight, gate], repeats)  # type: ignore[misc]
    for size in (64, 128):
        x, weight = channels_last(torch.rand(8, 3, 8, size, size)), leaf(16, 3, 1, 3, 3)
        compare(f"stem 1x3x3, {size}x{size}", lambda x=x, w=weight: spatial_conv(x, w, 2), [weight], repeats)  # type: ignore[misc]
    x = leaf(8, 40, 8, 16, 16)
    compare("skip pool 40, 16x16 (one formulation)", lambda: skip_pool(x), [x], repeats)


def kernels() -> None:
    """Prints the table of kernels."""
    print("\n| operation | kernel | why | measured |")
    print("|---|---|---|---|")
    for operation in OPERATIONS.values():
        for kernel in operation.kernels:
            print(f"| {operation.name} | {kernel.name} | {kernel.reason} | {kernel.measured} |")


def main() -> None:
    """Prints the three tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9, help="measured runs of each (default 9)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1], help="threads (default 1)")
    arguments = parser.parse_args()
    keep_pages()
    for threads in arguments.threads:
        torch.set_num_threads(threads)
        print(f"\n{threads} thread{'s' * (threads > 1)}, torch {torch.__version__}")
        shape_classes(arguments.repeats)
        operations(arguments.repeats)
    kernels()


if __name__ == "__main__":
    main()
