"""What tests of the supernet share: a small space with every kernel, and a supernet that is live."""

import dataclasses

import numpy as np
import torch

from searchspace import Architecture, Choices, Space
from searchspace.space import read_space
from supernet import Supernet

SPACE = {
    "name": "small",
    "clip": "4x16x16@5",
    "classes": 5,
    "stem": {"width": 8, "kernel": "1x3x3"},
    "choices": {
        "multipliers": [0.75, 1, 1.5],
        "depth": [1, 2, 3],
        "kernel": ["1x3x3", "1x5x5", "1x7x7", "5x1x1", "7x1x1", "3x3x3", "5x3x3", "tsm1x3x3"],
        "expansion": [1.5, 2, 3],
        "se": [False, True],
    },
    "blocks": [{"width": 16, "stride": 2}, {"width": 16, "stride": 1}, {"width": 24, "stride": 2}],
    "head": {"width": 32, "multipliers": [0.75, 1], "hidden": 40},
}


def small_space(stream: bool = False, position_encoding: bool = False) -> Space:
    """The small space, or its causal form."""
    space = read_space(SPACE, "small")
    form = space.form.streaming(position_encoding)
    return dataclasses.replace(space, form=form) if stream else space


def live(space: Space, kernels: str = "nested", seed: int = 0) -> Supernet:
    """A supernet whose scalars, affine parts, biases and own kernels are all random and not zero."""
    net = Supernet(space, space.classes, kernels=kernels, seed=seed)  # type: ignore[arg-type]  # refused if wrong
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in net.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            last = name.rsplit(".", 1)[-1]
            if last in ("scale", "position_scale"):
                p.copy_(0.5 + 0.1 * noise)
            elif last == "norm_weight":
                p.copy_(1 + 0.1 * noise)
            elif last in ("norm_bias", "bias"):
                p.copy_(0.1 * noise)
            elif ".own." in name:
                p.add_(0.1 * noise)
            elif name == "classifier.weight":
                p.copy_(0.3 * noise)
    return net


def sample(space: Space, seed: int, count: int = 1) -> Choices:
    return space.decisions.sample(np.random.default_rng(seed), count)


def draw(space: Space, seed: int) -> Architecture:
    """A random architecture of a space."""
    return space.architecture(sample(space, seed)[0])
