"""Clips and kernels as people write them."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from searchspace import Clip, Kernel


@pytest.mark.parametrize(
    ("text", "clip"),
    [
        ("8x128x128@5", Clip(8, 128, 128, 5)),
        ("8x128x128", Clip(8, 128, 128, 5)),
        (" 120x256x320@12.5 ", Clip(120, 256, 320, 12.5)),
        ("80x290x290@8.333333", Clip(80, 290, 290, 8.333333)),
        ("1x1x1@0.001", Clip(1, 1, 1, 0.001)),
        ("4096x4096x4096@1000", Clip(4096, 4096, 4096, 1000)),
    ],
)
def test_clips(text: str, clip: Clip) -> None:
    assert Clip.parse(text) == clip
    assert Clip.parse(str(clip)) == clip


@given(st.integers(1, 4096), st.integers(1, 4096), st.integers(1, 4096), st.floats(0.001, 1000))
def test_clips_round_trip_whatever_their_frame_rate(frames: int, height: int, width: int, fps: float) -> None:
    clip = Clip(frames, height, width, fps)
    assert Clip.parse(str(clip)) == clip
    assert clip.fps == pytest.approx(fps, abs=5e-7)
    assert clip.seconds == frames / clip.fps


@pytest.mark.parametrize(
    "given",
    [
        *(Clip(8, 128, 96), "8x128x96@5", " 8x128x96", (8, 128, 96), [8, 128, 96]),
        *(tuple(np.array([8, 128, 96])), torch.Size((8, 128, 96))),
    ],
)
def test_a_clip_is_taken_in_every_form(given: Any) -> None:
    clip = Clip.of(given)
    assert clip == Clip(8, 128, 96, 5.0)
    assert [type(value) for value in dataclasses.astuple(clip)] == [int, int, int, float]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        *(
            (given, "must be a Clip, frames, height and width such as")
            for given in (None, 8, (8, 128), b"8x8x8", object())
        ),
        *((given, "must be a Clip, frames, height and width such as") for given in ((8, 128, 128, 5), torch.zeros(3))),
        ("8x128", "write frames x height x width @ frames per second"),
        ((8, 128, 4097), "must be from 1 to 4096"),
        ((8, 128, 0.5), "must be a whole number"),
        (("8", "128", "128"), "must be a whole number"),
    ],
)
def test_what_is_no_clip_is_refused_in_a_sentence(given: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Clip.of(given)


def test_numpys_frame_rates_are_numbers() -> None:
    for fps in (np.float32(12.5), np.float64(12.5), 12.5):
        assert type(Clip(8, 128, 128, fps).fps) is float and Clip(8, 128, 128, fps).fps == 12.5  # type: ignore[arg-type]
    for odd in (True, "5", None, float("nan"), np.float64("inf")):
        with pytest.raises(ValueError, match="clip frame rate"):
            Clip(8, 128, 128, odd)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        *("", "8", "8x128", "8x128x128x3", "8x128x128@", "8X128X128", "-8x1x1", "8x128x128@-5", "8x128x128@1e3"),
        *("8x1.5x1", "x", "9999999x1x1", "8x128x128@5\n6", "8x128x128@1.23456789", None, 8, ("8", "1", "1")),
    ],
)
def test_texts_that_are_no_clip(text: object) -> None:
    with pytest.raises(ValueError, match=r"write frames x height x width @ frames per second, such as 8x128x128@5"):
        Clip.parse(text)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text", ["0x128x128", "8x0x128", "8x128x4097", "8x128x128@0", "8x128x128@1000.1", "1x1x1@0.0001"]
)
def test_clips_out_of_range(text: str) -> None:
    with pytest.raises(ValueError, match=r"clip .* must be from"):
        Clip.parse(text)


@pytest.mark.parametrize(
    "sizes", [(8.0, 1, 1), (True, 1, 1), (8, "1", 1), (8, 1, None), (8, 1, 1, "5"), (8, 1, 1, float("nan"))]
)
def test_clips_built_by_hand_are_checked(sizes: tuple) -> None:
    with pytest.raises(ValueError, match="must be"):
        Clip(*sizes)


def test_integers_of_numpy_become_plain() -> None:
    clip = Clip(*np.array([8, 32, 48]))
    assert [type(size) for size in (clip.frames, clip.height, clip.width)] == [int] * 3 and str(clip) == "8x32x48@5"


def test_another_resolution() -> None:
    clip = Clip(8, 128, 171, 5)
    assert clip.at(32) == Clip(8, 32, 43, 5)
    assert Clip(8, 2000, 1, 5).at(1) == Clip(8, 2000, 1, 5)
    assert dataclasses.replace(clip, frames=3) == Clip(3, 128, 171, 5)


@pytest.mark.parametrize("text", ["1x3x3", "5x1x1", "15x15x15", "1x1x1", "tsm1x3x3", "tsm1x1x1"])
def test_kernels(text: str) -> None:
    kernel = Kernel.parse(text)
    lengths = tuple(int(length) for length in text.removeprefix("tsm").split("x"))
    assert str(kernel) == text and kernel == Kernel(*lengths, shift=text.startswith("tsm"))
    assert kernel.size == lengths and kernel.taps == math.prod(lengths)


def test_what_a_shift_moves_and_sees() -> None:
    plain, shifting = Kernel(1, 3, 3), Kernel(1, 3, 3, shift=True)
    assert plain != shifting and [kernel.shifted(47) for kernel in (plain, shifting)] == [0, 5]
    assert [kernel.frames(causal) for kernel in (Kernel(5, 1, 1), shifting) for causal in (True, False)] == [5, 5, 2, 3]
    assert plain.distance(shifting) == shifting.distance(plain) == 1
    assert Kernel(3, 5, 3).distance(shifting) == 2 + 2 + 1 and shifting.distance(shifting) == 0


@pytest.mark.parametrize(
    "text",
    ["3x3", "3", "", "3x3x3x3", "ax3x3", "3 x3x3", "3x3x-3", 333, None, ["3x3x3"], "x" * 10**6, "tsm", "TSM1x3x3"],
)
def test_texts_that_are_no_kernel(text: object) -> None:
    with pytest.raises(ValueError, match="write frames x height x width, such as 5x3x3") as caught:
        Kernel.parse(text)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("text", ["2x3x3", "3x3x4", "17x1x1", "0x1x1"])
def test_kernels_without_a_centre_or_too_large(text: str) -> None:
    with pytest.raises(ValueError, match=f"kernel {text}: each length must be odd, from 1 to 15"):
        Kernel.parse(text)


def test_a_shift_goes_before_a_spatial_kernel_only() -> None:
    with pytest.raises(ValueError, match="kernel tsm3x3x3: a spatial kernel must follow the shift, such as tsm1x3x3"):
        Kernel.parse("tsm3x3x3")
