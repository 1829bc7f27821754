"""Checkpoints of TensorFlow without TensorFlow: against a file that it wrote, and damaged ones."""

import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from networks.weights import tensor_bundle
from networks.weights.tensor_bundle import Bundle
from tests.networks.small_reference import ASSETS
from tests.networks.weights import bundle_writer


def test_a_file_that_tensorflow_wrote() -> None:
    variables = Bundle(ASSETS / "ckpt").variables()
    names = [variable.name for variable in variables]
    assert len(names) == len(set(names)) == 128
    positions = [f"block{b}_layer{i}/bneck/se/scale" for b, i in ((0, 0), (1, 0), (1, 1), (2, 0))]
    assert sorted(name for name in names if name.endswith("se/scale")) == positions
    feature = "block1_layer0/bneck/feature"
    (kernel,) = (v for v in variables if v.name == f"{feature}/conv2d_temporal/depthwise_conv2d_1/depthwise_kernel")
    assert kernel.value.shape == (5, 1, 24, 1) and kernel.value.dtype == np.float32
    assert kernel.key.startswith("model/layer_with_weights-0/") and 0.1 < kernel.value.std() < 1


def test_a_saved_model_has_the_same_variables() -> None:
    one = {v.name: v.value for v in Bundle(ASSETS / "ckpt").variables()}
    two = {v.name: v.value for v in Bundle(ASSETS / "saved_model" / "variables" / "variables").variables()}
    assert one.keys() == two.keys() and all((one[name] == two[name]).all() for name in one)


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    """Many blocks of the table, types, scalars, empty axes, names beside keys."""
    rng = np.random.default_rng(0)
    values = {f"layer{i}/weight": rng.random((i % 3, 2)).astype(np.float32) for i in range(400)}
    values |= {"half": np.array([1.5, -2], np.float16), "double": np.array(0.1), "count": np.array(2**40)}
    bundle_writer.write(tmp_path / "ckpt", values, {"half": "half:0"})
    found = {variable.name: variable.value for variable in Bundle(tmp_path / "ckpt").variables()}
    assert found.keys() == values.keys()
    for name, value in values.items():
        assert found[name].dtype == (np.float32 if value.dtype.kind == "f" else np.int64)
        np.testing.assert_array_equal(found[name], value.astype(found[name].dtype))


@pytest.mark.parametrize("suffix", [".index", ".data-00000-of-00001"])
def test_every_damage_is_one_line(suffix: str, tmp_path: Path) -> None:
    """A changed byte, a lost end, a lost file: never read as if nothing were."""
    whole = (ASSETS / f"ckpt{suffix}").read_bytes()
    before = [(v.name, v.value.tobytes()) for v in Bundle(ASSETS / "ckpt").variables()]
    for part in (".index", ".data-00000-of-00001"):
        shutil.copy(ASSETS / f"ckpt{part}", tmp_path)
    file = tmp_path / f"ckpt{suffix}"
    chance = random.Random(0)
    refused = 0
    for trial in range(120):
        data = bytearray(whole)
        if trial % 3 == 0:
            del data[chance.randrange(len(data)) :]
        else:
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        file.write_bytes(data)
        try:
            found = [(v.name, v.value.tobytes()) for v in Bundle(tmp_path / "ckpt").variables()]
            # only the graph of objects has no checksum: names may be lost, values may not
            assert {value for _, value in found} <= {value for _, value in before}
        except ValueError as error:
            refused += 1
            assert "ckpt" in str(error) and "\n" not in str(error) and len(str(error)) < 300
    assert refused > 60
    file.unlink()
    with pytest.raises(ValueError, match=r"no such file; it belongs to the checkpoint"):
        Bundle(tmp_path / "ckpt").variables()


def test_variables_that_share_their_bytes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them is whole and matches its checksum; together they would take any memory."""
    value, fields = np.ones(50_000, np.float32), bundle_writer.field

    def at_the_beginning(number: int, content: int | bytes) -> bytes:
        return fields(number, 0 if number == 4 and isinstance(content, int) else content)

    monkeypatch.setattr(bundle_writer, "field", at_the_beginning)
    bundle_writer.write(tmp_path / "ckpt", {"a": value}, {})
    index = dict(tensor_bundle._table((tmp_path / "ckpt.index").read_bytes()))
    entry = index.pop(b"a/.ATTRIBUTES/VARIABLE_VALUE")
    del index[b"_CHECKPOINTABLE_OBJECT_GRAPH"]  # keyed by name, as of TensorFlow 1
    (tmp_path / "ckpt.index").write_bytes(bundle_writer.table([(b"a", entry), *index.items()]))
    assert [v.name for v in Bundle(tmp_path / "ckpt").variables()] == ["a"]
    many = [(f"a{i}".encode(), entry) for i in range(100)]
    (tmp_path / "ckpt.index").write_bytes(bundle_writer.table([*many, *index.items()]))
    with pytest.raises(ValueError, match=r"00001 has 20.,... bytes, ckpt.index claims 20,000,000 of them"):
        Bundle(tmp_path / "ckpt").variables()


def test_an_index_that_grows_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys that share nearly all of a long one."""
    long = "k" * 2_000
    keys = [f"{long}{i:05d}".encode() for i in range(2_000)]
    monkeypatch.setattr(bundle_writer, "RESTART", 10**9)
    monkeypatch.setattr(bundle_writer, "BLOCK", 10**12)
    (tmp_path / "a.index").write_bytes(bundle_writer.table([(b"", b""), *((key, b"") for key in keys)]))
    assert (tmp_path / "a.index").stat().st_size < 30_000
    with pytest.raises(ValueError, match="its blocks are read again and again"):
        Bundle(tmp_path / "a")


def test_a_graph_that_would_take_for_ever_is_refused() -> None:
    """Thousands of variables of one name in a ring, each of which is looked for around all others."""
    count, field = 3000, bundle_writer.field
    nodes = b""
    for i in range(count):
        child = field(1, field(1, (i + 1) % count))
        nodes += field(1, child + field(2, field(2, b"scale") + field(3, f"key{i}".encode())))
    with pytest.raises(KeyError, match="names that are not told apart"):
        tensor_bundle._ObjectGraph(nodes).names()
