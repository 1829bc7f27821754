"""Weights of other projects, and our own, as the weights of one of our networks."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from networks.layer_weights import bottleneck_names
from networks.movinet import MoViNet
from networks.weights.create_network import create, find
from networks.weights.saved_weights import check_size, differences, stated_architecture
from networks.weights.weight_files import OURS, PORT, TENSORFLOW, WeightFile, open_weights
from networks.weights.weight_names import (
    convolution_shape,
    is_tensorflow_layer,
    port_keys,
    tensorflow_key,
    tensorflow_keys,
)
from searchspace import Architecture, NetworkSpec, published, published_names
from searchspace.labels import check_count, labels_beside, read_labels
from searchspace.naming import check_classes
from searchspace.schema import printable
from searchspace.weights_header import class_names

_LISTED, _SHAPES = 12, 4  # how many names, and pairs of shapes, an error spells out
_LAYER = re.compile(r"blocks\.b\d+_l\d+\.|blocks\.\d+\.layers\.\d+\.|block\d+_layer\d+/|b\d+/l\d+/|[^./]*[./]?")
_NO_ARCH = "leave out --arch, since its graph shows which network it is"
CLASSIFIER = ("classifier.weight", "classifier.bias")
# Files that are passed around, by SHA-256: where they were published, and how.
KNOWN = {
    "6125b36e2485eeb5cc1fd6206cf5e5d70235593fbc84610d1dce97fe3aa9c2ac": {
        "source": "github.com/tensorflow/flutter-tflite, commit 7045e307, example/movinet/assets/movinet_int8.tflite",
        "licence": "Apache-2.0",
        "trained_on": "Kinetics-600",
    }
}


@dataclasses.dataclass(frozen=True)
class Imported:
    """A network with weights from a file.

    Attributes:
        network: in evaluation mode; its architecture says where the weights come from.
        file: what was read.
        replaced_classes: outputs of the file's classifier where that was replaced, else None.
        assumed_gate: the architecture's gate, where neither the file nor the caller says with which one the weights
            were trained; else None.
        classes: their names in order of the logits; None where nothing tells them.
        labels: the file that told them, else None.
        note: what to say of labels that were found and not taken, else empty.
    """

    network: MoViNet
    file: WeightFile
    replaced_classes: int | None
    assumed_gate: str | None
    classes: tuple[str, ...] | None = None
    labels: Path | None = None
    note: str = ""

    @property
    def origin(self) -> Mapping[str, Any]:
        """Where the weights come from, as the architecture's provenance tells it."""
        found = self.network.architecture.provenance.get("weights", {})
        return found if isinstance(found, Mapping) else {}


@dataclasses.dataclass(frozen=True)
class _Fit:
    """How the tensors of a file fit a network.

    Attributes:
        tensors: those that fit, by our names, in our layout.
        missing: keys that the file should have.
        extra: names of the file that belong to no layer.
        foreign: those of a checkpoint of TensorFlow that belong to no MoViNet at all, such as a Dense layer on top.
        misshapen: name in the file, shape and type there, expected shape.
        classes: outputs of the file's classifier, where they are the only thing wrong with it.
    """

    tensors: Mapping[str, Tensor]
    missing: Sequence[str]
    extra: Sequence[str]
    foreign: Sequence[str]
    misshapen: Sequence[tuple[str, str, list[int]]]
    classes: int | None

    @property
    def complete(self) -> bool:
        """Whether all but the classifier's outputs is there and fits."""
        return not (self.missing or self.extra or self.misshapen)


