"""The shape of a clip, as the command line, arch.json and every cost state it."""

from __future__ import annotations

import dataclasses
import operator
import re
from typing import NamedTuple

from searchspace.schema import show

_CLIP = re.compile(r"(\d{1,6})x(\d{1,6})x(\d{1,6})(?:@(\d{1,4}(?:\.\d{1,6})?))?")
MAX_FRAMES, MAX_SIDE, MAX_FPS = 4096, 4096, 1000.0
MIN_FPS = 0.001
DEFAULT_FPS = 5.0
MAX_LENGTH = 15  # of a kernel


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
        if type(self.fps) not in (int, float) or not MIN_FPS <= self.fps <= MAX_FPS:
            raise ValueError(f"clip frame rate {show(self.fps)}: must be from {MIN_FPS:g} to {MAX_FPS:g}")
        object.__setattr__(self, "fps", round(float(self.fps), 6))  # as many digits as `parse` reads

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


class Kernel(NamedTuple):
    """Size of a convolution kernel: frames x height x width, each odd."""

    t: int
    h: int
    w: int

    @classmethod
    def parse(cls, text: object) -> Kernel:
        """Reads `5x3x3`.

        Raises:
            ValueError: not of this form, an even length, or a length over 15.
        """
        match = re.fullmatch(r"(\d{1,3})x(\d{1,3})x(\d{1,3})", text) if isinstance(text, str) else None
        if match is None:
            raise ValueError(f"kernel {show(text)}: write frames x height x width, such as 5x3x3")
        return cls(*(int(part) for part in match.groups())).checked()

    def checked(self) -> Kernel:
        """Itself; raises `ValueError` for a length that is even (a kernel has a centre) or not from 1 to 15."""
        if any(type(size) is not int or size % 2 == 0 or not 1 <= size <= MAX_LENGTH for size in self):
            raise ValueError(f"kernel {self}: each length must be odd, from 1 to {MAX_LENGTH} (a kernel has a centre)")
        return self

    @property
    def taps(self) -> int:
        """Weights per channel."""
        return self.t * self.h * self.w

    def __str__(self) -> str:
        return f"{self.t}x{self.h}x{self.w}"
