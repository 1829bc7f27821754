"""From a name, a file or an architecture to a network with weights."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import torch

from networks.movinet import MoViNet
from networks.weights import load_weights
from searchspace import Architecture, published, published_names
from searchspace.schema import nearest


def names() -> tuple[str, ...]:
    """Networks that `create` knows by name; each also with `stream=True`."""
    return tuple(published_names())


def create(
    architecture: str | os.PathLike[str] | Architecture,
    *,
    stream: bool = False,
    classes: int | None = None,
    weights: str | os.PathLike[str] | None = None,
    gate: str | None = None,
    generator: torch.Generator | None = None,
    features_only: bool = False,
) -> MoViNet:
    """Builds a network.

    Args:
        architecture: a published name ("a2"), the path of an arch.json or of weights that carry their architecture, or
            an `Architecture`.
        stream: the causal form, as released for a published name; see `Architecture.streaming` for others.
        classes: outputs of the classifier; by default the architecture's own.
        weights: a safetensors file of exactly this network; without it the weights are drawn.
        gate: of squeeze-excitation, instead of the architecture's own, such as "hard_sigmoid" for what the reference's
            code computes since 2022. Weights that say they were trained with another one are loaded with a warning.
        generator: the source of the initial weights; None for torch's global one.
        features_only: the network gives the maps of its blocks in place of logits, see `MoViNet.features`.

    Returns:
        The network in training mode, on the CPU.

    Raises:
        ValueError: an unknown name, a malformed or missing file, or weights that do not fit.
    """
    found = find(architecture, stream)
    if gate is not None:
        found = dataclasses.replace(found, form=dataclasses.replace(found.form, gate=gate))
    if classes is not None:
        if classes < 1:
            raise ValueError(f"{classes} classes: must be at least 1")
        found = dataclasses.replace(found, classes=classes)
    network = MoViNet(found, generator)
    network.features_only = features_only
    if weights is not None:
        load_weights(network, weights, any_gate=gate is not None)
    return network


def find(architecture: str | os.PathLike[str] | Architecture, stream: bool = False) -> Architecture:
    """The architecture that `create` builds by these arguments; raises `ValueError` as it does."""
    if isinstance(architecture, Architecture):
        return architecture.streaming() if stream else architecture
    if isinstance(architecture, str) and architecture in names():
        return published(architecture, stream)
    path = Path(architecture)
    if path.suffix or path.exists() or len(path.parts) > 1:
        found = Architecture.load(path)
        return found.streaming() if stream else found
    raise ValueError(
        f"network {str(architecture)!r} is not known{nearest(str(architecture), names())} "
        f"(known: {', '.join(names())}; or give the path of an arch.json)"
    )
