"""TensorFlow Lite files that are damaged, lie, or hold something else: one line, no crash, bounded memory."""

import dataclasses
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import networks
from networks.weights.tflite.flatbuffer import Refused
from networks.weights.tflite.model import Model
from searchspace import BASE, STREAM
from tests.networks.small_reference import small_reference
from tests.networks.weights import tflite_mutated
from tests.networks.weights.tflite_files import HARD, live, unpacked
from tests.networks.weights.tflite_writer import Builder, Writer, _Network, write


def refused(data: bytes, folder: Path) -> str:
    """What is said of a file, without its name."""
    file = folder / "damaged.tflite"
    file.write_bytes(data)
    with pytest.raises(ValueError) as caught:
        networks.import_weights(file)
    text = str(caught.value)
    assert text.startswith(f"{file}") and "\n" not in text and len(text) < 600
    return text.removeprefix(f"{file}: ")


def altered(change: Callable[[Writer], None], monkeypatch: pytest.MonkeyPatch, form: object = HARD) -> bytes:
    """The file of a network whose graph was changed before it was written."""
    pack = Writer.bytes

    def changed(writer: Writer) -> bytes:
        change(writer)
        return pack(writer)

    monkeypatch.setattr(Writer, "bytes", changed)
    data = write(live(small_reference(form)), 32, 32, 2)  # type: ignore[arg-type]
    monkeypatch.undo()
    return data


def replaced(old: str, new: str) -> Callable[[Writer], None]:
    """The last operator of a kind becomes another."""

    def change(writer: Writer) -> None:
        index = max(i for i, (kind, *_) in enumerate(writer.operators) if kind == old)
        writer.operators[index] = (new, *writer.operators[index][1:])

    return change


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("HARD_SWISH", "GELU", "expected swish, hard_swish or relu6 in the head, found operator GELU ('t"),
        ("HARD_SWISH", "Mystery", "expected swish, hard_swish or relu6 in the head, found operator Mystery ('t"),
        ("DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "expected a depthwise convolution in bottleneck 1 from the end, found"),
        ("CONCATENATION", "MAXIMUM", "expected a mean of its own map in squeeze-excitation of bottleneck 1 from the"),
        (
            "MEAN",
            "REDUCE_MAX",
            "expected a mean over frames and map in front of the dense layer, found operator REDUCE",
        ),
        ("RELU6", "TANH", "expected an activation, perhaps gated, in front of the projection of bottleneck 1"),
        ("CONV_2D", "BATCH_MATMUL", "expected a pointwise convolution in the classifier, found operator BATCH_MATMUL"),
        ("AVERAGE_POOL_2D", "MAX_POOL_2D", "expected the input of bottleneck 3 from the end in front of its skip"),
        ("ADD", "SQUARED_DIFFERENCE", "expected a mean over frames and map in front of the dense layer, found"),
    ],
)
def test_operators_that_no_movinet_has(
    old: str, new: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert said in refused(altered(replaced(old, new), monkeypatch), tmp_path)


def constants(writer: Writer) -> list[dict]:
    return [tensor for tensor in writer.tensors if "data" in tensor]


def test_causal_kernels_under_means_of_whole_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a stream network: its answers would be another network's."""
    squeeze = _Network.squeeze

    def of_clip(self: _Network, y: int, weights: object, name: str) -> int:
        def mean(x: int) -> int:
            clip = self.reshape(x, [1, 1, *self.writer.shape(x)[1:]])
            axes = self.writer.constant(np.array([1, 2, 3]))
            return self.writer.run("MEAN", [clip, axes], [1, 1, 1, 1, self.writer.shape(x)[-1]])

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self, "mean", mean)
            patch.setattr(self, "over_time", lambda mean, name: mean)
            return squeeze(self, y, weights, name)  # type: ignore[arg-type]

    monkeypatch.setattr(_Network, "squeeze", of_clip)
    data = write(live(small_reference(dataclasses.replace(HARD, squeeze_kind="3d"))), 32, 32)
    assert "sees frames that the kernels do not; in no MoViNet" in refused(data, tmp_path)


