"""Files that are no weights: what was found is said, nothing is run, damage is one line."""

import gzip
import io
import pickle
import random
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

import networks
from searchspace import BASE
from tests.networks.small_reference import small_reference
from tests.networks.weights.other_projects import live_port


def tar(inner: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a"), io.BytesIO(inner))
    return out.getvalue()


def zipped(inner: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.txt", inner)
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "an empty file; download it again"),
        (b"<!DOCTYPE html><html>404</html>", "a web page, not weights"),
        (b"\n <?xml version='1.0'?><Error>AccessDenied</Error>", "a web page, not weights"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a", "git lfs pull"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "a Keras file in HDF5; save a TensorFlow checkpoint"),
        (gzip.compress(b"weights"), "a gzip archive; unpack it"),
        (tar(b"weights"), "a tar archive; unpack it"),
        (zipped(b"weights"), "a zip archive of something else than torch weights"),
        (zipped(b"weights")[:-9], "a damaged zip archive"),
        (b"\x1c\0\0\0TFL3" + bytes(100), "a TensorFlow Lite file without a graph"),
        (pickle.dumps({"a": 1}), "a pickle of something else than torch weights"),
        (b'{"schema": "movinas/architecture/1"}', "JSON text; give the file of the weights"),
        (b"RIFF1234AVI LIST", "of an unknown kind, beginning with b'RIFF1234'; allowed: a state_dict of torch"),
    ],
    ids=["empty", "html", "xml", "lfs", "hdf5", "gzip", "tar", "zip", "half-zip", "tflite", "pickle", "json", "video"],
)
def test_what_was_found_is_said(content: bytes, said: str, tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"  # the ending tells nothing
    file.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        networks.import_weights(file, "a0")
    assert str(file) in str(caught.value) and said in str(caught.value)


def test_paths_that_hold_no_weights(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such file or folder"):
        networks.import_weights(tmp_path / "nothing", "a0")
    with pytest.raises(ValueError, match="no file of weights, and no folder of a TensorFlow checkpoint"):
        networks.import_weights(tmp_path, "a0")
    for name in ("ckpt-1.index", "ckpt-2.index"):
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match=r"holds 2 checkpoints; give one: .*ckpt-1, .*ckpt-2"):
        networks.import_weights(tmp_path, "a0")
    with pytest.raises(ValueError, match=r"ckpt-1\.index: no index of a TensorFlow checkpoint"):
        networks.import_weights(tmp_path / "ckpt-1", "a0")


class Runs:
    """Would create a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "plain pickle"])
def test_no_code_of_a_file_is_run(zipped: bool, tmp_path: Path) -> None:
    state = {"conv1.conv_1.conv3d.weight": Runs(tmp_path / "ran")}
    torch.save(state, tmp_path / "evil.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=r"holds Python objects, which are not loaded since that could run code"):
        networks.import_weights(tmp_path / "evil.pth", "a0")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (torch.zeros(3), "holds a Tensor, no state_dict"),
        ({"state_dict": {"epoch": 3}}, "'epoch' is a int, no tensor"),
        ({"conv1.weight": torch.zeros(3).to_sparse()}, "'conv1.weight' is a sparse"),
        ({}, "holds a dict, no state_dict"),
    ],
)
def test_torch_files_without_a_state_dict(content: object, said: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "odd.pth")
    with pytest.raises(ValueError, match=said):
        networks.import_weights(tmp_path / "odd.pth", "a0")


def test_safetensors_of_others_do_not_say_their_network(tmp_path: Path) -> None:
    safetensors.torch.save_file({"conv1.conv_1.conv3d.weight": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="does not say of which network it is; give --arch"):
        networks.import_weights(tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="carries no architecture"):
        networks.create(tmp_path / "a.safetensors")


@pytest.mark.parametrize("kind", ["zip", "plain pickle", "safetensors"])
def test_every_damage_is_one_line(kind: str, tmp_path: Path) -> None:
    architecture = small_reference(BASE)
    file = tmp_path / "weights"
    if kind == "safetensors":
        networks.save_weights(networks.create(architecture), file)
    else:
        torch.save(live_port(architecture).state_dict(), file, _use_new_zipfile_serialization=kind == "zip")
    whole = file.read_bytes()
    chance = random.Random(0)
    refused = 0
    for trial in range(60):
        data = bytearray(whole)
        if trial % 3 == 0:
            del data[chance.randrange(len(data)) :]
        else:  # where names and shapes stand: values have no checksum in these formats
            at = chance.randrange(2000) if kind != "zip" or trial % 2 else len(data) - 1 - chance.randrange(2000)
            data[at] ^= 1 << chance.randrange(8)
        file.write_bytes(data)
        try:
            networks.import_weights(file, architecture)
        except ValueError as error:
            refused += 1
            assert str(file) in str(error) and "\n" not in str(error) and len(str(error)) < 1500
    assert refused >= 30
