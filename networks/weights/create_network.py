"""From a name, a file or an architecture to a network with weights."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeAlias, overload

import torch

import searchspace
from networks.movinet import MoViNet
from networks.registry import build
from networks.video_network import Network
from networks.weights.saved_weights import check_size, load_weights
from searchspace import Architecture, NetworkSpec, published_ensembles, published_names


def names() -> tuple[str, ...]:
    """Networks that `create` knows by name; each also with `stream=True`."""
    return (*published_names(), *published_ensembles())


PathLike: TypeAlias = str | os.PathLike[str]


@overload
def create(
    architecture: Architecture,
    *,
    stream: bool = False,
    classes: int | None = None,
    weights: PathLike | None = None,
    gate: str | None = None,
    generator: torch.Generator | None = None,
    features_only: bool = False,
) -> MoViNet: ...


@overload
def create(
    architecture: PathLike | NetworkSpec,
    *,
    stream: bool = False,
    classes: int | None = None,
    weights: PathLike | Sequence[PathLike] | None = None,
    gate: str | None = None,
    generator: torch.Generator | None = None,
    features_only: bool = False,
) -> Network: ...


def create(
    architecture: PathLike | NetworkSpec,
    *,
    stream: bool = False,
    classes: int | None = None,
    weights: PathLike | Sequence[PathLike] | None = None,
    gate: str | None = None,
    generator: torch.Generator | None = None,
    features_only: bool = False,
) -> Network:
    """Builds a network.

    Args:
        architecture: a published name ("a2"), the path of an arch.json or of weights that carry their architecture, an
            `Architecture` or an `Ensemble`.
        stream: the causal form, as released for a published name; see `Architecture.streaming` for others.
        classes: outputs of the classifier; by default the architecture's own.
        weights: a safetensors file of exactly this network, or for an ensemble a list of files, one of each member;
            without it the weights are drawn.
        gate: of squeeze-excitation, instead of the architecture's own, such as "hard_sigmoid" for what the reference's
            code computes since 2022. Weights that say they were trained with another one are loaded with a warning.
        generator: the source of the initial weights; None for torch's global one.
        features_only: the network gives the maps of its blocks in place of logits, see `MoViNet.features`; ensembles
            have none.

    Returns:
        The network in training mode, on the CPU.

    Raises:
        ValueError: an unknown name, a malformed or missing file, or weights that do not fit.
    """
    found = find(architecture, stream)
    if gate is not None:
        found = found.with_gate(gate)
    if classes is not None:
        found = found.with_classes(classes)
    files = [weights] if isinstance(weights, str | os.PathLike) else list(weights or ())
    if files:
        check_size(found, files)
    network = build(found, generator)
    if features_only:
        network.give_features()
    any_gate = gate is not None
    if isinstance(weights, str | os.PathLike):
        load_weights(network, weights, any_gate=any_gate)
    elif weights is not None:
        _load_members(network, files, any_gate)
    return network


def find(architecture: PathLike | NetworkSpec, stream: bool = False) -> NetworkSpec:
    """What `create` builds by these arguments; raises `ValueError` as it does."""
    if isinstance(architecture, str | os.PathLike):
        return searchspace.find(architecture, stream)
    return architecture.streaming() if stream else architecture


def _load_members(network: Network, files: Sequence[PathLike], any_gate: bool) -> None:
    members = network.networks()
    if len(files) != len(members):
        raise ValueError(
            f"{len(files)} files of weights for network {network.architecture.name!r} of {len(members)} members; "
            "give one file of each member, or one file of all"
        )
    for member, file in zip(members, files, strict=True):
        load_weights(member, file, any_gate=any_gate)
