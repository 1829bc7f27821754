"""Opens files of weights: what kind a file is follows from its content, and nothing in it is ever run.

| container | recognised by |
|---|---|
| torch, zip | `PK`, and a `data.pkl` inside |
| torch, before 1.6 | the pickled number that it begins with |
| safetensors | the length of its header, then `{` |
| TensorFlow SavedModel | a folder with `saved_model.pb` |
| TensorFlow checkpoint | a folder with one `*.index`, or the common beginning of a checkpoint's files |
| TensorFlow Lite | `TFL3` behind the first four bytes |
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from networks.weights.saved_weights import short
from networks.weights.tensor_bundle import INDEX, Bundle
from networks.weights.tflite import read_tflite
from networks.weights.torch_file import NoTorchFile, TorchFile, may_be_torch
from networks.weights.torch_pickle import Damaged, Named, Stored
from searchspace import Architecture
from searchspace.schema import show
from searchspace.weights_header import is_safetensors, is_tflite

OURS, PORT, TENSORFLOW = "movinas", "MoViNet-pytorch", "the TensorFlow reference"
TFLITE = "a TensorFlow Lite file"
_NESTED = ("state_dict", "model_state_dict", "model")  # under which training loops save a state_dict
_REFUSED = {
    b"\x89HDF": "a Keras file in HDF5; save a TensorFlow checkpoint or a SavedModel instead",
    b"\x1f\x8b": "a gzip archive; unpack it and give the folder or the file inside",
    b"<": "a web page, not weights; download the file again",
    b"version https://git-lfs": "a pointer of Git LFS; fetch the file itself with: git lfs pull",
    b"\x80": "a pickle of something else than torch weights; save model.state_dict() with torch.save",
    b"{": "JSON text; give the file of the weights beside it",
}
# What TensorFlow stores beside a network: counters, optimisers, metrics, Keras' own book-keeping.
_NO_WEIGHTS = re.compile(r"(.*/)?(optimizer|keras_api|save_counter|global_step|_?metrics?|iter)(/.*)?")


@dataclasses.dataclass(frozen=True)
class WeightFile:
    """Tensors of a file under the names that they have there.

    Attributes:
        path: the file or folder.
        names: whose names they are: OURS, PORT or TENSORFLOW.
        container: what the file is, for people.
        tensors: in the types that they have there; several may be views of the same numbers.
        ignored: names of what belongs to no network: counters, optimisers.
        architecture: read off the graph of a TensorFlow Lite file, whose tensors then have our names; else None.
    """

    path: Path
    names: str
    container: str
    tensors: Mapping[str, Tensor]
    ignored: tuple[str, ...] = ()
    architecture: Architecture | None = None

    def __str__(self) -> str:
        if self.architecture is not None:
            return f"{self.container} with the graph of {self.architecture.name}, {len(self.tensors)} tensors"
        return f"{self.container} with {len(self.tensors)} tensors named as by {self.names}"


def open_weights(path: str | os.PathLike[str]) -> WeightFile:
    """Reads a file or folder of weights.

    Raises:
        ValueError: there is none, it is damaged, or it is of another kind; says what was found and what to do.
    """
    file = Path(path)
    prefix = _tensorflow_prefix(file)
    if prefix is not None:
        return _tensorflow(file, prefix)
    if not file.exists():
        raise ValueError(f"{file}: no such file or folder; give the path of weights that you have downloaded")
    if not file.is_file():
        raise ValueError(f"{file} is no file of weights, and no folder of a TensorFlow checkpoint or SavedModel")
    if is_safetensors(file):
        return _named(file, "a safetensors file", _read(file, "safetensors", safetensors.torch.load_file))
    with open(file, "rb") as stream:
        begins = stream.read(512)
    if may_be_torch(begins):
        return _named(file, "a torch file", _read(file, "torch", _state_dict))
    if is_tflite(file):
        architecture, tensors = read_tflite(file)
        return WeightFile(file, OURS, TFLITE, tensors, architecture=architecture)
    raise ValueError(f"{file} is {_what(begins)}")


def _what(begins: bytes) -> str:
    known = "allowed: a state_dict of torch, a safetensors file, a TensorFlow checkpoint, SavedModel or Lite file"
    if not begins:
        return "an empty file; download it again"
    if begins[257:262] == b"ustar":
        return "a tar archive; unpack it and give the folder or the file inside"
    for start, what in _REFUSED.items():
        if begins.lstrip().startswith(start):
            return what
    return f"of an unknown kind, beginning with {show(begins[:8])}; {known}"


class _NoWeights(ValueError):
    """A whole file of something else."""


def _read(file: Path, kind: str, load: Callable[[Path], Mapping[str, Tensor]]) -> Mapping[str, Tensor]:
    try:
        return load(file)
    except (MemoryError, _NoWeights):
        raise
    except NoTorchFile as error:
        raise ValueError(f"{file} is {error}") from None
    except Exception as error:  # a damaged file may fail in any way; what matters is which one and why
        text = next(iter(str(error).splitlines()), "")[:200]
        if isinstance(error, safetensors.SafetensorError):
            text = short(error)
        elif not isinstance(error, Damaged):
            text = f"{type(error).__name__}: {text}"
        raise ValueError(f"{file}: a damaged {kind} file ({text}); download it again") from None


def _state_dict(file: Path) -> dict[str, Tensor]:
    """The tensors by name of what `torch.save` wrote, also from within a training loop's checkpoint."""
    opened, remedy = TorchFile(file), "save model.state_dict() with torch.save"
    loaded = opened.content
    for key in _NESTED:
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
            break
    if isinstance(loaded, Named) or (isinstance(loaded, dict) and any(isinstance(v, Named) for v in loaded.values())):
        raise _NoWeights(
            f"{file} holds Python objects, which are not loaded since that could run code from the file; where it "
            f"comes from, {remedy}"
        )
    if not isinstance(loaded, dict) or not loaded:
        raise _NoWeights(f"{file} holds a {_kind(loaded)}, no state_dict; {remedy}")
    for name, value in loaded.items():
        if not isinstance(name, str) or not isinstance(value, Stored):
            raise _NoWeights(f"{file}: {show(name)} is a {_kind(value)}, no tensor; {remedy}")
        if value.storage is None:
            raise _NoWeights(
                f"{file}: {show(name)} is a sparse, quantised or empty tensor, or of a type that is not read; save it "
                "in float32"
            )
    return {str(name).removeprefix("module."): opened.tensor(value) for name, value in loaded.items()}


