"""The shape of a clip, as the command line, arch.json and every cost state it."""

from __future__ import annotations

import dataclasses
import re
from typing import NamedTuple

_CLIP = re.compile(r"(\d{1,6})x(\d{1,6})x(\d{1,6})(?:@(\d{1,4}(?:\.\d{1,6})?))?")
MAX_FRAMES, MAX_SIDE, MAX_FPS = 4096, 4096, 1000.0
DEFAULT_FPS = 5.0


@dataclasses.dataclass(frozen=True, slots=True)
class Clip:
    """Frames x height x width @ frames per second.

    Attributes:
        frames: number of frames T, 1 to 4096.
        height: pixels, 1 to 4096.
        width: pixels, 1 to 4096.
        fps: frames per second at which the frames are taken from a video, above 0 and at most 1000.
    """

    frames: int
    height: int
    width: int
    fps: float = DEFAULT_FPS

    def __post_init__(self) -> None:
        if not (1 <= self.frames <= MAX_FRAMES and 1 <= self.height <= MAX_SIDE and 1 <= self.width <= MAX_SIDE):
            raise ValueError(
                f"clip {self.frames}x{self.height}x{self.width}: frames and sides must be from 1 to {MAX_FRAMES}"
            )
        if not 0 < self.fps <= MAX_FPS:
            raise ValueError(f"clip frame rate {self.fps:g}: must be above 0 and at most {MAX_FPS:g}")

    @classmethod
    def parse(cls, text: str) -> Clip:
        """Reads `8x128x128@5`; without a frame rate it is 5 a second, the rate of A0-A2.

        Raises:
            ValueError: the text is not of this form, or a number is out of range.
        """
        match = _CLIP.fullmatch(text.strip()) if isinstance(text, str) else None
        if match is None:
            raise ValueError(f"clip {text!r}: write frames x height x width @ frames per second, such as 8x128x128@5")
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
            raise ValueError(f"kernel {text!r}: write frames x height x width, such as 5x3x3")
        kernel = cls(*(int(part) for part in match.groups()))
        if any(size % 2 == 0 or size > 15 for size in kernel):
            raise ValueError(f"kernel {text}: each length must be odd and at most 15 (a kernel has a centre)")
        return kernel

    @property
    def taps(self) -> int:
        """Weights per channel."""
        return self.t * self.h * self.w

    def __str__(self) -> str:
        return f"{self.t}x{self.h}x{self.w}"
