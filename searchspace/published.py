"""The networks that the authors of MoViNet published, A0 to A5 and T0, as architectures beside the space."""

from __future__ import annotations

import dataclasses
import functools
from importlib import resources
from typing import Any

from searchspace.architecture import Architecture, Block, Head, Layer, Stem
from searchspace.clip import Clip, Kernel
from searchspace.form import BASE
from searchspace.schema import nearest, parse_yaml


def published_names() -> tuple[str, ...]:
    """Names that `published` knows, in order of size with T0 last."""
    return tuple(_table())


def published(name: str, stream: bool = False) -> Architecture:
    """One of the published networks for the 600 classes of Kinetics-600.

    Args:
        name: `"a0"` to `"a5"` or `"t0"`, in any case.
        stream: the causal one, as released: with the gate of 2021, and positional encoding in A3 to A5.

    Raises:
        ValueError: there is no such network.
    """
    key = name.lower()
    table = _table()
    if key not in table:
        raise ValueError(f"{name!r} is not a published network; known: {', '.join(table)}{nearest(key, table)}")
    row = table[key]
    base = Architecture(
        name=key,
        clip=Clip.parse(row["clip"]),
        classes=600,
        stem=Stem(row["stem"]),
        blocks=tuple(_block(block) for block in row["blocks"]),
        head=Head(*row["head"]),
        dropout=row["dropout"],
        drop_path=0.2,
        provenance={"source": "Kondratyuk et al., arXiv 2103.11511, as released"},
    )
    if not stream:
        return base
    dropout = row.get("stream_dropout", base.dropout)
    return dataclasses.replace(base.streaming(row.get("stream_positions", False)), dropout=dropout)


def _block(row: dict[str, Any]) -> Block:
    layers = []
    for i, text in enumerate(row["layers"].split()):
        kernel, expand = text.split(":")
        stride = row["stride"] if i == 0 else 1
        layers.append(Layer(Kernel.parse(kernel), stride, int(expand), BASE.squeeze_width(int(expand))))
    return Block(row["width"], tuple(layers))


@functools.cache
def _table() -> dict[str, Any]:
    text = resources.files("searchspace").joinpath("published.yaml").read_text(encoding="utf-8")
    table = parse_yaml(text, "published.yaml")
    assert isinstance(table, dict)
    return table