def _kind(value: object) -> str:
    return "Tensor" if isinstance(value, Stored) else type(value).__name__


def _named(file: Path, container: str, tensors: Mapping[str, Tensor]) -> WeightFile:
    """Tells whose names they are; the port's counters of batches are no weights."""
    ignored = tuple(name for name in tensors if name.endswith("num_batches_tracked"))
    kept = {name: tensor for name, tensor in tensors.items() if name not in ignored}
    port = any(re.match(r"conv1\.|conv7\.|blocks\.b\d", name) for name in kept)
    return WeightFile(file, PORT if port else OURS, container, kept, ignored)


def _tensorflow_prefix(path: Path) -> Path | None:
    """The beginning of the names of a checkpoint's files, or None for a path that is none."""
    for name in (str(path), re.sub(rf"({re.escape(INDEX)}|\.data-\d+-of-\d+)$", "", str(path))):
        if Path(f"{name}{INDEX}").is_file():
            return Path(name)
    if not path.is_dir():
        return None
    if (path / "saved_model.pb").is_file():
        return path / "variables" / "variables"
    found = sorted(item.name.removesuffix(INDEX) for item in path.glob(f"*{INDEX}"))
    if len(found) > 1:
        raise ValueError(f"{path} holds {len(found)} checkpoints; give one: {', '.join(str(path / n) for n in found)}")
    return path / found[0] if found else None


def _tensorflow(file: Path, prefix: Path) -> WeightFile:
    bundle = Bundle(prefix)
    ignored, tensors = bundle.slots(), dict[str, Tensor]()
    for variable in bundle.variables():
        # whole numbers are counters: no layer has any
        if variable.value.dtype.kind != "f" or any(map(_NO_WEIGHTS.fullmatch, (variable.key, variable.name))):
            ignored.append(variable.name)
            continue
        if variable.name in tensors:
            raise ValueError(f"{file}: variable {variable.name} stands twice; save a checkpoint of the network alone")
        tensors[variable.name] = torch.from_numpy(variable.value.copy())
    container = "a TensorFlow checkpoint" if prefix.parent.name != "variables" else "a TensorFlow SavedModel"
    return WeightFile(file, TENSORFLOW, container, tensors, tuple(ignored))
