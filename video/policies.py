"""AutoAugment and RandAugment on whole clips, by Pillow: one draw a clip, the same on all of its frames.

Operations that look at single pixels run on the frames stacked into one tall picture, so that what is measured for them
(histograms, means, extremes) is measured over the clip, as the reference's code does; those that move pixels or look at
neighbours run frame by frame with the same numbers. Pillow is what both papers' code was written with, and does not
bring torch into the processes that load data, as torchvision would.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.uint8]

POLICIES = ("none", "autoaugment", "randaugment")

MAX_LEVEL = 10
_FILL = (128, 128, 128)  # of what a move uncovers

# Sub-policies of two steps: operation, probability, level. "v0" of EfficientNet's code and of the MoViNet reference.
V0: tuple[tuple[tuple[str, float, int], tuple[str, float, int]], ...] = (
    (("equalize", 0.8, 1), ("shear_y", 0.8, 4)),
    (("color", 0.4, 9), ("equalize", 0.6, 3)),
    (("color", 0.4, 1), ("rotate", 0.6, 8)),
    (("solarize", 0.8, 3), ("equalize", 0.4, 7)),
    (("solarize", 0.4, 2), ("solarize", 0.6, 2)),
    (("color", 0.2, 0), ("equalize", 0.8, 8)),
    (("equalize", 0.4, 8), ("solarize_add", 0.8, 3)),
    (("shear_x", 0.2, 9), ("rotate", 0.6, 8)),
    (("color", 0.6, 1), ("equalize", 1.0, 2)),
    (("invert", 0.4, 9), ("rotate", 0.6, 0)),
    (("equalize", 1.0, 9), ("shear_y", 0.6, 3)),
    (("color", 0.4, 7), ("equalize", 0.6, 0)),
    (("posterize", 0.4, 6), ("autocontrast", 0.4, 7)),
    (("solarize", 0.6, 8), ("color", 0.6, 9)),
    (("solarize", 0.2, 4), ("rotate", 0.8, 9)),
    (("rotate", 1.0, 7), ("translate_y", 0.8, 9)),
    (("shear_x", 0.0, 0), ("solarize", 0.8, 4)),
    (("shear_y", 0.8, 0), ("color", 0.6, 4)),
    (("color", 1.0, 0), ("rotate", 0.6, 2)),
    (("equalize", 0.8, 4), ("equalize", 0.0, 8)),
    (("equalize", 1.0, 4), ("autocontrast", 0.6, 2)),
    (("shear_y", 0.4, 7), ("solarize_add", 0.6, 7)),
    (("posterize", 0.8, 2), ("solarize", 0.6, 10)),
    (("solarize", 0.6, 8), ("equalize", 0.6, 1)),
    (("color", 0.8, 6), ("rotate", 0.4, 5)),
)

V0_CUTOUT, V0_TRANSLATE = 100, 250
"""Pixels at the highest level, the reference's; its pictures have 172 to 320, so that a translation of level 9 leaves
grey alone in the smaller ones."""

RAND_OPERATIONS = (
    "autocontrast", "equalize", "invert", "rotate", "posterize", "solarize", "color", "contrast", "brightness",
    "sharpness", "shear_x", "shear_y", "translate_x", "translate_y", "cutout", "solarize_add",
)  # fmt: skip
RAND_STEPS, RAND_LEVEL = 2, 9
"""Operations a clip, and their level (arXiv 1909.13719, the values for ImageNet)."""
_RAND_CUTOUT, _RAND_TRANSLATE = 40 / 224, 100 / 224  # as shares of the shorter side: our choice, clips come in any size


def autoaugment(frames_THWC: Frames, rng: np.random.Generator) -> Frames:
    """One random sub-policy of `V0`."""
    for name, probability, level in V0[int(rng.integers(len(V0)))]:
        amount = _amount(name, level, rng, V0_CUTOUT, V0_TRANSLATE)
        if rng.random() < probability:
            frames_THWC = apply(frames_THWC, name, amount, rng)
    return frames_THWC


def randaugment(frames_THWC: Frames, rng: np.random.Generator) -> Frames:
    """`RAND_STEPS` random operations of level `RAND_LEVEL`."""
    side = min(frames_THWC.shape[1:3])
    for _ in range(RAND_STEPS):
        name = RAND_OPERATIONS[int(rng.integers(len(RAND_OPERATIONS)))]
        amount = _amount(name, RAND_LEVEL, rng, _RAND_CUTOUT * side, _RAND_TRANSLATE * side)
        frames_THWC = apply(frames_THWC, name, amount, rng)
    return frames_THWC


def _amount(name: str, level: int, rng: np.random.Generator, cutout: float, translate: float) -> float:
    """What a level means to an operation; the sign of moves is drawn."""
    share = level / MAX_LEVEL
    if name in ("rotate", "shear_x", "shear_y", "translate_x", "translate_y"):
        most = {"rotate": 30.0, "shear_x": 0.3, "shear_y": 0.3}.get(name, translate)
        return share * most * (-1.0 if rng.random() < 0.5 else 1.0)
    if name in ("color", "contrast", "brightness", "sharpness"):
        return share * 1.8 + 0.1
    return {"posterize": int(share * 4), "solarize": int(share * 256), "solarize_add": int(share * 110)}.get(
        name, int(share * cutout)
    )


def apply(frames_THWC: Frames, name: str, amount: float, rng: np.random.Generator) -> Frames:
    """One operation on a clip, uint8 [T, H, W, 3].

    Args:
        frames_THWC: the clip; not changed.
        name: of `RAND_OPERATIONS`.
        amount: degrees of `rotate` counter-clockwise, slope of shears, pixels of translations and half the side of
            `cutout`, bits that `posterize` keeps (one at least), threshold of `solarize`, what `solarize_add` adds,
            factor of `color`, `contrast`, `brightness` and `sharpness`.
        rng: for the place of `cutout`.
    """
    from PIL import ImageOps

    if name in ("color", "contrast", "brightness", "sharpness"):
        return blend(frames_THWC, name, amount)
    if name in _MOVES:
        return _each(frames_THWC, lambda image: _moved(image, _MOVES[name](amount, *image.size)))
    if name == "cutout":
        return _cut(frames_THWC, int(amount), rng)
    if name == "solarize_add":
        added = np.minimum(frames_THWC.astype(np.int16) + int(amount), 255).astype(np.uint8)
        return np.where(frames_THWC < 128, added, frames_THWC)
    tall: dict[str, Callable[[Any], Any]] = {
        "autocontrast": ImageOps.autocontrast,
        "equalize": ImageOps.equalize,
        "invert": ImageOps.invert,
        "posterize": lambda image: ImageOps.posterize(image, max(1, int(amount))),
        "solarize": lambda image: ImageOps.solarize(image, int(amount)),
    }
    return _tall(frames_THWC, tall[name])


def blend(frames_THWC: Frames, name: str, factor: float) -> Frames:
    """Between a poor clip (0) and the clip itself (1), and beyond.

    Args:
        frames_THWC: uint8 [T, H, W, 3]; not changed.
        name: "brightness" (the poor one is black), "contrast" (the clip's mean grey), "color" (grey), "sharpness"
            (smoothed).
        factor: at least 0.
    """
    from PIL import ImageEnhance

    kind = {
        "brightness": ImageEnhance.Brightness,
        "contrast": ImageEnhance.Contrast,
        "color": ImageEnhance.Color,
        "sharpness": ImageEnhance.Sharpness,
    }[name]
    run = _each if name == "sharpness" else _tall
    return run(frames_THWC, lambda image: kind(image).enhance(factor))


def _tall(frames_THWC: Frames, operation: Callable[[Any], Any]) -> Frames:
    from PIL import Image

    T, H, W, C = frames_THWC.shape
    return np.asarray(operation(Image.fromarray(frames_THWC.reshape(T * H, W, C)))).reshape(T, H, W, C)


def _each(frames_THWC: Frames, operation: Callable[[Any], Any]) -> Frames:
    from PIL import Image

    return np.stack([np.asarray(operation(Image.fromarray(frame))) for frame in frames_THWC])


Affine = tuple[float, float, float, float, float, float]


def _rotation(degrees: float, width: int, height: int) -> Affine:
    """Around the picture's centre."""
    angle = math.radians(degrees)
    cos, sin = math.cos(angle), math.sin(angle)
    x, y = width / 2, height / 2
    return (cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y)


# From a pixel of the result to that of the picture, x' = a x + b y + c, y' = d x + e y + f.
_MOVES: dict[str, Callable[[float, int, int], Affine]] = {
    "rotate": _rotation,
    "shear_x": lambda slope, *_: (1, slope, 0, 0, 1, 0),
    "shear_y": lambda slope, *_: (1, 0, 0, slope, 1, 0),
    "translate_x": lambda pixels, *_: (1, 0, round(pixels), 0, 1, 0),
    "translate_y": lambda pixels, *_: (1, 0, 0, 0, 1, round(pixels)),
}


def _moved(image: Any, affine: Affine) -> Any:
    from PIL import Image

    return image.transform(image.size, Image.Transform.AFFINE, affine, Image.Resampling.NEAREST, fillcolor=_FILL)


def _cut(frames_THWC: Frames, half: int, rng: np.random.Generator) -> Frames:
    """A grey square around a random pixel, cut off at the edges."""
    _, H, W, _ = frames_THWC.shape
    y, x = int(rng.integers(H)), int(rng.integers(W))
    cut = frames_THWC.copy()
    cut[:, max(0, y - half) : y + half, max(0, x - half) : x + half] = _FILL[0]
    return cut