def import_weights(
    path: str | os.PathLike[str],
    architecture: str | os.PathLike[str] | NetworkSpec | None = None,
    *,
    stream: bool = False,
    classes: int | None = None,
    gate: str | None = None,
    labels: str | os.PathLike[str] | None = None,
) -> Imported:
    """Builds a network with the weights of a file.

    Args:
        path: a state_dict of MoViNet-pytorch (torch or safetensors), a checkpoint or SavedModel of the authors'
            TensorFlow code, a TensorFlow Lite file of theirs, or a safetensors file of ours.
        architecture: see `create`; None for the one that the file carries, or that its graph shows.
        stream: see `create`.
        classes: outputs of the network; where the file's classifier has others, a new one is drawn.
        gate: with which the weights were trained; by default the architecture's, for the published stream networks
            that of their release.
        labels: a file of the classes' names, see `searchspace.labels`; by default one beside the weights that fits.

    Raises:
        ValueError: the file cannot be read or is not of this network; lists what is missing, extra or misshapen. Or
            labels of another number.
    """
    file = open_weights(path)
    stated = file.architecture
    if stated is None and file.path.is_file():
        stated = _single(stated_architecture(file.path))
    wanted = _single(find(architecture, stream)) if architecture is not None else stated
    if wanted is None:
        raise ValueError(f"{file.path} does not say of which network it is; give --arch, such as --arch a0")
    assumed = stated is None and gate is None
    if stated is not None and gate is None:
        gate = stated.form.gate
    if wanted is stated:
        check_size(wanted, [file.path], least=1)
    network = create(wanted, classes=classes, gate=gate, generator=torch.Generator().manual_seed(0))
    if stated is not None:
        found = differences(stated.computes, network.architecture.computes)
        if found:
            raise ValueError(
                f"{file.path}: its weights were trained with {'; '.join(found)}; leave out --arch and --gate, since "
                "the file says of which network it is"
            )
        if file.architecture is not None:
            file = _placed(file, stated, network.architecture)
    fit = _fit(file, network.architecture, network.state_dict())
    if not fit.complete:
        raise ValueError(f"{_problems(file, fit, network.architecture)}; {_remedy(file)}")
    if fit.classes is not None and classes is None:
        raise ValueError(
            f"{file.path}: its classifier has {fit.classes} classes, {network.architecture.name} has "
            f"{network.architecture.classes}; give --classes {fit.classes} to keep it, or --classes with another "
            "number to start a new one"
        )
    broken = [name for name, tensor in fit.tensors.items() if not bool(torch.isfinite(tensor).all())]
    if broken:
        raise ValueError(f"{file.path}: values that are not finite in {_some(broken)}; the file is damaged")
    network.load_state_dict(fit.tensors)
    file = dataclasses.replace(file, ignored=(*file.ignored, *fit.foreign))
    network.architecture = _with_origin(network.architecture, file, stated)
    own = network.architecture.classes
    names, place, note = _class_names(file, own, labels, replaced=fit.classes is not None)
    gate_assumed = network.architecture.form.gate if assumed else None
    return Imported(network.eval(), file, fit.classes, gate_assumed, names, place, note)


def _class_names(
    file: WeightFile, count: int, labels: str | os.PathLike[str] | None, replaced: bool
) -> tuple[tuple[str, ...] | None, Path | None, str]:
    """Names of the classes, which file told them, and what to say of files that were not taken."""
    if labels is not None:
        names = read_labels(labels)
        check_count(names, count, str(labels))
        return names, Path(labels), ""
    if replaced:
        return None, None, ""
    stored = class_names(file.path) if file.path.is_file() else None
    if stored is not None:
        check_classes(stored, str(file.path))
        check_count(stored, count, str(file.path))
        return stored, None, ""
    path, names, note = labels_beside(file.path, count)
    return (names, path, "") if path is not None else (None, None, note)


def _placed(file: WeightFile, stated: Architecture, wanted: Architecture) -> WeightFile:
    """The tensors by the names that they have in the network that was asked for, which must have the same layers."""
    for what, there, here in zip(
        ("stem", "head", *(f"layer {i + 1}" for i in range(max(stated.depth, wanted.depth)))),
        _layers(stated),
        _layers(wanted),
        strict=False,
    ):
        if there != here:
            raise ValueError(
                f"{file.path}: its network is not {wanted.name}: {what} is {there}, not {here}; {_NO_ARCH}"
            )
    if stated.depth != wanted.depth:
        raise ValueError(
            f"{file.path}: its network has {stated.depth} layers, {wanted.name} has {wanted.depth}; {_NO_ARCH}"
        )
    names = dict(zip(bottleneck_names(stated), bottleneck_names(wanted), strict=True))
    tensors = {
        next((own + name.removeprefix(old) for old, own in names.items() if name.startswith(f"{old}.")), name): tensor
        for name, tensor in file.tensors.items()
    }
    return dataclasses.replace(file, tensors=tensors)


def _layers(architecture: Architecture) -> list[str]:
    """Stem, head and layers in words, whatever blocks they stand in."""
    head = architecture.head
    return [
        f"{architecture.stem.kernel} to {architecture.stem.width}",
        f"{head.width} and {head.hidden}",
        *(
            f"{p.layer.kernel} stride {p.layer.stride}, {p.in_width} to {p.layer.expand} to {p.width}, squeezed to "
            f"{p.layer.squeeze}"
            for p in architecture.layers()
        ),
    ]


def _single(found: NetworkSpec | None) -> Architecture | None:
    if found is not None and len(found.members) > 1:
        raise ValueError(f"{found.name} is an ensemble; import the weights of its members, one by one")
    if found is not None and not isinstance(found, Architecture):
        raise ValueError(f"{found.name} is of family {found.family}; weights are imported for family movinet")
    return found


def _with_origin(architecture: Architecture, file: WeightFile, stated: Architecture | None) -> Architecture:
    """Notes where the weights come from; a file that says it itself keeps the first origin."""
    origin = {"weights": {"file": file.path.name, "container": file.container, "names": file.names, **_facts(file)}}
    provenance = {**architecture.provenance, **origin} if stated is None else {**origin, **stated.provenance}
    return dataclasses.replace(architecture, provenance=provenance)


