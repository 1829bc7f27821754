"""Which frames of a video become a clip; which part of them, `video.crop` says.

Time is counted on a grid of `GRID` steps per frame of the clip, so that every possible clip of a video consists of
frames nearest to grid times: decoded at once and kept, or decoded one by one, they are the same frames.
"""

import math

import numpy as np
from numpy.typing import NDArray

from searchspace.clip import Clip, ClipLike

GRID = 2
"""Grid steps per frame of the clip: at 5 frames per second, clips start at multiples of 0.1 s."""


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
