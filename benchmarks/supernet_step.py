"""A training step of the supernet against that of the stand-alone network of the same architecture.

Forward, backward and one step of SGD with Nesterov momentum, at the same batch and formulation; all alternate, and what
is printed are ratios of their medians: of the supernet to the network alone, of the supernet in float32 to bfloat16,
and of a step with activation checkpointing to one without. Run: python -m benchmarks.supernet_step
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

import searchspace
from benchmarks.operations import milliseconds
from networks import MoViNet, formulation
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


def shared(
    net: Supernet,
    architecture: Architecture,
    clips: torch.Tensor,
    labels: torch.Tensor,
    bfloat16: bool = False,
    checkpointing: bool = False,
) -> Callable[[], None]:
    """One step of the supernet on one path."""
    optimizer = torch.optim.SGD([net.flat_weights], lr=1e-3, momentum=0.9, nesterov=True, fused=True)

    def step() -> None:
        net.checkpointing = checkpointing
        net.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            logits = net(clips, architecture)
        F.cross_entropy(logits.float(), labels).backward()
        optimizer.step()

    return step


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
    parser.add_argument("--formulation", choices=["fast", "reference"], default="fast", help="of both (default fast)")
    arguments = parser.parse_args()
    space = searchspace.load("movinet")
    net = Supernet(space, CLASSES)
    labels = torch.arange(16) % CLASSES
    print(
        "| architecture | clips | threads | alone, ms | supernet, ms | ratio | bfloat16, ms | times as fast | ", end=""
    )
    print("checkpointing, ms | price |\n|---|---|---|---|---|---|---|---|---|---|")
    for name, architecture in architectures(space).items():
        for size in arguments.sizes:
            clips = torch.rand(16, 3, 8, size, size).contiguous(memory_format=torch.channels_last_3d)
            for threads in arguments.threads:
                torch.set_num_threads(threads)
                steps = [
                    alone(architecture, clips, labels),
                    shared(net, architecture, clips, labels),
                    shared(net, architecture, clips, labels, bfloat16=True),
                    shared(net, architecture, clips, labels, checkpointing=True),
                ]
                with formulation(arguments.formulation):
                    one, many, half, again = milliseconds(steps, arguments.repeats)
                print(
                    f"| {name} | 16x8x{size}x{size} | {threads} | {one:.1f} | {many:.1f} | {many / one:.2f} "
                    f"| {half:.1f} | {many / half:.2f} | {again:.1f} | {again / many:.2f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
