"""The clip that a network is trained for on some videos, where its user names none: it follows how long they last."""

from __future__ import annotations

import dataclasses
import functools
import statistics
from pathlib import Path

import numpy as np

from searchspace import Clip, ClipLike
from video import VideoInfo, probe
from video.labelled import listing

MOST_FRAMES = 16
"""The published networks' clips have 50 and more: in the time that there is a CPU trains on a stretch of these only,
and networks are best scored on what they were trained on."""

LOOKED_AT = 12
"""Videos, evenly spread over the data, that are decoded to learn how long they last."""


def fitting(clip: ClipLike, data: str, videos: str | None = None) -> tuple[Clip, str]:
    """A clip of the same size that covers a video of usual length, and a line that says so.

    Its frames, at most `MOST_FRAMES`, are spread over the median video, but not faster than it has them: a network that
    sees a third of an action, or two frames of it, learns little. Measured in docs/training.md.

    Args:
        clip: the network's own.
        data: the folder of videos, or annotation file.
        videos: the folder that the clips of an annotation file are below.

    Returns:
        The clip; the network's own where no video that was looked at can be read.
    """
    clip = Clip.of(clip)
    root, found = listing(data, videos)
    files = [file.path for file in found.train]
    chosen = np.unique(np.linspace(0, len(files) - 1, min(LOOKED_AT, len(files))).round().astype(int))
    infos = [info for i in chosen if not (info := _probed(root / files[i])).error]
    if not infos:
        return clip, f"clip: {clip}, the network's own"
    seconds, rate = (statistics.median(values) for values in zip(*((i.duration, i.fps) for i in infos), strict=True))
    frames = min(clip.frames, MOST_FRAMES)
    chosen_clip = dataclasses.replace(clip, frames=frames, fps=float(f"{min(rate, frames / seconds):.2g}"))
    return chosen_clip, (
        f"clip: {chosen_clip}, since videos last {seconds:.1f} s and have {rate:.3g} frames a second (median of "
        f"{len(infos)}; --clip chooses another)"
    )


def _probed(path: Path) -> VideoInfo:
    """What a file holds; decoded once in a process as long as it stays as it is."""
    try:
        status = path.stat()
    except OSError:
        return probe(path)
    return _decoded(path, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _decoded(path: Path, size: int, changed: int) -> VideoInfo:
    return probe(path)
