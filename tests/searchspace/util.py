"""Spaces small enough to enumerate, random architectures, and the cost of a network counted another way."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import numpy as np
import yaml

from searchspace import Architecture, Block, Clip, Ensemble, Form, Head, Kernel, Layer, Member, Space, Stem
from searchspace.form import WORDS
from searchspace.schema import parse_yaml
from searchspace.space import read_space

KERNELS = ("1x3x3", "1x5x5", "1x7x7", "5x1x1", "7x1x1", "3x3x3", "5x3x3", "tsm1x3x3", "tsm1x1x1")

# A user's space: kernels, depths, ratios and shapes of its own, and blocks that offer their own choices.
USERS = """
name: mine
clip: 12x90x70@12.5
classes: 17
stem: {width: 24, kernel: 1x5x5}
choices:
  multipliers: [0.5, 1, 1.5]
  depth: [2, 5, 3]
  kernel: [3x5x5, 1x1x1, 1x9x9]
  expansion: [1, 3, 6]
  se: [true]
blocks:
  - {width: 16, stride: 1, depth: [1, 4]}
  - {width: 40, stride: 2, kernel: [1x3x3, 9x1x1], se: [false, true]}
  - {width: 72, stride: 2, expansion: [2, 2.02, 5], multipliers: [1]}
head: {width: 200, multipliers: [1, 2], hidden: 300}
"""


def read(text: str, where: str = "space.yaml") -> Space:
    """A space from the text of its file."""
    return read_space(parse_yaml(text, where), where)


def random_form(rng: np.random.Generator) -> Form:
    """The base networks' form, or any other."""
    if rng.random() < 0.4:
        return Form()
    words = {key: str(rng.choice(allowed)) for key, allowed in WORDS.items()}
    causal = bool(rng.integers(2))
    return Form(causal=causal, position_encoding=causal and bool(rng.integers(2)), norm_eps=0.002, **words)


def random_space(rng: np.random.Generator, most: int = 20_000) -> Space:
    """A space of at most `most` rows of choices, with anything that a file may offer."""

    def some(values: list[Any], most: int) -> list[Any]:
        count = int(rng.integers(1, min(most, len(values)) + 1))
        return [values[i] for i in sorted(rng.choice(len(values), count, replace=False))]

    while True:
        blocks = [
            {
                "width": int(rng.choice([8, 24, 40])),
                "stride": int(rng.integers(1, 3)),
                "multipliers": some([0.5, 1, 2], 3),
                "depth": some([1, 2, 3, 4], 3),
                "kernel": some(list(KERNELS), 2),
                "expansion": some([0.5, 1, 2, 4], 2),
                "se": some([False, True], 2),
            }
            for _ in range(int(rng.integers(1, 4)))
        ]
        data = {
            "name": "tiny",
            "clip": f"{rng.integers(1, 9)}x{rng.integers(5, 60)}x{rng.integers(5, 60)}@5",
            "classes": int(rng.integers(1, 50)),
            "stem": {"width": int(rng.choice([3, 8, 64])), "kernel": "1x3x3"},
            "blocks": blocks,
            "head": {"width": 64, "multipliers": some([0.5, 1, 4], 3), "hidden": int(rng.integers(1, 80))},
            **dataclasses.replace(random_form(rng), head_pool="3d").to_dict(),
        }
        space = read(yaml.safe_dump(data))
        if space.encodings() <= most:
            return space


def every(space: Space) -> np.ndarray:
    """All rows of choices, inactive entries as they come, int8 [encodings, D]."""
    return np.array(list(itertools.product(*(range(size) for size in space.decisions.sizes))), dtype=np.int8)


