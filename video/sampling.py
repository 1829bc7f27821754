"""Which frames and which window of a video become a clip: one draw a clip, the same for all its frames.

Time is counted on a grid of `GRID` steps per frame of the clip, so that every possible clip of a video consists of
frames nearest to grid times: decoded at once and kept, or decoded one by one, they are the same frames.
"""

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from searchspace.clip import Clip, ClipLike

GRID = 2
"""Grid steps per frame of the clip: at 5 frames per second, clips start at multiples of 0.1 s."""

CROP_AREA = (0.6, 1.0)
"""Range of the random crop's area, as a share of the largest window of the clip's shape (our choice: modest)."""

CROP_STRETCH = 1.15
"""Largest change of the crop's aspect ratio, either way (our choice)."""

DECODE_MARGIN = 8 / 7
"""Videos are decoded at this multiple of the clip's size, so that crops lose little sharpness."""


@dataclasses.dataclass(frozen=True)
class Window:
    """Part of a picture, in shares of its height and width, 0 to 1; mirrored left to right where `flip`."""

    top: float
    left: float
    height: float
    width: float
    flip: bool = False


def grid_length(duration: float, fps: float) -> int:
    """Grid steps in a video of that many seconds; at least one."""
    return max(1, math.floor(duration * fps * GRID + 1e-6))


def grid_times(steps: NDArray[np.int64], fps: float) -> NDArray[np.float64]:
    """Seconds from the first frame."""
    return steps / (fps * GRID)


def grid_steps(times: NDArray[np.float64], fps: float, length: int) -> NDArray[np.int64]:
    """The grid steps at or before some times, in a video of `length` steps."""
    return np.minimum(np.floor(times * (fps * GRID) + 1e-6), length - 1).astype(np.int64)


def uniform_steps(length: int, clip: ClipLike, view: int = 0) -> NDArray[np.int64]:
    """Grid steps of a clip for evaluation, [T].

    View 0 is the middle of the video; views 1, 2, 3, ... spread over it by halving (a quarter, three quarters, an
    eighth, ...), so that any first few cover it evenly. A video shorter than the clip repeats from its beginning.
    """
    return _steps(length, clip, _halving(view))


def random_steps(length: int, clip: ClipLike, rng: np.random.Generator) -> NDArray[np.int64]:
    """Grid steps of a clip for training, [T]: a uniformly random start; a shorter video repeats cyclically from one."""
    return _steps(length, clip, float(rng.random()))


def _steps(length: int, clip: ClipLike, share: float) -> NDArray[np.int64]:
    clip = Clip.of(clip)
    spare = length - clip.frames * GRID
    start = math.floor(share * (spare + 1)) if spare >= 0 else 0
    return (start + GRID * np.arange(clip.frames, dtype=np.int64)) % length


def cyclic_times(start: float, interval: float, frames: int, duration: float) -> NDArray[np.float64]:
    """Seconds of frames at a distance from a start on, [T]; a video that ends before repeats from its beginning."""
    times: NDArray[np.float64] = np.fmod(start + interval * np.arange(frames), max(duration, 1e-6))
    return times


def _halving(view: int) -> float:
    """1/2, 1/4, 3/4, 1/8, 5/8, ...: the van der Corput sequence in base 2."""
    assert view >= 0
    index, share, place = view + 1, 0.0, 0.5
    while index:
        share += place * (index & 1)
        index >>= 1
        place /= 2
    return share


def centre_window(height: int, width: int, clip: ClipLike, aspect: tuple[float, float] = (1.0, 1.0)) -> Window:
    """The largest window in the middle whose aspect ratio, over the clip's, lies in a range."""
    clip = Clip.of(clip)
    picture = (width / height) / (clip.width / clip.height)
    ratio = min(max(picture, aspect[0]), aspect[1]) / picture
    tall, wide = (1.0, ratio) if ratio < 1 else (1 / ratio, 1.0)
    return Window((1 - tall) / 2, (1 - wide) / 2, tall, wide)


def random_window(height: int, width: int, clip: ClipLike, rng: np.random.Generator) -> Window:
    """A window of random size, shape and place: the modest random resized crop of a search."""
    tall, wide = _largest(height, width, clip)
    scale = math.sqrt(rng.uniform(*CROP_AREA))
    stretch = math.exp(rng.uniform(-1.0, 1.0) * math.log(CROP_STRETCH) / 2)
    tall, wide = min(1.0, tall * scale * stretch), min(1.0, wide * scale / stretch)
    top, left = rng.random(2) * (1 - tall, 1 - wide)
    return Window(float(top), float(left), tall, wide)


def _largest(height: int, width: int, clip: ClipLike) -> tuple[float, float]:
    """Share of height and of width that the largest window of the clip's aspect ratio covers."""
    window = centre_window(height, width, clip)
    return window.height, window.width


def decoded_side(height: int, width: int, clip: ClipLike, margin: float = DECODE_MARGIN) -> int:
    """Shorter side at which to decode a video of that size for that clip."""
    clip = Clip.of(clip)
    scale = max(clip.height / height, clip.width / width) * margin
    return max(1, math.ceil(min(height, width) * scale))


def crop_and_resize(frames_THWC: NDArray[np.uint8], window: Window, height: int, width: int) -> NDArray[np.uint8]:
    """The window of every frame, resized to height x width: uint8 [T, height, width, C].

    Bilinear, with the kernel widened by the scale where the picture shrinks (no aliasing), cut off at the picture's
    edges. By Pillow, in whole numbers: the same on every machine.
    """
    from PIL import Image

    _, H, W, _ = frames_THWC.shape
    right, bottom = min(1.0, window.left + window.width), min(1.0, window.top + window.height)
    box = (window.left * W, window.top * H, right * W, bottom * H)
    resized = np.stack(
        [np.asarray(Image.fromarray(f).resize((width, height), Image.Resampling.BILINEAR, box)) for f in frames_THWC]
    )
    return np.ascontiguousarray(resized[:, :, ::-1]) if window.flip else resized
