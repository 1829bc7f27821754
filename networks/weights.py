"""Our files of weights: safetensors that carry the architecture they belong to."""

from __future__ import annotations

import dataclasses
import json
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import safetensors
import safetensors.torch

from networks.ensemble import Network
from searchspace import Buildable, Ensemble, Form, read_architecture
from searchspace.schema import write_atomically
from searchspace.weights_header import CLASSES, KEY, architecture_text


def save_weights(network: Network, path: str | os.PathLike[str], classes: Sequence[str] | None = None) -> None:
    """Writes the weights of a network, with its architecture in the header, to a temporary file and renames it.

    Args:
        network: whose weights.
        path: of the safetensors file.
        classes: their names, in order of the logits; kept in the header, too.
    """
    tensors = {name: tensor.detach().contiguous() for name, tensor in network.state_dict().items()}
    metadata = {KEY: network.architecture.to_json(), "format": "pt"}
    if classes is not None:
        metadata[CLASSES] = json.dumps(list(classes), ensure_ascii=False)
    write_atomically(path, safetensors.torch.save(tensors, metadata))


def load_weights(network: Network, path: str | os.PathLike[str], *, any_gate: bool = False) -> None:
    """Reads a safetensors file into a network; every tensor must be there, have its shape, and no other.

    Args:
        network: changed in place.
        path: the file; one that carries its architecture must be of a network that computes the same.
        any_gate: only warn where the weights were trained with another gate than the network's.

    Raises:
        ValueError: no such file, not safetensors, weights of another form, or tensors that do not fit; names the first.
    """
    file = Path(path)
    stated = stated_architecture(file)
    if stated is not None:
        _check_forms(_forms(network.architecture), _forms(stated), file, any_gate)
    try:
        tensors = safetensors.torch.load_file(file)
    except FileNotFoundError:
        raise ValueError(f"{file}: no such file; give the path of a .safetensors file") from None
    except (safetensors.SafetensorError, OSError) as error:
        raise ValueError(
            f"{file}: not a readable safetensors file ({error}); other files become one with: nas import {file}"
        ) from None
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
        if not tensors[name].isfinite().all():
            raise ValueError(
                f"{file}: tensor {name!r} has values that are not finite; take another checkpoint, or restore this one"
            )
    network.load_state_dict(tensors)


def stated_architecture(file: Path) -> Buildable | None:
    """The network or ensemble that a file carries; None where it carries none.

    Raises:
        ValueError: it carries one that cannot be read.
    """
    text = architecture_text(file)
    return read_architecture(text, f"{file}: architecture") if text is not None else None


def differences(form: Form, other: Form) -> list[str]:
    """What two forms compute differently, such as "gate hard_sigmoid, not sigmoid"; the first form's value first."""
    return [
        f"{field.name} {getattr(form, field.name)}, not {getattr(other, field.name)}"
        for field in dataclasses.fields(Form)
        if getattr(form, field.name) != getattr(other, field.name)
    ]


def _forms(architecture: Buildable) -> list[Form]:
    """One form a member."""
    if isinstance(architecture, Ensemble):
        return [member.architecture.form for member in architecture.members]
    return [architecture.form]


def _check_forms(own: list[Form], stated: list[Form], file: Path, any_gate: bool) -> None:
    if len(own) != len(stated):
        raise ValueError(f"{file}: weights of {len(stated)} networks, this one has {len(own)}; give a file for each")
    for ours, theirs in zip(own, stated, strict=True):
        if any_gate and ours.gate != theirs.gate:
            warnings.warn(f"{file}: trained with gate {theirs.gate}, run with {ours.gate} as asked", stacklevel=3)
            ours = dataclasses.replace(ours, gate=theirs.gate)
        found = differences(theirs, ours)
        if found:
            raise ValueError(
                f"{file}: its weights were trained with {'; '.join(found)}; create the network that they belong to "
                f"with networks.create({str(file)!r}, weights={str(file)!r})"
            )
