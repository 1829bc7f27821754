"""A trained network as a folder: saved whole or not at all, and loaded with its classes from any path to it."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from networks.video_network import Network
from networks.weights.convert_weights import import_weights
from networks.weights.create_network import create
from networks.weights.saved_weights import save_weights, stated_architecture
from searchspace import load_spec
from searchspace.naming import check_classes
from searchspace.targets import ExportedFile, WeightsFile, at
from searchspace.trained_folder import ARCHITECTURE, RECORD, WEIGHTS, Record, versions
from searchspace.weights_header import class_names

_PACKAGES = ("movinas", "torch", "numpy", "safetensors")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trained(Record):
    """A network with its weights, and what is known of it.

    Attributes:
        network: in evaluation mode, on the CPU.
        path: the folder, or the file of weights, that it came from.
    """

    network: Network
    path: Path


def save_trained(
    folder: str | os.PathLike[str],
    network: Network,
    *,
    classes: Sequence[str],
    recipe: Mapping[str, Any],
    data: Mapping[str, Any],
    metrics: Mapping[str, float],
    step: int,
) -> Path:
    """Writes the folder of a trained network, beside its name and then renamed; one of that name is replaced.

    Args:
        folder: where; its parents are made if missing.
        network: weights and architecture.
        classes: names, in order of the logits.
        recipe: how it was trained; plain data.
        data: what it was trained on; plain data.
        metrics: finite numbers.
        step: optimiser steps done.

    Returns:
        The folder.

    Raises:
        ValueError: another number of classes than the network has, names of classes that could not be read back
            (`searchspace.naming.check_classes`), or what is not plain data.
        OSError: the disk is full or cannot be written; a folder of that name is as it was.
    """
    final = Path(folder)
    _check_classes(classes, network, "classes")
    check_classes(classes, "the network")
    record = Record(
        classes=tuple(classes), recipe=recipe, data=data, metrics=metrics, step=step, versions=versions(*_PACKAGES)
    ).to_json()
    temporary, aside = final.with_name(f".{final.name}.writing"), _aside(final)
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        network.architecture.save(temporary / ARCHITECTURE)
        save_weights(network, temporary / WEIGHTS)
        (temporary / RECORD).write_text(record, encoding="utf-8")
        _sync(temporary / RECORD)
        _sync(temporary)
        if final.exists():
            shutil.rmtree(aside, ignore_errors=True)
            os.replace(final, aside)
        os.replace(temporary, final)
        _sync(final.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        if aside.exists() and not final.exists():
            os.replace(aside, final)
        raise
    shutil.rmtree(aside, ignore_errors=True)
    return final


def load(path: str | os.PathLike[str]) -> Trained:
    """Loads a trained network; nothing is unpickled.

    Args:
        path: a run (its best network), the folder of a trained network, or a file in it. A file of weights that
            carries its architecture, such as `nas import` writes, will do too, and so will a TensorFlow Lite file of a
            MoViNet; without names of their own its classes are named "0", "1", ...

    Raises:
        ValueError: there is no such thing, it holds no trained weights, or it is damaged; says which file.
    """
    target = at(path)
    if isinstance(target, WeightsFile):
        return _load_file(target.path)
    if isinstance(target, ExportedFile):
        found = import_weights(target.path)
        return _unrecorded(found.network, target.path, found.classes)
    folder = target.trained
    if folder is None:
        raise ValueError(f"{target} holds no trained weights; {target.instead()}")
    record = Record.read(folder)
    for name in (ARCHITECTURE, WEIGHTS):
        if not (folder / name).is_file():
            raise ValueError(f"{folder / name}: no such file; the checkpoint is not whole, restore it from a copy")
    architecture = load_spec(folder / ARCHITECTURE)
    stated = stated_architecture(folder / WEIGHTS)
    if stated is not None and stated.key() != architecture.key():
        raise ValueError(f"{folder}: {WEIGHTS} belongs to another network than {ARCHITECTURE}; restore it from a copy")
    network = create(architecture, weights=folder / WEIGHTS)
    _check_classes(record.classes, network, str(folder / RECORD))
    fields = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    return Trained(network=network.eval(), path=folder, **fields)


def _load_file(file: Path) -> Trained:
    network, classes = create(file, weights=file).eval(), class_names(file)
    if classes is not None:
        check_classes(classes, str(file))
        _check_classes(classes, network, str(file))
    return _unrecorded(network, file, classes)


def _unrecorded(network: Network, file: Path, classes: tuple[str, ...] | None) -> Trained:
    """A network of which nothing but its weights is known, and perhaps names of its classes."""
    names = classes or tuple(str(i) for i in range(network.architecture.classes))
    return Trained(network=network, path=file, classes=names, recipe={}, data={}, metrics={}, step=0, versions={})


def _check_classes(classes: Sequence[str], network: Network, where: str) -> None:
    if len(classes) != network.architecture.classes:
        raise ValueError(
            f"{where}: {len(classes)} class names for a network of {network.architecture.classes} classes; "
            "give one name for each"
        )


def _aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.replaced")


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
