"""Which part of a picture becomes a clip, and how it gets the clip's size: pictures are cropped by two rules.

- window (`crop_window`): a window of the clip's shape, resized with antialiasing. Training takes random windows; what
  is scored while a search or a training runs, the largest one in the middle. It keeps what is small in a picture.
- reference (`crop_like_reference`): what the MoViNet reference evaluates by, for the protocols of `nas evaluate`, whose
  numbers are compared with published ones: the shorter side resized a little above the clip's, without antialiasing,
  then a crop of the clip's size. It sees 7/8 of the window.

One network can answer differently by the two: 71.9 % and 62.5 % of 128 videos right, see docs/training.md.
"""

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from searchspace.clip import Clip, ClipLike

CROP_AREA = (0.6, 1.0)
"""Range of the random crop's area, as a share of the largest window of the clip's shape (our choice: modest)."""

CROP_STRETCH = 1.15
"""Largest change of the crop's aspect ratio, either way (our choice)."""

DECODE_MARGIN = 8 / 7
"""Videos are decoded at this multiple of the clip's size, so that crops lose little sharpness."""

RESIZED = {160: 176, 172: 192, 224: 256, 256: 288, 290: 320, 320: 368}
"""Shorter side before the reference's crop, for the sizes of the published networks; for others 8/7 of theirs, as for
A2."""


@dataclasses.dataclass(frozen=True)
class Window:
    """Part of a picture, in shares of its height and width, 0 to 1; mirrored left to right where `flip`."""

    top: float
    left: float
    height: float
    width: float
    flip: bool = False


# The rule "window"


def centre_window(height: int, width: int, clip: ClipLike, aspect: tuple[float, float] = (1.0, 1.0)) -> Window:
    """The largest window in the middle whose aspect ratio, over the clip's, lies in a range."""
    clip = Clip.of(clip)
    picture = (width / height) / (clip.width / clip.height)
    ratio = min(max(picture, aspect[0]), aspect[1]) / picture
    tall, wide = (1.0, ratio) if ratio < 1 else (1 / ratio, 1.0)
    return Window((1 - tall) / 2, (1 - wide) / 2, tall, wide)


def random_window(height: int, width: int, clip: ClipLike, rng: np.random.Generator) -> Window:
    """A window of random size, shape and place: the modest random resized crop of a search."""
    largest = centre_window(height, width, clip)
    scale = math.sqrt(rng.uniform(*CROP_AREA))
    stretch = math.exp(rng.uniform(-1.0, 1.0) * math.log(CROP_STRETCH) / 2)
    tall, wide = min(1.0, largest.height * scale * stretch), min(1.0, largest.width * scale / stretch)
    top, left = rng.random(2) * (1 - tall, 1 - wide)
    return Window(float(top), float(left), tall, wide)


def decoded_side(height: int, width: int, clip: ClipLike, margin: float = DECODE_MARGIN) -> int:
    """Shorter side at which to decode a video of that size for windows of that clip."""
    clip = Clip.of(clip)
    scale = max(clip.height / height, clip.width / width) * margin
    return max(1, math.ceil(min(height, width) * scale))


def crop_window(frames_THWC: NDArray[np.uint8], window: Window, height: int, width: int) -> NDArray[np.uint8]:
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


# The rule "reference"


def resized_side(clip: ClipLike) -> int:
    """Shorter side of the picture that the reference cuts clips of that size from."""
    clip = Clip.of(clip)
    side = min(clip.height, clip.width)
    return RESIZED.get(side, round(side * DECODE_MARGIN))


def resized_scale(height: int, width: int, clip: ClipLike) -> float:
    """Size of that picture over the size of the video's."""
    clip = Clip.of(clip)
    return resized_side(clip) / min(clip.height, clip.width) * max(clip.height / height, clip.width / width)


def crop_like_reference(
    frames_THWC: NDArray[np.uint8], picture: tuple[int, int], clip: ClipLike, place: float = 0.5
) -> NDArray[np.uint8]:
    """A crop of the clip's size out of every frame, resized before: uint8 [T, clip's height, clip's width, C].

    Bilinear between the four nearest pixels, without a wider kernel where the picture shrinks, cut down to whole
    numbers.

    Args:
        frames_THWC: uint8, whole pictures, of any size.
        picture: height and width of the video, which the size of the resized picture follows from.
        clip: the size.
        place: of the crop along the side that has more to spare, from 0 (first) over 0.5 (middle) to 1 (last).
    """
    from PIL import Image

    clip = Clip.of(clip)
    scale = resized_scale(*picture, clip)
    height, width = max(clip.height, int(picture[0] * scale + 1e-6)), max(clip.width, int(picture[1] * scale + 1e-6))
    vertical, horizontal = (place, 0.5) if height - clip.height > width - clip.width else (0.5, place)
    top, left = int(vertical * (height - clip.height)), int(horizontal * (width - clip.width))
    down, across = frames_THWC.shape[1] / height, frames_THWC.shape[2] / width
    extent = (left * across, top * down, (left + clip.width) * across, (top + clip.height) * down)
    how = Image.Transform.EXTENT, extent, Image.Resampling.BILINEAR
    size = (clip.width, clip.height)
    return np.stack([np.asarray(Image.fromarray(frame).transform(size, *how)) for frame in frames_THWC])