def _facts(file: WeightFile) -> dict[str, str]:
    """What is known of a file beside its content."""
    facts = {"batch_norm": "folded into the convolutions"} if file.architecture is not None else {}
    if not file.path.is_file():
        return facts
    with open(file.path, "rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"sha256": digest, **KNOWN.get(digest, {}), **facts}


def _fit(file: WeightFile, architecture: Architecture, own: Mapping[str, Tensor]) -> _Fit:
    rank = 4 if architecture.form.convolution == "2plus1d" else 5  # of the port's; TensorFlow has both
    if file.names == OURS:
        expected = {name: name for name in own}
    elif file.names == PORT:
        expected = port_keys(architecture, own)
    else:
        expected = tensorflow_keys(own)
    tensors: dict[str, Tensor] = {}
    placed, misshapen, classes = set(), [], None
    extra, foreign = list[str](), list[str]()
    for name, tensor in file.tensors.items():
        key = tensorflow_key(name) if file.names == TENSORFLOW else name
        if key not in expected or key in placed:
            beside = file.names == TENSORFLOW and not is_tensorflow_layer(key)
            (foreign if beside else extra).append(name)
            continue
        placed.add(key)
        ours, axes = expected[key], _axes(name, tensor.dim(), file.names)
        moved = tensor.permute(axes)
        target = own[ours]
        shape: Sequence[int] = target.shape
        if file.names != OURS:
            shape = convolution_shape(ours, target.shape, tensor.dim() if file.names == TENSORFLOW else rank)
        if list(moved.shape) == list(shape) and tensor.is_floating_point():
            tensors[ours] = moved.reshape(target.shape).float()
        elif ours in CLASSIFIER and list(moved.shape[1:]) == list(shape[1:]) and tensor.is_floating_point():
            classes = len(moved)
        else:
            order = _axes(name, len(shape), file.names)
            expected_shape = [shape[order.index(axis)] for axis in range(len(shape))]
            given = f"{list(tensor.shape)}" + ("" if tensor.is_floating_point() else f" of {tensor.dtype}")
            misshapen.append((name, given.replace("torch.", ""), expected_shape))
    if classes is not None:
        tensors |= {name: own[name] for name in CLASSIFIER}
    return _Fit(tensors, [key for key in expected if key not in placed], extra, foreign, misshapen, classes)


def _axes(name: str, rank: int, names: str) -> list[int]:
    """Which axes of a tensor are output, input, and kernel. TensorFlow has [kernel, input, output], and in 2-D
    depthwise convolutions [kernel, channels, 1]."""
    axes = list(range(rank))
    if names != TENSORFLOW or rank < 2:
        return axes
    first = [rank - 2, rank - 1] if name.endswith("/depthwise_kernel") else [rank - 1, rank - 2]
    return first + axes[:-2]


def _problems(file: WeightFile, fit: _Fit, architecture: Architecture) -> str:
    """Everything that does not fit, in one line."""
    found = []
    if fit.missing:
        found.append(f"{len(fit.missing)} missing: {_some(fit.missing)}")
    if fit.extra:
        found.append(f"{len(fit.extra)} of no layer: {_some(fit.extra)}")
    if fit.foreign:
        found.append(f"{len(fit.foreign)} of no MoViNet: {_some(fit.foreign)}")
    if fit.misshapen:
        pairs = [f"{printable(name)} {there} instead of {here}" for name, there, here in fit.misshapen]
        rest = f" and {len(pairs) - _SHAPES} more" if len(pairs) > _SHAPES else ""
        found.append(f"{len(pairs)} of another shape or type: {', '.join(pairs[:_SHAPES])}{rest}")
    return f"{file.path}, {file}, does not fit {architecture.name}: {'; '.join(found)}"


def _some(names: Sequence[str]) -> str:
    """Names in a line: each one, or how many of each layer, or of the first layers."""
    names = [printable(name) for name in names]
    if len(names) <= _LISTED:
        return ", ".join(names)
    layers = Counter(match[0] for match in map(_LAYER.match, names) if match)
    listed = [f"{layer}* ({count})" for layer, count in layers.items()]
    rest = f", and {len(listed) - _LISTED} more layers" if len(listed) > _LISTED else ""
    return ", ".join(listed[:_LISTED]) + rest


def _remedy(file: WeightFile) -> str:
    """Which published network the file fits, if one."""
    if file.architecture is not None:
        return _NO_ARCH
    for name in published_names():
        for stream in (False, True):
            if _fit(file, *_published(name, stream)).complete:
                return f"it is of {name}{' stream' * stream}: give --arch {name}{' --stream' * stream}"
    return "it is of no published network; give the arch.json that it was trained with as --arch"


@functools.cache
def _published(name: str, stream: bool) -> tuple[Architecture, dict[str, Tensor]]:
    """A published network and its tensors, without memory."""
    architecture = published(name, stream)
    assert isinstance(architecture, Architecture)
    with torch.device("meta"):
        return architecture, MoViNet(architecture).state_dict()
