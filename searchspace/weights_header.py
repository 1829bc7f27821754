"""What a safetensors file of ours carries in its header, found without reading the weights: architecture, class names.

The format: the header's length in eight bytes, the header in JSON with `__metadata__` among its keys, the tensors
(github.com/huggingface/safetensors).
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path

from searchspace.commands import command
from searchspace.schema import MAX_FILE_BYTES, parse_json, read_text

KEY, CLASSES = "architecture", "classes"


def is_safetensors(path: Path) -> bool:
    """Whether a file begins like a safetensors file whose header fits into it."""
    return _header_length(path) is not None


def architecture_text(path: Path) -> str | None:
    """The arch.json in the header of a safetensors file; None where it has none.

    Raises:
        ValueError: the header cannot be read, or is no JSON.
    """
    return _metadata(path, KEY)


def class_names(path: Path) -> tuple[str, ...] | None:
    """The names of the classes in the header of a safetensors file; None where it has none.

    Raises:
        ValueError: the header cannot be read, or the names are damaged.
    """
    text = _metadata(path, CLASSES)
    if text is None:
        return None
    names = parse_json(text, f"{path}: {CLASSES}")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{path}: {CLASSES} in its header are no list of names; the file is damaged")
    return tuple(names)


def _metadata(path: Path, key: str) -> str | None:
    """A text in the header of a safetensors file; None where it has none of that name."""
    length = _header_length(path)
    if length is None:
        return None
    if length > MAX_FILE_BYTES:
        raise ValueError(f"{path}: its header has {length:,} bytes; allowed: {MAX_FILE_BYTES:,}")
    with open(path, "rb") as file:
        file.seek(8)
        data = file.read(length)
    try:
        header = parse_json(data.decode(), f"{path}: header")
    except UnicodeDecodeError:
        raise ValueError(f"{path}: its header is not UTF-8 text; the file is damaged") from None
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    text = metadata.get(key) if isinstance(metadata, dict) else None
    return text if isinstance(text, str) else None


def read_arch_json(path: str | os.PathLike[str]) -> tuple[str, str]:
    """An arch.json, from a file of its own or from the header of a safetensors file, and what errors call it.

    Raises:
        ValueError: there is no such file, or it carries no architecture.
    """
    file = Path(path)
    if is_tflite(file):
        raise ValueError(
            f"{path} is a TensorFlow Lite file; a file of weights that says which network it is comes of it with: "
            f"{command('import', path)}"
        )
    if not is_safetensors(file):
        return read_text(file, "arch.json"), str(path)
    text = architecture_text(file)
    if text is None:
        raise ValueError(f"{path} carries no architecture; give the arch.json of these weights")
    return text, f"{path}: architecture"


def with_metadata(content: bytes, metadata: Mapping[str, str]) -> bytes:
    """A safetensors file with texts in its header, in their order: the library's own order differs between two calls.

    Args:
        content: a whole file without such texts.
        metadata: the texts.
    """
    (length,) = struct.unpack("<Q", content[:8])
    header = {"__metadata__": dict(metadata), **json.loads(content[8 : 8 + length])}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the tensors begin at a multiple of eight bytes
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


def is_tflite(path: Path) -> bool:
    """Whether a file begins like a TensorFlow Lite file: a flatbuffer with its identifier."""
    if not path.is_file():
        return False
    try:
        with open(path, "rb") as file:
            return file.read(8)[4:] == b"TFL3"
    except OSError:
        return False


def _header_length(path: Path) -> int | None:
    if not path.is_file():  # what comes through a pipe can be read only once
        return None
    try:
        with open(path, "rb") as file:
            begins = file.read(9)
            if len(begins) < 9 or begins[8:] != b"{":
                return None
            length = int(struct.unpack("<Q", begins[:8])[0])
            return length if length + 8 <= path.stat().st_size else None
    except OSError:
        return None
