"""Checkpoints of a run: a folder of safetensors and JSON, written beside and renamed, the last ones kept.

Nothing is pickled. A checkpoint that a kill or a full disk cut short never gets its name, so whatever has one is whole.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from searchspace import stored
from searchspace.schema import show
from training.machine.resources import is_out_of_memory
from training.retrain.footprint import KEPT
from training.steps.optimizers import state_of

Tensors = dict[str, torch.Tensor]

MAX_BYTES = 100_000_000
"""Of a checkpoint.json; that of a search over the published space has some 40,000."""

_ASIDE = "damaged-"
_MACHINE = (errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE)


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
    final = folder / _name(step)
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


def load_newest(
    folder: Path, restore: Callable[[Checkpoint], None] = lambda found: None, *, ours: bool = False
) -> tuple[Checkpoint | None, list[str]]:
    """Goes on from the newest checkpoint that can be read and fits.

    Args:
        folder: the run's `checkpoints` folder.
        restore: puts a checkpoint where it belongs. Where it fails, in whatever way, the checkpoint is passed over as
            one that cannot be read, and `restore` is called with the one before; so it has to set everything anew.
        ours: whether the run goes on here. Checkpoints that were passed over are then renamed: beside later steps than
            the run has they would count as its newest, and those to come be removed in their place.

    Returns:
        The checkpoint, or None where there is none yet; and which newer ones were passed over, with the reasons.

    Raises:
        ValueError: there are checkpoints, but none to go on from.
    """
    passed: list[str] = []
    for name in reversed(names(folder)):
        try:
            found = _load(folder / name)
            restore(found)
            for other in names(folder) if ours else ():
                if other > name:
                    shutil.rmtree(folder / f"{_ASIDE}{other}", ignore_errors=True)
                    os.replace(folder / other, folder / f"{_ASIDE}{other}")
            return found, passed
        except Exception as error:  # a damaged file may fail in any way; what matters is which one and why
            if is_out_of_memory(error) or (isinstance(error, OSError) and error.errno in _MACHINE):
                raise  # this says nothing of the checkpoint
            kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
            reason = " ".join(f"{kind}{error}".split())
            passed.append(f"{folder / name} ({reason[:200]})")
    if passed:
        raise ValueError(f"no checkpoint can be read: {'; '.join(passed)}; restore one from a copy or start a new run")
    return None, []


def _load(folder: Path) -> Checkpoint:
    file = folder / "checkpoint.json"
    content = stored.read_json(file, {"step": stored.COUNT, "groups": [str], "data": dict}, most=MAX_BYTES)
    if folder.name != _name(content["step"]):
        raise ValueError(f"{file.name} is of step {content['step']}")
    tensors = {}
    for group in content["groups"]:
        if not group.isidentifier():
            raise ValueError(f"{file.name}: group {show(group)} is no name of a file beside it")
        tensors[group] = load_file(folder / f"{group}.safetensors")
    for group, named in tensors.items():
        broken = next((name for name, tensor in named.items() if not tensor.isfinite().all()), None)
        if broken is not None:  # no step whose loss or gradient is not finite gets this far
            raise ValueError(f"{group}: tensor {show(broken)} has values that are not finite")
    return Checkpoint(content["step"], tensors, content["data"])


def _name(step: int) -> str:
    return f"step-{step:08d}"


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
    """Puts back what `optimizer_state` gave.

    Raises:
        ValueError: it is of other parameters, or of another optimiser.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Any]] = {}
    for name, value in [*tensors.items(), *plain.items()]:
        index, _, slot = name.partition(".")
        if not index.isdecimal() or int(index) >= len(parameters):
            raise ValueError(f"optimizer: {show(name)} belongs to no parameter")
        state.setdefault(int(index), {})[slot] = value
    for number, slots in state.items():
        own = state_of(optimizer, parameters[number])
        problem = "other slots" if own.keys() != slots.keys() else None
        for slot, like in own.items() if problem is None else ():
            value = slots[slot]
            if not isinstance(value, torch.Tensor) or (value.shape, value.dtype) != (like.shape, like.dtype):
                problem = f"another {slot}"
        if problem is not None:
            raise ValueError(f"optimizer: parameter {number} has {problem} than {type(optimizer).__name__} keeps of it")
    content = optimizer.state_dict()
    content["state"] = state
    optimizer.load_state_dict(content)