def random_architecture(rng: np.random.Generator) -> Architecture:
    """Anything that an arch.json may hold, in small."""
    blocks = []
    for _ in range(int(rng.integers(1, 5))):
        layers = tuple(
            Layer(
                Kernel.parse(str(rng.choice(KERNELS))),
                int(rng.integers(1, 3)),
                int(rng.integers(8, 90)),
                int(rng.choice([0, 0, 5, 16])),
            )
            for _ in range(int(rng.integers(1, 5)))
        )
        blocks.append(Block(int(rng.integers(1, 60)), layers))
    return Architecture(
        name=f"random-{rng.integers(1000)}",
        clip=Clip(int(rng.integers(1, 20)), int(rng.integers(1, 200)), int(rng.integers(1, 200)), 7.5),
        classes=int(rng.integers(1, 300)),
        stem=Stem(int(rng.integers(1, 40))),
        blocks=tuple(blocks),
        head=Head(int(rng.integers(1, 300)), int(rng.integers(1, 300))),
        form=random_form(rng),
        provenance={"seed": 1, "note": "naïve \N{SNOWMAN}", "scores": [0.5, None, True]},
    )


def random_ensemble(rng: np.random.Generator) -> Ensemble:
    """One to four networks of rates that divide a clip's, some of them smaller."""
    causal, clip, members = bool(rng.integers(2)), Clip(12, 48, 40, 30), []
    for i in range(int(rng.integers(1, 5))):
        stride = int(rng.choice([1, 2, 3, 4]))
        size = (48, 40) if rng.random() < 0.5 else (int(rng.integers(10, 60)), int(rng.integers(10, 60)))
        single = random_architecture(rng)
        single = dataclasses.replace(
            single,
            clip=Clip(12 // stride, *size, 30 / stride),
            classes=7,
            form=dataclasses.replace(single.form, causal=causal, position_encoding=False, head_pool="3d"),
        )
        members.append(Member(single, int(rng.integers(stride)) if i else 0))
    return Ensemble("some", clip, tuple(members), {"seed": 1})


def counted(architecture: Architecture, clip: Clip) -> tuple[dict[str, int], dict[str, int]]:
    """MACs and parameters by kind of operation: a list of convolutions first, then one product each.

    A convolution is (kind, inputs per output channel, outputs, taps, output positions); BatchNorm has two parameters
    an output, a linear layer one.
    """
    maps, form = [(clip.height, clip.width)], architecture.form

    def positions(at: tuple[int, int]) -> int:
        return clip.frames * at[0] * at[1]

    def strided(stride: int) -> None:
        maps.append(tuple(math.ceil(side / stride) for side in maps[-1]))  # type: ignore[arg-type]

    strided(2)
    rows = [("stem", 3, architecture.stem.width, math.prod(architecture.stem.kernel.size), positions(maps[-1]))]
    scalars, channels = 0, architecture.stem.width
    for block in architecture.blocks:
        for layer in block.layers:
            strided(layer.stride)
            old, new = positions(maps[-2]), positions(maps[-1])
            rows.append(("expand", channels, layer.expand, 1, old))
            if form.convolution == "2plus1d" and layer.kernel.t > 1:
                rows.append(("depthwise", 1, layer.expand, layer.kernel.h * layer.kernel.w, new))
                rows.append(("depthwise", 1, layer.expand, layer.kernel.t, new))
            else:
                rows.append(("depthwise", 1, layer.expand, math.prod(layer.kernel.size), new))
            if layer.squeeze:
                gates = 1 if form.squeeze_kind == "3d" and not form.causal else clip.frames
                seen = layer.expand * (2 if form.squeeze_kind == "2plus3d" else 1)
                rows += [("se", seen, layer.squeeze, 1, gates), ("se", layer.squeeze, layer.expand, 1, gates)]
                scalars += form.position_encoding
            rows.append(("project", layer.expand, block.width, 1, new))
            if layer.stride > 1 or channels != block.width:
                rows.append(("skip", channels, block.width, 1, new))
            channels, scalars = block.width, scalars + 1
    head = architecture.head
    rows.append(("head", channels, head.width, 1, positions(maps[-1])))
    answers = {"3d": 1, "2d": clip.frames, "none": positions(maps[-1])}[form.head_pool]
    rows += [("dense", head.width, head.hidden, 1, answers), ("dense", head.hidden, architecture.classes, 1, answers)]
    macs: dict[str, int] = {}
    params = {"scalars": scalars}
    for kind, inputs, outputs, taps, at in rows:
        macs[kind] = macs.get(kind, 0) + inputs * outputs * taps * at
        extra = outputs if kind in ("se", "dense") else 2 * outputs
        params[kind] = params.get(kind, 0) + inputs * outputs * taps + extra
    return macs, params
