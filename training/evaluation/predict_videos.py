"""What a trained network sees in videos of which nobody has said."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from networks import Trained
from searchspace.naming import located, spelled
from training.evaluation.protocols import Answer, Progress, judge
from video.asked import Files
from video.collect import collect
from video.container import not_a_file
from video.labelled import Labelled
from video.views import look


def predict(
    trained: Trained,
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    stream: bool = False,
    fps: float | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
    left_out: Callable[[str], None] | None = None,
) -> list[Answer]:
    """Asks a network about videos.

    Args:
        trained: from `networks.load`.
        paths: video files, folders of pictures in order of the numbers in their names, and folders of such. Pictures
            beside videos are left out.
        stream: push all frames through the network one by one, instead of one clip from the middle.
        fps: frames per second of pictures.
        device: where the network is.
        progress: called after every video.
        left_out: called with each file in a folder that is not asked about, and why.

    Returns:
        An answer for each video, with an error where a file cannot be read: `answer.top(5)` are pairs of class and
        probability, the class an index into `trained.classes`.

    Raises:
        ValueError: no such file or folder, an empty folder, or a stream through a network that is not causal.
    """
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    told = left_out or (lambda _: None)
    found = [path for place in given for path in _videos(located(place), told)]
    items = [Labelled(spelled(path), path, None, look(path, fps)) for path in found]
    videos = Files(items, trained.network.architecture.clip)
    answers = judge(trained.network, videos, "stream" if stream else "clip", device=device, progress=progress).answers
    return list(answers)


def _videos(place: Path, told: Callable[[str], None]) -> list[Path]:
    if not place.exists():
        raise ValueError(f"{place}: no such file or folder; give a video, a folder of videos, or one of pictures")
    if not place.is_dir():
        if why := not_a_file(place):
            raise ValueError(f"{place}: {why}")
        return [place]
    videos, left_out = collect(place)
    if not videos:
        raise ValueError(f"{place} is an empty folder; give a video, a folder of videos, or one of pictures")
    for path, why in left_out:
        told(f"{spelled(path)}: {why}")
    return videos
