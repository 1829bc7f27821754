"""What the authors of MoViNet published beside the space: networks A0 to A5 and T0, and A6, an ensemble."""

from __future__ import annotations

import dataclasses
import functools
from importlib import resources
from typing import Any, Literal, overload

from searchspace.architecture import Architecture
from searchspace.clip import Clip, Kernel
from searchspace.ensemble import Ensemble
from searchspace.form import BASE
from searchspace.layer_specs import Block, Head, Layer, Stem
from searchspace.schema import nearest, parse_yaml
from searchspace.spec import Member, NetworkSpec

_SOURCE = "Kondratyuk et al., arXiv 2103.11511"
_SINGLE = Literal["a0", "a1", "a2", "a3", "a4", "a5", "t0"]


def published_names() -> tuple[str, ...]:
    """The networks that `published` knows, in order of size with T0 last; without the ensemble."""
    return tuple(name for name, row in _table().items() if "members" not in row)


def published_ensembles() -> tuple[str, ...]:
    """The ensembles that `published` knows."""
    return tuple(name for name, row in _table().items() if "members" in row)


@overload
def published(name: _SINGLE, stream: bool = False) -> Architecture: ...


@overload
def published(name: Literal["a6"], stream: bool = False) -> Ensemble: ...


@overload
def published(name: str, stream: bool = False) -> NetworkSpec: ...


def published(name: str, stream: bool = False) -> NetworkSpec:
    """One of the published networks for the 600 classes of Kinetics-600.

    Args:
        name: `"a0"` to `"a5"` or `"t0"`, or `"a6"` for the ensemble of A4 and A5, in any case.
        stream: the causal one, as released: with the gate of 2021, and positional encoding in A3 to A5.

    Raises:
        ValueError: there is no such network.
    """
    key = name.lower()
    table = _table()
    if key not in table:
        raise ValueError(f"{name!r} is not a published network; known: {', '.join(table)}{nearest(key, table)}")
    row = table[key]
    if "members" not in row:
        return _network(key, row, stream)
    return Ensemble(
        name=f"{key}-stream" if stream else key,
        clip=Clip.parse(row["clip"]),
        members=tuple(Member(_network(name, table[name], stream), i) for i, name in enumerate(row["members"])),
        provenance={"source": f"{_SOURCE}; which frames the members take is our reading"},
    )


def _network(key: str, row: dict[str, Any], stream: bool) -> Architecture:
    base = Architecture(
        name=key,
        clip=Clip.parse(row["clip"]),
        classes=600,
        stem=Stem(row["stem"]),
        blocks=tuple(_block(block) for block in row["blocks"]),
        head=Head(*row["head"]),
        dropout=row["dropout"],
        drop_path=0.2,
        provenance={"source": f"{_SOURCE}, as released"},
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
