"""The data of a configuration: the built-in motion clips, or a folder of videos."""

from __future__ import annotations

from pathlib import Path

import video
from searchspace import Clip
from training.progress import Progress
from training.search_config import SearchConfig


def open_source(config: SearchConfig, clip: Clip, folder: Path | None, progress: Progress) -> video.Source:
    """Opens the data of a configuration at a clip shape.

    Args:
        config: `data` None is the built-in motion data.
        clip: shape of the clips that come out.
        folder: of the run, which keeps the pre-scan of a folder of videos; None keeps nothing.
        progress: of the pre-scan.

    Raises:
        ValueError: a folder that cannot be trained on; says why.
    """
    if config.data is None:
        return video.MotionSource(seed=config.seed, clip=clip)
    source = video.FolderSource(
        config.data,
        clip,
        seed=config.seed,
        group=config.group,
        scan_cache=None if folder is None else folder / "scan.json",
        workers=config.workers,
        progress=lambda done, total: progress.phase("looking through the videos", done, total),
    )
    for line in source.notes:
        progress.line(line)
    return source
