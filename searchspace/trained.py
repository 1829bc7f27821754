"""The folder of a trained network: which one a path means, and all of it but the weights, read without torch.

    arch.json           the network
    model.safetensors   its weights
    checkpoint.json     classes, recipe, data, metrics: this file's `Record`

Pre-processing is the clip of arch.json: frames, size and frame rate, RGB in [0, 1].
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from searchspace.commands import command, go_on
from searchspace.naming import MAX_CLASS_NAME, MAX_CLASSES, MAX_CLASSES_BYTES
from searchspace.schema import MAX_INTEGER_BITS, Fields, parse_json, plain, read_text, show
from searchspace.spec import NetworkSpec, load_spec

SCHEMA = "movinas/checkpoint/1"
ARCHITECTURE, WEIGHTS, RECORD = "arch.json", "model.safetensors", "checkpoint.json"
IN_RUNS = ("checkpoints/best", "checkpoints/last")
"""Where a run keeps trained networks; the first that is there stands for the run."""

SEARCHED, RETRAINED = "search", "retrain"
"""Commands by which runs are known from another."""

MAX_RECORD_BYTES = 4 * MAX_CLASSES_BYTES
"""Of checkpoint.json, which holds the names of the classes twice, with its own punctuation."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """What is known of a trained network beside its architecture and weights.

    Attributes:
        classes: names, in order of the logits.
        recipe: how it was trained; plain data.
        data: what it was trained on, as `video.Source.describe` tells it; plain data.
        metrics: what was measured, such as `accuracy`; fractions in [0, 1], losses in nats.
        step: optimiser steps done.
        versions: of the packages that wrote it.
    """

    classes: tuple[str, ...]
    recipe: Mapping[str, Any]
    data: Mapping[str, Any]
    metrics: Mapping[str, float]
    step: int
    versions: Mapping[str, str]

    def to_json(self) -> str:
        """The content of checkpoint.json; raises `ValueError` for what is not plain data."""
        content = {"schema": SCHEMA, **plain(dataclasses.asdict(self), "checkpoint")}
        return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def read(cls, folder: Path) -> Record:
        """Reads the checkpoint.json of a folder.

        Raises:
            ValueError: it is missing, damaged, or of something else.
        """
        where = str(folder / RECORD)
        text = read_text(folder / RECORD, RECORD, MAX_RECORD_BYTES)
        fields = Fields(parse_json(text, where, MAX_RECORD_BYTES), where)
        if not fields.has("schema"):
            raise ValueError(
                f"{folder} holds no trained network: it is a state to resume a run from; give the run's folder"
            )
        fields.one_of("schema", [SCHEMA])
        classes = fields.items("classes", MAX_CLASSES)
        check_names(classes, where)
        metrics = {name: fields.fields("metrics").number(name, -1e300, 1e300) for name in _mapping(fields, "metrics")}
        record = cls(
            classes=tuple(classes),
            recipe=_mapping(fields, "recipe"),
            data=_mapping(fields, "data"),
            metrics=metrics,
            step=fields.integer("step", 0, 2**MAX_INTEGER_BITS),
            versions={name: str(version) for name, version in _mapping(fields, "versions").items()},
        )
        fields.done()
        return record


def check_names(classes: Sequence[object], where: str) -> None:
    """Refuses names of classes that are no text, or too long."""
    for i, name in enumerate(classes):
        if not isinstance(name, str) or len(name) > MAX_CLASS_NAME:
            raise ValueError(
                f"{where}.classes[{i}] is {show(name)}; allowed: text of at most {MAX_CLASS_NAME} characters"
            )


def find_trained(path: str | os.PathLike[str]) -> Path | None:
    """The folder of the trained network that a path means; None where it means none.

    Args:
        path: a run (its best network, else its last), the folder of a trained network, or a file in one.
    """
    place = Path(path)
    if place.is_file():
        place = place.parent
    return next((folder for folder in (place, *(place / name for name in IN_RUNS)) if _is_trained(folder)), None)


def made_by(place: str | os.PathLike[str]) -> str | None:
    """The command whose run a folder is, by its config.json (training/run.py); None where it is none."""
    file = Path(place) / "config.json"
    try:
        config = parse_json(read_text(file, file.name), str(file)) if file.is_file() else None
    except ValueError:
        return None
    found = config.get("command") if isinstance(config, dict) else None
    return found if isinstance(found, str) else None


def instead_of(place: Path) -> str:
    """What to do with something that holds no trained network, where one is needed."""
    if place.is_file() and place.suffix in (".pt", ".pth", ".bin", ".ckpt", ".index"):
        return f"weights of other projects become such a file with: {command('import', place)}"
    if (place / RECORD).is_file():
        return "it is a state to go on from; give the run, or its checkpoints/best"
    if made_by(place) == RETRAINED:
        return f"it is a training that kept no network yet; go on with: {go_on('retrain', place)}"
    if _is_trainable(place):
        return f"train it with: {command('retrain', place)}"
    return "give a run of nas retrain, the folder of a trained network, or a file in one, such as model.safetensors"


def _is_trainable(place: Path) -> bool:
    """Whether it is an architecture, or holds one or several: of its own, the winner of a search, a family."""
    for file in (place, place / ARCHITECTURE, place / "best" / ARCHITECTURE):
        if file.is_file():
            try:
                load_spec(file)
            except ValueError:
                return False
            return True
    return (place / "coefficients.json").is_file()


def load_trained_architecture(folder: Path) -> NetworkSpec:
    """The architecture of a trained network; raises `ValueError` where it is missing or damaged."""
    return load_spec(folder / ARCHITECTURE)


def versions(*packages: str) -> dict[str, str]:
    """Installed versions, for the record."""
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def _is_trained(folder: Path) -> bool:
    return (folder / RECORD).is_file() and ((folder / WEIGHTS).exists() or (folder / ARCHITECTURE).exists())


def _mapping(fields: Fields, key: str) -> dict[str, Any]:
    content: dict[str, Any] = plain(fields.raw(key), f"{fields.where}.{key}")
    if not isinstance(content, dict):
        raise fields.refuse(key, content, "a mapping of names to values")
    return content
