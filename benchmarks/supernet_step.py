"""A training step of the supernet against that of the stand-alone network of the same architecture.

Forward, backward and one step of SGD with Nesterov momentum, at the same batch and formulation; the two alternate, and
what is printed is the ratio of their medians. Run: python benchmarks/supernet_step.py
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
import torch.nn.functional as F

import searchspace
from networks import MoViNet
from searchspace import Architecture, Space
from supernet import Supernet

CLASSES = 16


def alone(architecture: Architecture, clips: torch.Tensor, labels: torch.Tensor) -> Callable[[], None]:
    """One step of the stand-alone network, without dropout and stochastic depth as in the supernet."""
    plain = dataclasses.replace(architecture, classes=CLASSES, dropout=0.0, drop_path=0.0)
    network = MoViNet(plain)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9, nesterov=True, fused=True)

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(network(clips), labels).backward()
        optimizer.step()

    return step


def shared(net: Supernet, architecture: Architecture, clips: torch.Tensor, labels: torch.Tensor) -> Callable[[], None]:
    """One step of the supernet on one path."""
    optimizer = torch.optim.SGD([net.flat_weights], lr=1e-3, momentum=0.9, nesterov=True, fused=True)

    def step() -> None:
        net.zero_grad()
        F.cross_entropy(net(clips, architecture), labels).backward()
        optimizer.step()

    return step


def medians(steps: list[Callable[[], None]], repeats: int) -> list[float]:
    """Median milliseconds of each, measured in turn."""
    times: list[list[float]] = [[] for _ in steps]
    for round_ in range(repeats + 2):
        for step, measured in zip(steps, times, strict=True):
            start = time.perf_counter()
            step()
            if round_ >= 2:
                measured.append(1e3 * (time.perf_counter() - start))
    return [statistics.median(measured) for measured in times]


def architectures(space: Space) -> dict[str, Architecture]:
    """A2's nearest point, and a random one."""
    rng = np.random.default_rng(0)
    return {
        "nearest to A2": space.nearest(searchspace.published("a2")).architecture,
        "random": space.architecture(space.decisions.sample(rng, 1)[0]),
    }


def main() -> None:
    """Prints one line for each setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9, help="steps measured of each (default 9)")
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 64], help="height and width (default 32 64)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="threads (default 1 2)")
    arguments = parser.parse_args()
    space = searchspace.load("movinet")
    net = Supernet(space, CLASSES)
    labels = torch.arange(16) % CLASSES
    print(f"{'architecture':15} {'clips':13} threads  alone ms  supernet ms  ratio (at most 1.25)")
    for name, architecture in architectures(space).items():
        for size in arguments.sizes:
            clips = torch.rand(16, 3, 8, size, size).contiguous(memory_format=torch.channels_last_3d)
            for threads in arguments.threads:
                torch.set_num_threads(threads)
                steps = [alone(architecture, clips, labels), shared(net, architecture, clips, labels)]
                one, many = medians(steps, arguments.repeats)
                print(
                    f"{name:15} 16x8x{size}x{size:<5} {threads:7} {one:9.1f} {many:12.1f} {many / one:6.2f}", flush=True
                )


if __name__ == "__main__":
    main()