def test_numbers_that_no_movinet_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gate, a mean, a kernel, a stride or a padding that is a little different is no other network of ours."""

    def scale_gate(writer: Writer) -> None:
        for tensor in constants(writer):
            if tensor["data"].size == 1 and np.isclose(tensor["data"].reshape(-1)[0], 0.16667):
                tensor["data"] = np.array(0.2, np.float32)

    def options(kind: str, number: int, value: int) -> Callable[[Writer], None]:
        def change(writer: Writer) -> None:
            for operator in writer.operators:
                if operator[0] == kind:
                    operator[3][number] = (operator[3].get(number, ("int32", 0))[0], value)

        return change

    def vary(writer: Writer) -> None:
        tensor = next(t for t in constants(writer) if t["data"].size == 1 and t["data"].dtype == np.float32)
        tensor["data"], tensor["shape"] = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1), [1, 4, 4, 1]

    for change, said in (
        (scale_gate, "expected an activation, perhaps gated"),
        (options("CONV_2D", 0, 1), "pads maps of 32 x 32 by [(0, 0), (0, 0)], MoViNets by [(0, 1), (0, 1)]"),
        (options("DEPTHWISE_CONV_2D", 5, 2), "dilations [2, 1]; in no MoViNet"),
        (options("AVERAGE_POOL_2D", 3, 2), "pools [1, 3, 2] by [1, 2, 2]"),
        (options("CONCATENATION", 0, 2), "expected a mean of its own map"),
        (vary, "multiplies or adds numbers that differ from place to place"),
    ):
        text = refused(altered(change, monkeypatch), tmp_path)
        assert said in text, text


def tables(root: dict) -> bytes:
    """A file of nothing but these tables."""
    builder = Builder()
    made = {key: (kind, [builder.table(one) for one in value]) for key, (kind, value) in root.items()}
    builder.inner.Finish(builder.table({0: ("uint32", 3), **made}), b"TFL3")
    return bytes(builder.inner.Output())


def test_files_of_something_else(tmp_path: Path) -> None:
    assert refused(tables({}), tmp_path) == "a TensorFlow Lite file without a graph; download it again"
    assert "0 outputs" in refused(tables({2: ("tables", [{}])}), tmp_path)
    writer = Writer()
    image = writer.input("image", [1, 8, 8, 3])
    weights = writer.constant(np.zeros((4, 3, 3, 3), np.float32))
    conv = writer.run("CONV_2D", [image, weights], [1, 4, 4, 4], {0: ("int8", 0), 1: ("int32", 2), 2: ("int32", 2)})
    mean = writer.run("MEAN", [conv, writer.constant(np.array([1, 2]))], [1, 4])
    writer.outputs["probabilities"] = mean
    assert refused(writer.bytes(), tmp_path) == (
        "no MoViNet: expected a pointwise convolution in the classifier, found operator MEAN ('t4')"
    )


def test_sizes_that_are_claimed(tmp_path: Path) -> None:
    """Two gigabytes of a buffer, of a vector, behind the file, in a shape; sixteen million tensors of one table."""
    whole = write(live(small_reference(STREAM)), 32, 32)
    largest = bytes(np.frombuffer(whole, np.uint8))
    place = next(i for i in range(0, len(largest), 4) if struct.unpack_from("<I", largest, i)[0] == 32 * 48 * 4)
    for claimed in (0x7FFFFFF0, 0xFFFFFFFF, 32 * 48 * 4 + 4, 0):
        data = bytearray(whole)
        data[place : place + 4] = struct.pack("<I", claimed)
        text = refused(bytes(data), tmp_path)
        assert "damaged" in text or "not" in text, text
    for fields in ({1: ("uint64", 1 << 31), 2: ("uint64", 1 << 31)}, {1: ("uint64", 8), 2: ("uint64", 1 << 62)}):
        builder = Builder()
        buffers = [builder.table({}), builder.table(fields)]
        tensor = {0: ("numbers", np.array([1 << 29], np.int32)), 2: ("uint32", 1)}
        tensors = [builder.table(tensor), builder.table({0: ("numbers", np.array([1, 8, 8, 3], np.int32))})]
        tensors.append(builder.table({0: ("numbers", np.array([1, 2], np.int32))}))
        operator = {1: ("numbers", np.array([1, 0], np.int32)), 2: ("numbers", np.array([2], np.int32))}
        graph = {0: ("tables", tensors), 1: ("numbers", np.array([1], np.int32))}
        graph |= {2: ("numbers", np.array([2], np.int32)), 3: ("tables", [builder.table(operator)])}
        root = {1: ("tables", [builder.table({0: ("int8", 18), 3: ("int32", 18)})])}
        root |= {2: ("tables", [builder.table(graph)]), 4: ("tables", buffers)}
        builder.inner.Finish(builder.table(root), b"TFL3")
        with pytest.raises(Refused, match=r"points out of the file|has 0 bytes"):
            Model(bytes(builder.inner.Output())).values(0)
    builder = Builder()
    one = builder.table({})
    builder.inner.StartVector(4, 30_000, 4)
    for _ in range(30_000):
        builder.inner.PrependUOffsetTRelative(one)
    many = ("offset", builder.inner.EndVector())
    graph = builder.table({0: many})
    builder.inner.Finish(builder.table({2: ("tables", [graph])}), b"TFL3")
    assert refused(bytes(builder.inner.Output()), tmp_path) == "it claims 30,000 tensors; allowed: 20,000"


def test_a_constant_that_many_share_is_not_read_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    file = tmp_path / "a.tflite"
    file.write_bytes(write(live(small_reference(BASE)), 32, 32))
    model = Model(file.read_bytes())
    large = max((i for i in range(len(model.tensors)) if model.is_constant(i)), key=lambda i: model.values(i).nbytes)
    with pytest.raises(Refused, match="add up to far more than the file holds"):
        for _ in range(1000):
            model.values(large)


def test_operators_in_the_wrong_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A graph that reads what comes later, or itself, is refused before anything is followed."""
    said = refused(altered(lambda writer: writer.operators.reverse(), monkeypatch), tmp_path)
    assert "is read before it is computed" in said

    def own(writer: Writer) -> None:
        kind, _, outputs, *rest = writer.operators[-1]
        writer.operators[-1] = (kind, [outputs[0], outputs[0]], outputs, *rest)  # type: ignore[assignment]

    assert "is read before it is computed" in refused(altered(own, monkeypatch), tmp_path)


