"""The shape of a clip, as the command line, arch.json and every cost state it."""

from __future__ import annotations

import dataclasses
import numbers
import operator
import re
from typing import TypeAlias, Union

from searchspace.schema import show

_CLIP = re.compile(r"(\d{1,6})x(\d{1,6})x(\d{1,6})(?:@(\d{1,4}(?:\.\d{1,6})?))?")
MAX_FRAMES, MAX_SIDE, MAX_FPS = 4096, 4096, 1000.0
MIN_FPS = 0.001
DEFAULT_FPS = 5.0
MAX_LENGTH = 15  # of a kernel
SHIFT_SHARE = 8  # one channel in so many is shifted a frame

ClipLike: TypeAlias = Union["Clip", str, tuple[int, int, int]]
"""A clip as every public call takes it; `Clip.of` reads it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Clip:
    """Frames x height x width @ frames per second.

    Attributes:
        frames: number of frames T, 1 to 4096.
        height: pixels, 1 to 4096.
        width: pixels, 1 to 4096.
        fps: frames per second at which the frames are taken from a video, 0.001 to 1000, kept to six decimals.
    """

    frames: int
    height: int
    width: int
    fps: float = DEFAULT_FPS

    def __post_init__(self) -> None:
        for name in ("frames", "height", "width"):
            size = getattr(self, name)
            if isinstance(size, bool) or not hasattr(size, "__index__"):
                raise ValueError(f"clip {name} {show(size)}: must be a whole number")
            object.__setattr__(self, name, operator.index(size))  # NumPy's integers become plain ones
        if not (1 <= self.frames <= MAX_FRAMES and 1 <= self.height <= MAX_SIDE and 1 <= self.width <= MAX_SIDE):
            raise ValueError(
                f"clip {self.frames}x{self.height}x{self.width}: frames and sides must be from 1 to {MAX_FRAMES}"
            )
        is_number = isinstance(self.fps, numbers.Real) and not isinstance(self.fps, bool)  # NumPy's are Real, too
        if not is_number or not MIN_FPS <= self.fps <= MAX_FPS:
            raise ValueError(f"clip frame rate {show(self.fps)}: must be from {MIN_FPS:g} to {MAX_FPS:g}")
        object.__setattr__(self, "fps", round(float(self.fps), 6))  # as many digits as `parse` reads

    @classmethod
    def of(cls, clip: ClipLike) -> Clip:
        """A clip in whichever form it is given.

        Args:
            clip: a clip; text that `parse` reads, such as `8x128x128@5`; or frames, height and width as a tuple or
                list, at the default frame rate of 5 a second.

        Raises:
            ValueError: anything else, or a number out of range.
        """
        if isinstance(clip, Clip):
            return clip
        if isinstance(clip, str):
            return cls.parse(clip)
        given: object = clip
        if isinstance(given, tuple | list) and len(given) == 3:
            return cls(*given)
        raise ValueError(
            f"clip {show(given)}: must be a Clip, frames, height and width such as (8, 128, 128), or text such as "
            "'8x128x128@5'"
        )

    @classmethod
    def parse(cls, text: str) -> Clip:
        """Reads `8x128x128@5`; without a frame rate it is 5 a second, the rate of A0-A2.

        Raises:
            ValueError: the text is not of this form, or a number is out of range.
        """
        match = _CLIP.fullmatch(text.strip()) if isinstance(text, str) else None
        if match is None:
            raise ValueError(
                f"clip {show(text)}: write frames x height x width @ frames per second, such as 8x128x128@5"
            )
        frames, height, width, fps = match.groups()
        return cls(int(frames), int(height), int(width), float(fps) if fps else DEFAULT_FPS)

    def __str__(self) -> str:
        return f"{self.frames}x{self.height}x{self.width}@{self.fps:.10g}"

    @property
    def seconds(self) -> float:
        """The stretch of video that the frames cover."""
        return self.frames / self.fps

    def at(self, side: int) -> Clip:
        """The same clip at `side` pixels on its shorter side, the aspect ratio kept."""
        short = min(self.height, self.width)
        return dataclasses.replace(
            self, height=max(1, round(self.height * side / short)), width=max(1, round(self.width * side / short))
        )


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Kernel:
    """Size of a convolution kernel: frames x height x width, each odd, from 1 to 15.

    A spatial kernel may stand behind a temporal shift (TSM, Lin et al., ICCV 2019, arXiv 1811.08383), written
    `tsm1x3x3`: an eighth of the channels that it sees, the first, come from the frame before. Where later frames may be
    seen, the next eighth comes from the frame after; this order is our choice (the authors' is the other one), so that
    a causal network shifts the same channels. Shifting has no weights and no multiply-accumulates.

    Attributes:
        t, h, w: frames, height, width.
        shift: whether a temporal shift stands in front.
    """

    t: int
    h: int
    w: int
    shift: bool = False

    def __post_init__(self) -> None:
        if any(type(length) is not int or length % 2 == 0 or not 1 <= length <= MAX_LENGTH for length in self.size):
            raise ValueError(f"kernel {self}: each length must be odd, from 1 to {MAX_LENGTH} (a kernel has a centre)")
        if self.shift and self.t != 1:
            raise ValueError(f"kernel {self}: a spatial kernel must follow the shift, such as tsm1x3x3")

    @classmethod
    def parse(cls, text: object) -> Kernel:
        """Reads `5x3x3`, or `tsm1x3x3` with a temporal shift.

        Raises:
            ValueError: not of this form, an even length, a length over 15, or a shift before several frames.
        """
        match = re.fullmatch(r"(tsm)?(\d{1,3})x(\d{1,3})x(\d{1,3})", text) if isinstance(text, str) else None
        if match is None:
            raise ValueError(
                f"kernel {show(text)}: write frames x height x width, such as 5x3x3, or tsm1x3x3 with a temporal shift"
            )
        shift, *lengths = match.groups()
        t, h, w = (int(length) for length in lengths)
        return cls(t, h, w, shift is not None)

    @property
    def size(self) -> tuple[int, int, int]:
        """Frames, height, width."""
        return self.t, self.h, self.w

    @property
    def taps(self) -> int:
        """Weights per channel."""
        return self.t * self.h * self.w

    def frames(self, causal: bool) -> int:
        """Frames that one frame of the output sees."""
        return (2 if causal else 3) if self.shift else self.t

    def shifted(self, channels: int) -> int:
        """How many of `channels` come from the frame before."""
        return channels // SHIFT_SHARE if self.shift else 0

    def distance(self, other: Kernel) -> int:
        """Difference of the lengths; a shift counts as one more, less than the two of the next longer kernel."""
        lengths = sum(abs(a - b) for a, b in zip(self.size, other.size, strict=True))
        return lengths + (self.shift != other.shift)

    def __str__(self) -> str:
        return f"{'tsm' * self.shift}{self.t}x{self.h}x{self.w}"
