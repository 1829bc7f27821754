"""What training clips are varied by: settings, and their draws, one a clip, the same on all of its frames."""

import dataclasses
import math
import re
import warnings
from collections.abc import Iterable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from searchspace.clip import MAX_FRAMES, Clip, ClipLike
from searchspace.settings import Settings, setting
from video import crop
from video.crop import Window
from video.policies import POLICIES, autoaugment, blend, randaugment
from video.sampling import cyclic_times

Range = tuple[float, float]

TRIES = 100
"""Windows that are drawn until one fits into the picture (the reference's number), before the largest one that keeps to
the range of aspects, in the middle, is taken."""

ERASED_AREA: Range = (0.02, 0.33)
ERASED_ASPECT: Range = (0.3, 3.3)
"""Of the erased rectangle, as in Zhong et al., arXiv 1708.04896, section 4."""

_SIDES = re.compile(r"(?<![a-z])(left|right|clockwise|counterclockwise|anticlockwise)(?![a-z])", re.IGNORECASE)


class Augmentation(Settings, where="augmentation"):
    """How a training clip is varied; every clip also starts at a random time. The defaults vary nothing else.

    Raises:
        ValueError: a value out of range.
    """

    crop_area: Range = setting("range of the window's area, as a share of the picture", 0.01, 1.0, default=(1.0, 1.0))
    crop_aspect: Range = setting(
        "of the window's width over its height, 1 being the clip's own; drawn on a logarithmic scale",
        0.1,
        10.0,
        default=(1.0, 1.0),
    )
    flip: float = setting(
        "probability of mirroring left to right; off, with a warning, where a class names a side", 0, 1, default=0.0
    )
    policy: Literal["none", "autoaugment", "randaugment"] = setting(
        "autoaugment: ImageNet v0 of the reference's code; randaugment: arXiv 1909.13719",
        default="none",
        words=POLICIES,
    )
    color: float = setting(
        "brightness, contrast, saturation are multiplied by factors within 1 - color and 1 + color", 0, 1, default=0.0
    )
    erase: float = setting(
        "probability of filling a random rectangle with noise, the same noise in every frame", 0, 1, default=0.0
    )
    frame_rate_jitter: int = setting(
        "the distance of frames, in the file's own, changes by -j to j - 1, as in the reference's code",
        0,
        100,
        default=0,
    )
    frames: int | None = setting(
        "of a training clip, where the scored one has more", 1, MAX_FRAMES, default=None, otherwise="all"
    )

    def clip_of(self, clip: ClipLike) -> Clip:
        """The clip that is trained on, where that one is scored."""
        clip = Clip.of(clip)
        return clip if self.frames is None else dataclasses.replace(clip, frames=min(self.frames, clip.frames))

    def for_classes(self, classes: Iterable[str]) -> "Augmentation":
        """The same, without flips where a flip would turn one class into another; says so in a warning."""
        sided = next((name for name in classes if _SIDES.search(name.replace("_", " "))), None)
        if not self.flip or sided is None:
            return self
        warnings.warn(
            f"class {sided!r} names a side, so clips are not mirrored (flip {self.flip:g} is ignored)", stacklevel=3
        )
        return dataclasses.replace(self, flip=0.0)

    @property
    def decode_margin(self) -> float:
        """Decoded size over the clip's: a window of the mean area keeps its sharpness, smaller ones are enlarged."""
        return max(crop.DECODE_MARGIN, 1 / math.sqrt(sum(self.crop_area) / 2))

    def times(self, duration: float, fps: float, clip: ClipLike, rng: np.random.Generator) -> NDArray[np.float64]:
        """Seconds of a clip's frames in a video of that many seconds and frames per second, [T].

        The start is even over all at which the last frame lies within the video, over the whole of a shorter one, which
        repeats cyclically.
        """
        clip = Clip.of(clip)
        interval = 1 / clip.fps
        if self.frame_rate_jitter:
            change = int(rng.integers(-self.frame_rate_jitter, self.frame_rate_jitter))
            interval = max(interval + change / fps, 1 / fps)
        spare = duration - (clip.frames - 1) * interval
        start = float(rng.random()) * (spare if spare > 0 else duration)
        return cyclic_times(start, interval, clip.frames, duration)

    def window(self, height: int, width: int, clip: ClipLike, rng: np.random.Generator) -> Window:
        """The part of a picture that the clip shows, mirrored or not."""
        clip = Clip.of(clip)
        low, high = (math.log(end) for end in self.crop_aspect)
        found: tuple[float, float] | None = None
        for _ in range(TRIES):
            area, aspect = float(rng.uniform(*self.crop_area)), math.exp(rng.uniform(low, high))
            # Shares of the picture's height and width, whose product is the area.
            ratio = aspect * (clip.width / clip.height) / (width / height)
            tall, wide = math.sqrt(area / ratio), math.sqrt(area * ratio)
            if max(tall, wide) <= 1:
                found = tall, wide
                break
        down, across, mirror = (float(value) for value in rng.random(3))
        flip = mirror < self.flip
        if found is None:
            own = crop.centre_window(height, width, clip, self.crop_aspect)
            return dataclasses.replace(own, flip=flip)
        tall, wide = found
        return Window(down * (1 - tall), across * (1 - wide), tall, wide, flip)

    def paint(self, frames_THWC: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """What the policy, the colours and the eraser make of a clip, uint8 [T, H, W, 3]."""
        if self.policy == "autoaugment":
            frames_THWC = autoaugment(frames_THWC, rng)
        elif self.policy == "randaugment":
            frames_THWC = randaugment(frames_THWC, rng)
        if self.color:
            frames_THWC = _recoloured(frames_THWC, self.color, rng)
        if self.erase and rng.random() < self.erase:
            frames_THWC = _erased(frames_THWC, rng)
        return frames_THWC


def _recoloured(frames_THWC: NDArray[np.uint8], strength: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    for name in ("brightness", "contrast", "color"):
        frames_THWC = blend(frames_THWC, name, float(rng.uniform(1 - strength, 1 + strength)))
    return frames_THWC


def _erased(frames_THWC: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    _, H, W, C = frames_THWC.shape
    low, high = (math.log(end) for end in ERASED_ASPECT)
    for _ in range(TRIES):
        area, aspect = float(rng.uniform(*ERASED_AREA)) * H * W, math.exp(rng.uniform(low, high))
        height, width = round(math.sqrt(area / aspect)), round(math.sqrt(area * aspect))
        if 0 < height <= H and 0 < width <= W:
            top, left = int(rng.integers(H - height + 1)), int(rng.integers(W - width + 1))
            erased = frames_THWC.copy()
            erased[:, top : top + height, left : left + width] = rng.integers(0, 256, (height, width, C), np.uint8)
            return erased
    return frames_THWC
