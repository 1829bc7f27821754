"""Files of torch.save read without its loader: the same tensors as the loader's, and no size in them is believed."""

import io
import pickle
import resource
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch

from networks.weights.torch_file import TorchFile
from networks.weights.torch_pickle import Damaged, Named, Stored, follow

BOTH = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "plain pickle"])
GIGABYTES = 8 << 30


@pytest.fixture(autouse=True)
def little_memory():
    """Whatever takes gigabytes fails."""
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (held + (1 << 30), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def tensors(opened: TorchFile, content: Any) -> Any:
    if isinstance(content, Stored):
        return opened.tensor(content)
    if isinstance(content, dict):
        return {key: tensors(opened, value) for key, value in content.items()}
    return [tensors(opened, value) for value in content] if isinstance(content, list) else content


def assert_same(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, torch.Tensor):
        theirs = theirs.detach()
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
        assert torch.equal(ours, theirs)
    elif isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        for key in theirs:
            assert_same(ours[key], theirs[key])
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_same(one, other)
    else:
        assert ours == theirs


@BOTH
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_the_same_as_torch_s_own_loader(zipped: bool, protocol: int, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    whole = torch.randn(4, 6, generator=generator)
    kinds = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")
    state: dict[str, Any] = {kind: (10 * whole).to(getattr(torch, kind)) for kind in kinds}
    state |= {"transposed": whole.T, "part": whole[1:3, ::2], "again": whole, "scalar": whole[0, 0], "none": whole[:0]}
    state["parameter"] = torch.nn.Parameter(whole[2])
    content = OrderedDict(state_dict=state, epoch=3, lr=1e-3, name="ü", flags=[True, None, 2**70], shape=(2, 3))
    content["optimizer"] = torch.optim.SGD([torch.nn.Parameter(whole)], 0.1).state_dict()
    content["module"] = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3)).state_dict()
    torch.save(content, tmp_path / "a.pth", pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    opened = TorchFile(tmp_path / "a.pth")
    assert_same(tensors(opened, opened.content), content)
    if protocol == 2:  # of others torch's loader is not sure itself
        assert_same(tensors(opened, opened.content), torch.load(tmp_path / "a.pth", weights_only=True))


def test_records_without_checksums(tmp_path: Path) -> None:
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"a": torch.arange(3.0)}, tmp_path / "a.pth")
    finally:
        torch.serialization.set_crc32_options(before)
    opened = TorchFile(tmp_path / "a.pth")
    assert torch.equal(opened.tensor(opened.content["a"]), torch.arange(3.0))


@BOTH
def test_an_expanded_tensor_is_refused(zipped: bool, tmp_path: Path) -> None:
    file = tmp_path / "a.pth"
    torch.save({"a": torch.zeros(1).expand(GIGABYTES)}, file, _use_new_zipfile_serialization=zipped)
    assert file.stat().st_size < 2000
    opened = TorchFile(file)
    with pytest.raises(Damaged, match=r"shows the same 1 again and again \(expanded\); save it with .contiguous\(\)"):
        opened.tensor(opened.content["a"])


def rezipped(file: Path, compression: int) -> None:
    with zipfile.ZipFile(file) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in records.items():
            archive.writestr(name, content)


def test_a_compressed_record_is_refused_before_it_is_read(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(10_000_000)}, tmp_path / "a.pth")
    rezipped(tmp_path / "a.pth", zipfile.ZIP_DEFLATED)
    with pytest.raises(Damaged, match=r"its records claim 40,000,.* bytes, the file has .*; torch writes none"):
        TorchFile(tmp_path / "a.pth")
    torch.save({"a": torch.randn(10)}, tmp_path / "b.pth")
    rezipped(tmp_path / "b.pth", zipfile.ZIP_STORED)
    assert TorchFile(tmp_path / "b.pth").content["a"].shape == (10,)


def test_records_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    """Each entry of the directory is right by itself."""
    file = tmp_path / "a.pth"
    torch.save({str(i): torch.zeros(1000) for i in range(40)}, file)
    with zipfile.ZipFile(file) as archive:
        first = archive.getinfo("a/data/0")
        offsets = {archive.getinfo(f"a/data/{i}").header_offset: first.header_offset for i in range(1, 40)}
    content = bytearray(file.read_bytes())
    directory = content.index(b"PK\x01\x02")
    at, begin = directory, directory
    while content[at : at + 4] == b"PK\x01\x02":
        (offset,) = struct.unpack("<I", content[at + 42 : at + 46])
        content[at + 42 : at + 46] = struct.pack("<I", offsets.get(offset, offset))
        at += 46 + sum(struct.unpack("<HHH", content[at + 28 : at + 34]))
    assert at > begin
    # without the other records' bytes, as whoever wants a small file would write it
    cut = min(offsets)
    shift = begin - cut
    del content[cut:begin]
    end = content.rindex(b"PK\x05\x06")
    (start,) = struct.unpack("<I", content[end + 16 : end + 20])
    content[end + 16 : end + 20] = struct.pack("<I", start - shift)
    file.write_bytes(content)
    with pytest.raises(Damaged):
        TorchFile(file)


