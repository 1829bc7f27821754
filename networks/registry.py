"""Which network a family's data is built as: one row a family, from its own file or a plugin's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch

from networks.video_network import Network
from searchspace import NetworkSpec
from searchspace.spec import FAMILIES

N = TypeVar("N", bound=type[Network])
NETWORKS: dict[str, Callable[[Any, torch.Generator | None], Network]] = {}
"""By the family's name: called with the data and the source of the initial weights (None for torch's global one)."""


def network_of(kind: type[NetworkSpec]) -> Callable[[N], N]:
    """Decorates the network of a family of ours."""

    def add(network: N) -> N:
        NETWORKS[kind.family] = network
        return network

    return add


def register(kind: type[NetworkSpec]) -> Callable[[N], N]:
    """Decorates the network of a family that a plugin registered.

    Raises:
        ValueError: a family that `searchspace.spec.register` was not given, or that has a network.
    """
    if FAMILIES.get(kind.family) is not kind:
        raise ValueError(f"family {kind.family!r} is not registered; give it to searchspace.spec.register first")
    if kind.family in NETWORKS:
        raise ValueError(f"family {kind.family!r} has a network; give another name")
    return network_of(kind)


def build(architecture: NetworkSpec, generator: torch.Generator | None = None) -> Network:
    """The network of an architecture of any family, its weights drawn; raises `ValueError` where there is none."""
    if architecture.family not in NETWORKS:
        raise ValueError(f"family {architecture.family!r} has no network; networks.register gives it one")
    return NETWORKS[architecture.family](architecture, generator)
