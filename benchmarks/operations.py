"""Fast formulations against plain library calls, forward plus backward, at the shapes of a search.

Clips are 8 frames, a batch is 16, float32, channels-last memory for both sides. Prints milliseconds (medians, the two
alternating) and how many times faster the formulation is. Run: python benchmarks/operations.py
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from torch import Tensor

from networks import formulation
from networks.depthwise import depthwise
from networks.formulations import channels_last, pointwise, skip_pool, spatial_conv

# channels, map, kernel, stride: from the first block at 64x64 down to the last at 32x32
DEPTHWISE = [
    (64, 32, (1, 5, 5), 2),
    (64, 16, (3, 3, 3), 1),
    (96, 16, (3, 3, 3), 2),
    (120, 8, (3, 3, 3), 1),
    (120, 8, (1, 7, 7), 1),
    (240, 4, (5, 3, 3), 1),
    (240, 4, (3, 3, 3), 1),
    (240, 4, (1, 5, 5), 1),
    (240, 4, (7, 1, 1), 1),
    (240, 2, (5, 3, 3), 1),
    (240, 2, (3, 3, 3), 1),
    (240, 2, (5, 1, 1), 1),
    (480, 2, (5, 3, 3), 2),
    (480, 1, (3, 3, 3), 1),
    (768, 1, (7, 1, 1), 1),
]
POINTWISE = [(16, 64, 32), (40, 120, 16), (72, 240, 8), (240, 72, 4), (144, 480, 2), (480, 144, 1)]


def both_ways(operation: Callable[[Tensor], Tensor], x: Tensor, weight: Tensor, name: str) -> Callable[[], None]:
    """Forward and backward under one formulation."""

    def run() -> None:
        x.grad = weight.grad = None
        with formulation(name):
            y = operation(x)
        y.backward(torch.ones_like(y))

    return run


def compare(label: str, operation: Callable[[Tensor], Tensor], x: Tensor, weight: Tensor, repeats: int) -> None:
    """Prints one line."""
    runs = {name: both_ways(operation, x, weight, name) for name in ("reference", "fast")}
    times: dict[str, list[float]] = {name: [] for name in runs}
    for round_ in range(repeats + 2):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if round_ >= 2:
                times[name].append(1e3 * (time.perf_counter() - start))
    library, fast = (statistics.median(times[name]) for name in ("reference", "fast"))
    print(f"{label:44} {library:9.2f} {fast:9.2f} {library / fast:7.1f}", flush=True)


def main() -> None:
    """Prints a line for each shape."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7, help="measured runs of each (default 7)")
    parser.add_argument("--threads", type=int, default=1, help="threads (default 1)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"{'operation, forward + backward':44} library ms   fast ms   times")
    for channels, size, kernel, stride in DEPTHWISE:
        x = channels_last(torch.randn(16, channels, 8, size, size)).requires_grad_()
        weight = torch.randn(channels, 1, *kernel, requires_grad=True)
        label = f"depthwise {'x'.join(map(str, kernel))} stride {stride}, {channels} x 8x{size}x{size}"
        compare(label, lambda x, w=weight, s=stride: depthwise(x, w, s), x, weight, arguments.repeats)
    for inputs, outputs, size in POINTWISE:
        x = channels_last(torch.randn(16, inputs, 8, size, size)).requires_grad_()
        weight = torch.randn(outputs, inputs, requires_grad=True)
        label = f"pointwise {inputs} -> {outputs}, 8x{size}x{size}"
        compare(label, lambda x, w=weight: pointwise(x, w), x, weight, arguments.repeats)
    for size in (64, 32):
        x = channels_last(torch.rand(16, 3, 8, size, size))
        weight = torch.randn(16, 3, 1, 3, 3, requires_grad=True)
        compare(f"stem 1x3x3, 8x{size}x{size}", lambda x, w=weight: spatial_conv(x, w, 2), x, weight, arguments.repeats)
    x = channels_last(torch.randn(16, 40, 8, 8, 8)).requires_grad_()
    compare("skip pool 40, 8x8x8 (one formulation)", skip_pool, x, x, arguments.repeats)


if __name__ == "__main__":
    main()
