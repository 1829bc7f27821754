"""Event files of TensorBoard, read by TensorFlow's own definition of them; and what a full disk does to them."""

import errno
import math
import random
import struct

import google_crc32c
import pytest
from tensorboardX.proto.event_pb2 import Event, SessionLog

from networks.weights import crc32c
from training import tensorboard as metrics
from training.tensorboard import Scalars


def masked(data: bytes) -> int:
    checksum = google_crc32c.value(data)
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF


def events(content: bytes) -> list[Event]:
    found = []
    while content:
        (length,), rest = struct.unpack("<Q", content[:8]), content[12:]
        assert struct.unpack("<I", content[8:12]) == (masked(content[:8]),)
        assert struct.unpack("<I", rest[length : length + 4]) == (masked(rest[:length]),)
        found.append(Event.FromString(rest[:length]))
        content = rest[length + 4 :]
    return found


def test_tensorboard_reads_what_was_written(tmp_path):
    scalars = Scalars(tmp_path / "tensorboard", 300)
    scalars.add(301, {"weights/loss": 2.5, "controller/reward": math.nan, "time/step_ms": 1e300})
    scalars.add(2**40, {"größe": -0.125})
    scalars.add(7, {"weights/loss": math.inf})
    (file,) = (tmp_path / "tensorboard").iterdir()
    assert "tfevents" in file.name
    version, start, first, second = events(file.read_bytes())
    assert version.file_version == "brain.Event:2" and version.wall_time > 1e9
    assert start.session_log.status == SessionLog.START and start.step == 300
    assert first.step == 301 and second.step == 2**40
    assert [(v.tag, v.simple_value) for v in second.summary.value] == [("größe", -0.125)]
    values = {v.tag: v.simple_value for v in first.summary.value}
    assert values == {"weights/loss": 2.5, "time/step_ms": pytest.approx(3.4028235e38)}


def test_a_full_disk_is_an_error_of_the_one_who_writes(tmp_path, monkeypatch):
    scalars = Scalars(tmp_path, 0)
    monkeypatch.setattr(scalars, "_path", "/dev/full")
    with pytest.raises(OSError) as caught:
        scalars.add(1, {"a": 1.0})
    assert caught.value.errno == errno.ENOSPC


@pytest.mark.parametrize("length", [0, 1, 7, 8, 100, 3000])
def test_checksums_without_the_library_are_the_library_s(length, monkeypatch):
    data = random.Random(length).randbytes(length)
    monkeypatch.setattr(crc32c, "_checksum", crc32c._by_table)
    assert crc32c.masked(data) == masked(data)
    assert metrics._checksum(data) == struct.pack("<I", masked(data))
