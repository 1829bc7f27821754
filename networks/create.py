"""From a name, a file or an architecture to a network with weights."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias, overload

import safetensors
import safetensors.torch

from networks.ensemble import Network, TemporalEnsemble
from networks.movinet import MoViNet
from searchspace import (
    Architecture,
    Buildable,
    Ensemble,
    load_architecture,
    published,
    published_ensembles,
    published_names,
)
from searchspace.schema import nearest


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
    features_only: bool = False,
) -> MoViNet: ...


@overload
def create(
    architecture: PathLike | Buildable,
    *,
    stream: bool = False,
    classes: int | None = None,
    weights: PathLike | Sequence[PathLike] | None = None,
    gate: str | None = None,
    features_only: bool = False,
) -> Network: ...


def create(
    architecture: PathLike | Buildable,
    *,
    stream: bool = False,
    classes: int | None = None,
    weights: PathLike | Sequence[PathLike] | None = None,
    gate: str | None = None,
    features_only: bool = False,
) -> Network:
    """Builds a network.

    Args:
        architecture: a published name ("a2"), the path of an arch.json, an `Architecture` or an `Ensemble`.
        stream: the causal form, as released for a published name; see `Architecture.streaming` for others.
        classes: outputs of the classifier; by default the architecture's own.
        weights: a safetensors file of exactly this network, or for an ensemble a list of files, one of each member;
            without it the weights are drawn from torch's global generator.
        gate: of squeeze-excitation, instead of the architecture's own, such as "hard_sigmoid" for stream weights that
            were trained with the reference's code of 2022 or later.
        features_only: the network gives the maps of its blocks in place of logits, see `MoViNet.features`; ensembles
            have none.

    Returns:
        The network in training mode, on the CPU.

    Raises:
        ValueError: an unknown name, a malformed or missing file, or weights that do not fit.
    """
    found = architecture if isinstance(architecture, Architecture | Ensemble) else _find(architecture, stream)
    if stream:
        found = found.streaming()
    if gate is not None:
        found = _each(found, lambda one: dataclasses.replace(one, form=dataclasses.replace(one.form, gate=gate)))
    if classes is not None:
        if classes < 1:
            raise ValueError(f"{classes} classes: must be at least 1")
        found = _each(found, lambda one: dataclasses.replace(one, classes=classes))
    network = _build(found, features_only)
    if isinstance(weights, str | os.PathLike):
        load_weights(network, weights)
    elif weights is not None:
        _load_members(network, weights)
    return network


def _build(found: Buildable, features_only: bool) -> Network:
    if isinstance(found, Architecture):
        network = MoViNet(found)
        network.features_only = features_only
        return network
    if features_only:
        raise ValueError(f"ensemble {found.name!r} has no feature maps of its own; create its members, one by one")
    return TemporalEnsemble(found)


def _each(found: Buildable, change: Callable[[Architecture], Architecture]) -> Buildable:
    return found.map(change) if isinstance(found, Ensemble) else change(found)


def _load_members(network: Network, files: Sequence[PathLike]) -> None:
    members = network.networks() if isinstance(network, TemporalEnsemble) else [network]
    if len(files) != len(members):
        raise ValueError(
            f"{len(files)} files of weights for network {network.architecture.name!r} of {len(members)} members; "
            "give one file of each member, or one file of all"
        )
    for member, file in zip(members, files, strict=True):
        load_weights(member, file)


def load_weights(network: Network, path: str | os.PathLike[str]) -> None:
    """Reads a safetensors file into a network; every tensor must be there, have its shape, and no other.

    Raises:
        ValueError: no such file, not safetensors, or tensors that do not fit; names the first.
    """
    file = Path(path)
    try:
        tensors = safetensors.torch.load_file(file)
    except FileNotFoundError:
        raise ValueError(f"{file}: no such file; give the path of a .safetensors file") from None
    except (safetensors.SafetensorError, OSError) as error:
        raise ValueError(f"{file}: not a readable safetensors file ({error})") from None
    own = network.state_dict()
    for name in [*own, *tensors]:
        problem = None
        if name not in tensors:
            problem = "is missing"
        elif name not in own:
            problem = "belongs to no layer of this network"
        elif own[name].shape != tensors[name].shape:
            problem = f"has shape {list(tensors[name].shape)}, this network wants {list(own[name].shape)}"
        if problem:
            raise ValueError(f"{file}: tensor {name!r} {problem}; give the arch.json and classes of these weights")
    network.load_state_dict(tensors)


def _find(architecture: PathLike, stream: bool) -> Buildable:
    if isinstance(architecture, str) and architecture in names():
        return published(architecture, stream)
    path = Path(architecture)
    if path.suffix or path.exists() or len(path.parts) > 1:
        return load_architecture(path)
    raise ValueError(
        f"network {str(architecture)!r} is not known{nearest(str(architecture), names())} "
        f"(known: {', '.join(names())}; or give the path of an arch.json)"
    )
