"""Our files of weights: safetensors that carry the architecture they belong to."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

from networks.video_network import Network
from searchspace import NetworkSpec, cost, read_spec
from searchspace.commands import command
from searchspace.cost import FLOAT_BYTES
from searchspace.schema import show, write_atomically
from searchspace.weights_header import CLASSES, KEY, architecture_text, with_metadata

LARGE = 40_000_000
"""Parameters; the published networks have up to 31 million."""


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
    write_atomically(path, with_metadata(safetensors.torch.save(tensors), metadata))


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
        remedy = f"other files become one with: {command('import', file)}"
        raise ValueError(f"{file}: not a readable safetensors file ({short(error)}); {remedy}") from None
    problem = misfit(network.state_dict(), tensors)
    if problem is not None:
        raise ValueError(f"{file}: {problem}; give the arch.json and classes of these weights")
    broken = next((name for name, tensor in tensors.items() if not tensor.isfinite().all()), None)
    if broken is not None:
        raise ValueError(
            f"{file}: tensor {show(broken)} has values that are not finite; take another checkpoint, or restore this "
            "one"
        )
    network.load_state_dict(tensors)


def short(error: Exception) -> str:
    """What the library of safetensors says of a file, without what its parser found at which place."""
    return str(error).removeprefix("Error while deserializing header: ").partition(":")[0]


def misfit(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str | None:
    """How tensors do not fit a module, in words that follow the name of their file; None where all of them do.

    Args:
        own: the module's `state_dict()`.
        given: what is to be copied into it; each must be there and have the same shape and type, with no other beside.
    """
    for name in [*own, *given]:
        if name not in given:
            return f"tensor {show(name)} is missing"
        if name not in own:
            return f"tensor {show(name)} belongs to no layer of this network"
        ours, theirs = own[name], given[name]
        if ours.shape != theirs.shape:
            return f"tensor {show(name)} has shape {list(theirs.shape)}, this network wants {list(ours.shape)}"
        if ours.dtype != theirs.dtype:
            return f"tensor {show(name)} is of type {_type(theirs)}, this network wants {_type(ours)}"
    return None


def _type(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def check_size(architecture: NetworkSpec, files: Sequence[str | os.PathLike[str]], least: int = FLOAT_BYTES) -> None:
    """Refuses files that are too small for the weights of a network, before one of a size that matters is built.

    Args:
        architecture: of the network.
        files: its weights; those that are not there are left to whoever reads them.
        least: bytes of a value.

    Raises:
        ValueError: the network is larger than the published ones, and the files cannot hold it.
    """
    params = cost(architecture).params
    sizes = [Path(file).stat().st_size for file in files if Path(file).is_file()]
    if params > LARGE and len(sizes) == len(files) and sum(sizes) < least * params:
        raise ValueError(
            f"{', '.join(map(str, files))}: {sum(sizes):,} bytes cannot hold the {params:,} parameters of network "
            f"{show(architecture.name)}; give the arch.json and classes of these weights, or restore the file"
        )


def stated_architecture(file: Path) -> NetworkSpec | None:
    """The network or ensemble that a file carries; None where it carries none.

    Raises:
        ValueError: it carries one that cannot be read.
    """
    text = architecture_text(file)
    return read_spec(text, f"{file}: architecture") if text is not None else None


def differences(one: Mapping[str, object], other: Mapping[str, object]) -> list[str]:
    """What two networks compute differently, such as "gate hard_sigmoid, not sigmoid"; the first one's value first."""
    return [f"{key} {value}, not {other.get(key)}" for key, value in one.items() if value != other.get(key)]


def _forms(architecture: NetworkSpec) -> list[Mapping[str, object]]:
    """How each member computes."""
    return [member.architecture.computes for member in architecture.members]


def _check_forms(
    own: list[Mapping[str, object]], stated: list[Mapping[str, object]], file: Path, any_gate: bool
) -> None:
    if len(own) != len(stated):
        raise ValueError(f"{file}: weights of {len(stated)} networks, this one has {len(own)}; give a file for each")
    for ours, theirs in zip(own, stated, strict=True):
        if any_gate and ours["gate"] != theirs.get("gate"):
            warnings.warn(
                f"{file}: trained with gate {theirs.get('gate')}, run with {ours['gate']} as asked", stacklevel=3
            )
            ours = {**ours, "gate": theirs.get("gate")}
        found = differences(theirs, ours)
        if found:
            raise ValueError(
                f"{file}: its weights were trained with {'; '.join(found)}; create the network that they belong to "
                f"with networks.create({str(file)!r}, weights={str(file)!r})"
            )
