"""From a name, a file or an architecture to a network with weights."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import safetensors
import safetensors.torch

from networks.movinet import MoViNet
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
) -> MoViNet:
    """Builds a network.

    Args:
        architecture: a published name ("a2"), the path of an arch.json, or an `Architecture`.
        stream: the causal form, as released for a published name; see `Architecture.streaming` for others.
        classes: outputs of the classifier; by default the architecture's own.
        weights: a safetensors file of exactly this network; without it the weights are drawn from torch's global
            generator.
        gate: of squeeze-excitation, instead of the architecture's own, such as "hard_sigmoid" for stream weights that
            were trained with the reference's code of 2022 or later.

    Returns:
        The network in training mode, on the CPU.

    Raises:
        ValueError: an unknown name, a malformed or missing file, or weights that do not fit.
    """
    found = architecture if isinstance(architecture, Architecture) else _find(architecture, stream)
    if stream:
        found = found.streaming()
    if gate is not None:
        found = dataclasses.replace(found, form=dataclasses.replace(found.form, gate=gate))
    if classes is not None:
        if classes < 1:
            raise ValueError(f"{classes} classes: must be at least 1")
        found = dataclasses.replace(found, classes=classes)
    network = MoViNet(found)
    if weights is not None:
        load_weights(network, weights)
    return network


def load_weights(network: MoViNet, path: str | os.PathLike[str]) -> None:
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


def _find(architecture: str | os.PathLike[str], stream: bool) -> Architecture:
    if isinstance(architecture, str) and architecture in names():
        return published(architecture, stream)
    path = Path(architecture)
    if path.suffix or path.exists() or len(path.parts) > 1:
        return Architecture.load(path)
    raise ValueError(
        f"network {str(architecture)!r} is not known{nearest(str(architecture), names())} "
        f"(known: {', '.join(names())}; or give the path of an arch.json)"
    )
