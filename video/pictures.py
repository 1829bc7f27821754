"""A folder of still pictures as a video: numbered frames, as many cameras and data sets store them."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from video.source import Frames

if TYPE_CHECKING:
    from PIL.Image import Image

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm")


def pictures_in(folder: Path) -> list[Path]:
    """The pictures directly in a folder, by the numbers in their names: `2.jpg` before `10.jpg`."""

    def order(path: Path) -> list[tuple[int, str]]:
        return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name)]

    found = (path for path in folder.iterdir() if path.suffix.lower() in ENDINGS and not path.name.startswith("."))
    return sorted(found, key=order)


def read_pictures(paths: list[Path], numbers: NDArray[np.int64], short_side: int) -> Frames:
    """Some of the pictures as RGB, upright, uint8 [T, H, W, 3]; all of the size of the first.

    Args:
        paths: of the whole sequence.
        numbers: which, [T].
        short_side: larger pictures are averaged down to it.

    Raises:
        ValueError: a picture that cannot be read.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    read: dict[int, Frames] = {}
    size: tuple[int, int] | None = None
    for number in [0, *(int(n) for n in numbers)]:
        if number in read:
            continue
        try:
            with Image.open(paths[number]) as picture:
                upright = ImageOps.exif_transpose(picture).convert("RGB")
        except (OSError, UnidentifiedImageError, Image.DecompressionBombError, SyntaxError, ValueError) as error:
            raise ValueError(f"cannot read picture {str(paths[number])!r}: {error}") from None
        size = size or _size(upright, short_side)
        read[number] = np.asarray(upright.resize(size, Image.Resampling.BOX) if upright.size != size else upright)
    return np.stack([read[int(n)] for n in numbers])


def picture_size(path: Path) -> tuple[int, int]:
    """Height and width of a picture as displayed; raises `ValueError` where it cannot be read."""
    height, width = read_pictures([path], np.zeros(1, np.int64), 1 << 15).shape[1:3]
    return height, width


def _size(picture: "Image", short_side: int) -> tuple[int, int]:
    width, height = picture.size
    scale = min(1.0, short_side / min(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))