def test_files_that_were_cut_short(tmp_path: Path) -> None:
    whole = write(live(small_reference(HARD)), 32, 32)
    for share in (0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.9999):
        assert refused(whole[: int(len(whole) * share)], tmp_path)
    for length in range(8, 64, 4):
        assert refused(whole[:length], tmp_path)


def mutate(file: Path, count: int, seed: int) -> str:
    """Runs `tflite_mutated` with a limit of memory; returns its last line."""
    command = [sys.executable, str(Path(tflite_mutated.__file__)), str(file), str(count), str(seed)]
    path = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"}
    answer = subprocess.run(command, capture_output=True, text=True, env=path, cwd=file.parent)
    assert answer.returncode == 0, answer.stderr[-2000:]
    return answer.stdout.splitlines()[-1]


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the limit is set by what Linux tells")
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("small_stream_int8", 60),
        *(pytest.param(name, 500, marks=pytest.mark.slow) for name in ("small_stream", "small_base")),
        *(pytest.param(name, 500, marks=pytest.mark.slow) for name in ("small_stream_2021", "small_base_float16")),
    ],
)
def test_mutated_files(name: str, count: int, tmp_path: Path) -> None:
    refused_count = int(mutate(unpacked(name, tmp_path), count, seed=count).split()[0])
    assert refused_count > count // 4
