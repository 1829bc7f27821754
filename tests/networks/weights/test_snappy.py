"""Snappy against Arrow's own compressor, by the letter of the format, and damaged."""

import random

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st

from networks.weights.snappy import decompress


def compressed(data: bytes) -> bytes:
    """By Google's library, which Arrow carries."""
    return bytes(pyarrow.compress(data, codec="snappy", asbytes=True))


TEXTS = st.lists(st.sampled_from([b"block", b"_layer", b"0/bneck/", b"\0\1\2", b"x" * 70, b"scale"]), max_size=300)


@given(TEXTS.map(b"".join) | st.binary(max_size=2000))
def test_what_was_compressed_comes_back(data: bytes) -> None:
    assert decompress(compressed(data)) == data


def test_large_blocks_and_long_literals() -> None:
    chance = random.Random(0)
    random_ones = [chance.randbytes(length) for length in (61, 257, 70_000)]
    for data in (*random_ones, b"abc" * 50_000, bytes(200_000)):
        assert decompress(compressed(data)) == data


@pytest.mark.parametrize(
    ("data", "result"),
    [
        (b"\x00", b""),
        (b"\x05\x10hello", b"hello"),
        (b"\x06\x00a\x05\x01", b"aaaaaa"),  # one letter, then five from one before: they overlap
        (b"\x09\x08abc\x16\x03\x00", b"abcabcabc"),  # an offset of two bytes
        (b"\x09\x08abc\x17\x03\x00\x00\x00", b"abcabcabc"),  # of four
        (b"\x03\xf0\x02abc", b"abc"),  # a length in a byte of its own
    ],
)
def test_every_kind_of_element(data: bytes, result: bytes) -> None:
    assert decompress(data) == result


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80",
        b"\xff\xff\xff\xff\x7f",
        b"\x05\x10hell",
        b"\x04\x10hello",
        b"\x06\x10hello",
        b"\x06\x00a\x05\x02",
        b"\x06\x00a\x05\x00",
        b"\x06\x00a\x05",
        b"\x80\x80\x80\x80\x08\x00a" + b"\xfe\x01\x00" * 1000,
    ],
)
def test_damage_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="a compressed block"):
        decompress(data)


def test_mutated_blocks_end() -> None:
    """They come back, or are refused, in the size that they state."""
    chance, whole = random.Random(0), compressed(b"block0_layer0/bneck/scale " * 200)
    for _ in range(500):
        data = bytearray(whole)
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            assert len(decompress(bytes(data))) <= 64 * len(data)
        except ValueError as error:
            assert "a compressed block" in str(error)
