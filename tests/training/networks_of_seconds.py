"""Networks, clips and recipes so small that a step takes milliseconds."""

import dataclasses

import torch

import networks
from searchspace import Architecture, Block, Clip, Form, Head, Kernel, Layer, Stem
from searchspace.form import BASE
from training.recipe import Recipe


def architecture(stream: bool = False, classes: int = 18, **changes) -> Architecture:
    """Two blocks with squeeze-excitation, a temporal kernel in each."""
    form: Form = BASE
    blocks = (
        Block(8, (Layer(Kernel(3, 3, 3), 2, 16, form.squeeze_width(16)),)),
        Block(16, (Layer(Kernel(5, 3, 3), 2, 24, form.squeeze_width(24)), Layer(Kernel(1, 3, 3), 1, 24, 8))),
    )
    settings = {"dropout": 0.2, "drop_path": 0.2, **changes}
    base = Architecture("tiny", Clip(4, 16, 16, 5.0), classes, Stem(8), blocks, Head(24, 32), **settings)
    return base.streaming() if stream else base


def network(stream: bool = False, seed: int = 0, residual: float = 0.5, **changes):
    """With live residual scalars."""
    result = networks.create(architecture(stream, **changes), generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        for layer in result.bottlenecks():
            layer.scale.fill_(residual)
    return result


def batch(seed: int = 0, clips: int = 8, frames: int = 4):
    """Random clips, uint8 [N, 3, T, 16, 16], and labels."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (clips, frames, 16, 16, 3), dtype=torch.uint8, generator=generator)
    return pixels.permute(0, 4, 1, 2, 3), torch.randint(0, 18, (clips,), generator=generator)


def recipe(**settings) -> Recipe:
    """The demo recipe with some values changed; `__` stands for the dot."""
    return Recipe.load("demo").changed({key.replace("__", "."): value for key, value in settings.items()})


def plain(architecture: Architecture) -> Architecture:
    """Without dropout and stochastic depth."""
    return dataclasses.replace(architecture, dropout=0.0, drop_path=0.0)