def plain(state: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    torch.save(state, out, _use_new_zipfile_serialization=False)
    return out.getvalue()


def test_a_storage_longer_than_the_file_is_refused(tmp_path: Path) -> None:
    content = plain({"a": torch.zeros(3)})
    for count in (4, GIGABYTES, 2**62, -1):
        (tmp_path / "a.pth").write_bytes(content[:-20] + struct.pack("<q", count) + content[-12:])
        with pytest.raises(Damaged, match="is longer than the file"):
            TorchFile(tmp_path / "a.pth")
    (tmp_path / "a.pth").write_bytes(content[:-20] + struct.pack("<q", 2) + content[-12:])
    opened = TorchFile(tmp_path / "a.pth")
    with pytest.raises(Damaged, match="has 8 bytes, not 3 values"):
        opened.tensor(opened.content["a"])


def test_changed_bytes_do_not_match_their_checksum(tmp_path: Path) -> None:
    torch.save({"a": torch.full((7,), 0.5)}, tmp_path / "a.pth")
    content = (tmp_path / "a.pth").read_bytes()
    (tmp_path / "a.pth").write_bytes(content.replace(struct.pack("<f", 0.5), struct.pack("<f", 0.25), 1))
    opened = TorchFile(tmp_path / "a.pth")
    with pytest.raises(Damaged, match="record '0' does not match its checksum"):
        opened.tensor(opened.content["a"])


@pytest.mark.parametrize("offset", [-1, 1, 2**70])
@pytest.mark.parametrize("shape", [(-1,), (4,), (3, 2**62), (2**40,), (0, -3)])
def test_a_tensor_beyond_its_storage_is_refused(offset: int, shape: tuple[int, ...], tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(plain({"a": torch.zeros(3)}))
    opened = TorchFile(tmp_path / "a.pth")
    storage = opened.content["a"].storage
    with pytest.raises(Damaged):
        opened.tensor(Stored(storage, offset, shape, (1,) * len(shape)))


class Call:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.what = function, arguments

    def __reduce__(self) -> Any:
        return self.what


def nested() -> Any:
    pair: Any = ()
    for _ in range(80):
        pair = (pair, pair)
    return pair


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (pickle.dumps(Call(bytearray, GIGABYTES), 2), Named("__builtin__.bytearray")),
        (pickle.dumps(Call(list, range(GIGABYTES)), 2), Named("__builtin__.list")),
        (pickle.dumps(Call(print, "never"), 4), Named("builtins.print")),
        (b"\x80\x02]r\xff\xff\xff\xff.", []),  # a memory of four thousand million places
        (pickle.dumps({"a": nested()}, 2), None),
        (b"\x80\x02}" + pickle.dumps(nested(), 2)[2:-1] + b"K\x01s.", {Named("a key"): 1}),  # hashed for ever
        (b"\x80\x02" + b"(" * 100_000 + b"t" * 100_000 + b".", None),
        (b"\x80\x02" + b"]" + b"\x85" * 100_000 + b".", None),
    ],
    ids=["bytearray", "list", "print", "memory", "shared", "shared key", "deep", "deeper"],
)
def test_pickles_that_would_take_memory_or_time(content: bytes, found: Any) -> None:
    result = follow(content, lambda identity: None)
    if found is not None:
        assert result == found


@pytest.mark.parametrize(
    "content",
    [
        *(b".", b"K\x01", b"h\x07.", b"t.", b"K\x01\x86.", b"\x8e" + b"\xff" * 8, b"X\xff\xff\xff\x7fab.", b"P7\n."),
        *(b"\x82\x01.", b"", b"\xff", b"I9x\n.", b"]K\x01s.", b"(K\x01R."),
    ],
)
def test_pickles_that_cannot_be_followed(content: bytes) -> None:
    with pytest.raises(Damaged):
        follow(b"\x80\x02" + content, lambda identity: None)
