"""The motion set as real video files: what a data folder looks like, and a try of the path that real videos take."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from video.motion import MotionSource

if TYPE_CHECKING:
    from video.source import Frames

_CRF = "16"  # x264's quality: visually lossless for these textures


def export_demo(
    directory: str | Path,
    source: MotionSource,
    train: int = 20,
    val: int = 5,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Writes `directory/{train,val}/<class>/<index>.mp4` (H.264, at the source's clip shape and frame rate).

    Each file appears at once and whole: it is written under a hidden name first.

    Args:
        directory: a new or empty folder.
        source: what to write; its parts "weights" and "val" become `train` and `val`.
        train: clips per class for training.
        val: clips per class for validation; 0 leaves the folder out.
        progress: called with (files written, files in all).

    Returns:
        The number of files.

    Raises:
        ValueError: the folder has something in it, the counts are out of range, or the clip's sides are odd.
    """
    root = Path(directory)
    if train < 1 or val < 0:
        raise ValueError(f"{train} training and {val} validation clips per class: give at least 1 and 0")
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise ValueError(f"folder {str(root)!r} is not empty: give a new one, nothing is overwritten")
    clip = source.clip
    if clip.height % 2 or clip.width % 2:
        raise ValueError(f"clip {clip}: H.264 files need an even height and width")
    sizes = {**source.parts, "weights": train * len(source.classes), "val": max(1, val * len(source.classes))}
    sized = MotionSource(source.seed, clip, ranges=source.ranges, sizes=sizes, cache_bytes=0)
    total = (train + val) * len(sized.classes)
    done = 0
    for part, folder, count in (("weights", "train", train), ("val", "val", val)):
        labels = sized.labels(part)
        for index in range(count * len(sized.classes)):
            frames, label = sized.item(part, index)
            place = root / folder / sized.classes[label]
            place.mkdir(parents=True, exist_ok=True)
            number = int(np.sum(labels[:index] == label))
            write_video(place / f"{number:04d}.mp4", frames, clip.fps)
            done += 1
            if progress is not None:
                progress(done, total)
    return done


def write_video(path: Path, frames_THWC: "Frames", fps: float) -> None:
    """Writes RGB frames, uint8 [T, H, W, 3] with even sides, as an H.264 MP4 of high quality."""
    from fractions import Fraction

    import av

    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with av.open(str(temporary), "w", format="mp4") as container:
            stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
            _, stream.height, stream.width, _ = frames_THWC.shape
            stream.pix_fmt = "yuv420p"  # the only layout that every player shows
            stream.options = {"crf": _CRF, "preset": "fast"}
            for picture in frames_THWC:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode(None))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
