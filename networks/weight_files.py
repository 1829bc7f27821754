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
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from networks.tensor_bundle import INDEX, Bundle
from networks.tflite import read_tflite
from searchspace import Architecture
from searchspace.schema import show
from searchspace.weights_header import is_safetensors, is_tflite

OURS, PORT, TENSORFLOW = "movinas", "MoViNet-pytorch", "the TensorFlow reference"
TFLITE = "a TensorFlow Lite file"
_TORCH_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
_NESTED = ("state_dict", "model_state_dict", "model")  # under which training loops save a state_dict
_REFUSED = {
    b"\x89HDF": "a Keras file in HDF5; save a TensorFlow checkpoint or a SavedModel instead",
    b"\x1f\x8b": "a gzip archive; unpack it and give the folder or the file inside",
    b"<": "a web page, not weights; download the file again",
    b"version https://git-lfs": "a pointer of Git LFS; fetch the file itself with: git lfs pull",
    b"PK": "a zip archive of something else than torch weights; unpack it and give the file inside",
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
        tensors: floating-point ones as float32.
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
    if begins.startswith(_TORCH_MAGIC) or (begins.startswith(b"PK") and _is_torch_zip(file)):
        loaded = _read(file, "torch", lambda name: torch.load(name, map_location="cpu", weights_only=True))
        return _named(file, "a torch file", _state_dict(loaded, file))
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


def _is_torch_zip(file: Path) -> bool:
    try:
        with zipfile.ZipFile(file) as archive:
            return any(name.endswith("data.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        raise ValueError(f"{file}: a damaged zip archive; download the file again") from None


def _read(file: Path, kind: str, load: Any) -> Any:
    try:
        return load(file)
    except MemoryError:
        raise
    except Exception as error:  # a damaged file may fail in any way; what matters is which one and why
        text = str(error)
        if "weights_only" in text or "Weights only" in text:
            raise ValueError(
                f"{file} holds Python objects, which are not loaded since that could run code from the file; where it "
                "comes from, save model.state_dict() with torch.save"
            ) from None
        raise ValueError(
            f"{file}: a damaged {kind} file ({type(error).__name__}: {text.splitlines()[0][:80] if text else ''}); "
            "download it again"
        ) from None


def _state_dict(loaded: object, file: Path) -> dict[str, Tensor]:
    """The tensors by name of what `torch.save` wrote, also from within a training loop's checkpoint."""
    remedy = "save model.state_dict() with torch.save"
    for key in _NESTED:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
            break
    if not isinstance(loaded, Mapping) or not loaded:
        raise ValueError(f"{file} holds a {type(loaded).__name__}, no state_dict; {remedy}")
    for name, value in loaded.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise ValueError(f"{file}: {show(name)} is a {type(value).__name__}, no tensor; {remedy}")
        if value.layout != torch.strided or value.is_quantized or value.device.type != "cpu":
            raise ValueError(f"{file}: {show(name)} is a sparse, quantised or empty tensor; save it in float32")
    return {str(name).removeprefix("module."): value for name, value in loaded.items()}


def _named(file: Path, container: str, tensors: Mapping[str, Tensor]) -> WeightFile:
    """Tells whose names they are; the port's counters of batches are no weights."""
    ignored = tuple(name for name in tensors if name.endswith("num_batches_tracked"))
    kept = {name: _float32(tensor) for name, tensor in tensors.items() if name not in ignored}
    port = any(re.match(r"conv1\.|conv7\.|blocks\.b\d", name) for name in kept)
    return WeightFile(file, PORT if port else OURS, container, kept, ignored)


def _float32(tensor: Tensor) -> Tensor:
    tensor = tensor.detach()
    return tensor.float().contiguous() if tensor.is_floating_point() else tensor


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
