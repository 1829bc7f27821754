"""The folder of a trained network: how one is known, and all of it but the weights, read without torch.

    arch.json           the network
    model.safetensors   its weights
    checkpoint.json     classes, recipe, data, metrics: this file's `Record`

Pre-processing is the clip of arch.json: frames, size and frame rate, RGB in [0, 1].
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from searchspace.naming import MAX_CLASS_NAME, MAX_CLASSES, MAX_CLASSES_BYTES
from searchspace.schema import MAX_INTEGER_BITS, Fields, parse_json, plain, read_text, show

SCHEMA = "movinas/checkpoint/1"
ARCHITECTURE, WEIGHTS, RECORD = "arch.json", "model.safetensors", "checkpoint.json"

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


def is_trained(folder: Path) -> bool:
    """Whether a folder is that of a trained network, whole or damaged."""
    return (folder / RECORD).is_file() and ((folder / WEIGHTS).exists() or (folder / ARCHITECTURE).exists())


def versions(*packages: str) -> dict[str, str]:
    """Installed versions, for the record."""
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def _mapping(fields: Fields, key: str) -> dict[str, Any]:
    content: dict[str, Any] = plain(fields.raw(key), f"{fields.where}.{key}")
    if not isinstance(content, dict):
        raise fields.refuse(key, content, "a mapping of names to values")
    return content
