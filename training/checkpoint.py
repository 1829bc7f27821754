"""Checkpoints of a run: a folder of safetensors and JSON, written beside and renamed, the last ones kept.

Nothing is pickled. A checkpoint that a kill or a full disk cut short never gets its name, so whatever has one is whole.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from training.footprint import KEPT

Tensors = dict[str, torch.Tensor]


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """What was saved.

    Attributes:
        step: number of training steps done.
        tensors: groups of named tensors, such as `supernet` and `optimizer`.
        data: everything else, plain JSON.
    """

    step: int
    tensors: dict[str, Tensors]
    data: dict[str, Any]


def save(folder: Path, step: int, tensors: Mapping[str, Tensors], data: Mapping[str, Any], keep: int = KEPT) -> Path:
    """Writes a checkpoint and removes all but the last ones.

    Args:
        folder: the run's `checkpoints` folder; made if missing.
        step: number of training steps done; the checkpoint's name follows from it.
        tensors: groups of named tensors; each becomes a safetensors file.
        data: plain JSON data; floats keep every bit.
        keep: how many stay, this one included.

    Returns:
        The checkpoint's folder.

    Raises:
        OSError: the disk is full or the folder cannot be written; earlier checkpoints are untouched.
    """
    folder.mkdir(parents=True, exist_ok=True)
    final = folder / f"step-{step:08d}"
    temporary = folder / f".writing-{step:08d}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        for group, named in tensors.items():
            try:
                # Copies, since safetensors refuses tensors that are views of one piece of memory.
                copies = {name: tensor.detach().clone().contiguous() for name, tensor in named.items()}
                save_file(copies, temporary / f"{group}.safetensors")
            except Exception as error:
                # safetensors wraps a full disk into an error of its own; callers need the system's.
                number = errno.ENOSPC if "os error 28" in str(error) else errno.EIO
                raise OSError(number, os.strerror(number), str(folder)) from error
        text = json.dumps({"step": step, "groups": sorted(tensors), "data": data}, allow_nan=False)
        with open(temporary / "checkpoint.json", "w", encoding="utf-8") as file:
            file.write(text)
        for item in temporary.iterdir():
            _sync(item)
        if final.exists():
            shutil.rmtree(final)
        os.replace(temporary, final)
        _sync(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    for old in names(folder)[:-keep]:
        shutil.rmtree(folder / old, ignore_errors=True)
    return final


def names(folder: Path) -> list[str]:
    """Names of the checkpoints in a folder, oldest first."""
    return sorted(item.name for item in folder.glob("step-*") if item.is_dir()) if folder.is_dir() else []


def load_newest(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """Loads the newest checkpoint that can be read.

    Args:
        folder: the run's `checkpoints` folder.

    Returns:
        The checkpoint, or None where there is none yet; and the names of newer ones that are damaged.

    Raises:
        ValueError: there are checkpoints, but every one is damaged.
    """
    damaged: list[str] = []
    for name in reversed(names(folder)):
        try:
            return _load(folder / name), damaged
        except Exception as error:  # a damaged file may fail in any way; what matters is which one and why
            damaged.append(f"{folder / name} ({type(error).__name__}: {str(error)[:80]})")
    if damaged:
        raise ValueError(f"no checkpoint can be read: {'; '.join(damaged)}; restore one from a copy or start a new run")
    return None, []


def _load(folder: Path) -> Checkpoint:
    content = json.loads((folder / "checkpoint.json").read_text(encoding="utf-8"))
    tensors = {group: load_file(folder / f"{group}.safetensors") for group in content["groups"]}
    for group, named in tensors.items():
        broken = next((name for name, tensor in named.items() if not tensor.isfinite().all()), None)
        if broken is not None:  # no step whose loss or gradient is not finite gets this far
            raise ValueError(f"{group}: tensor {broken!r} has values that are not finite")
    return Checkpoint(int(content["step"]), tensors, content["data"])


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def optimizer_state(optimizer: torch.optim.Optimizer) -> tuple[Tensors, dict[str, Any]]:
    """Splits an optimiser's state into tensors and plain data, for `save`."""
    content = optimizer.state_dict()
    tensors: Tensors = {}
    plain: dict[str, Any] = {}
    for index, slots in content["state"].items():
        for slot, value in slots.items():
            if isinstance(value, torch.Tensor):
                tensors[f"{index}.{slot}"] = value
            elif value is not None:
                plain[f"{index}.{slot}"] = value
    return tensors, plain


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Tensors, plain: Mapping[str, Any]) -> None:
    """Puts back what `optimizer_state` gave; the optimiser must have the same parameters."""
    content = optimizer.state_dict()
    state: dict[int, dict[str, Any]] = {}
    for name, value in [*tensors.items(), *plain.items()]:
        index, _, slot = name.partition(".")
        state.setdefault(int(index), {})[slot] = value
    content["state"] = state
    optimizer.load_state_dict(content)
