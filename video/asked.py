"""Videos that a network is asked about, files or rendered clips; their views are loaded here or in other processes."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from searchspace.clip import Clip, ClipLike
from video.decoding_workers import Lost, results
from video.labelled import Labelled
from video.scan import check_unchanged
from video.source import Frames, Source
from video.views import View, read_stream, read_views

_AHEAD = 2  # videos that each worker decodes ahead


class Videos(Protocol):
    """Labelled videos as `training.evaluation.protocols` wants them."""

    names: list[str]
    labels: list[int | None]
    errors: list[str]
    """Why a video cannot be used, or ""."""
    sizes: list[int | None]
    """Bytes of each file, as far as it is one that was looked at."""

    def clips(self, index: int, views: Sequence[View]) -> list[Frames]:
        """Clips, each uint8 [T, H, W, 3]; raises `ValueError` where they do not decode."""

    def stream(self, index: int) -> Iterator[Frames]:
        """All frames, in pieces of uint8 [some, H, W, 3]; raises `ValueError` where they do not decode."""


class Files:
    """Video files; `Videos`.

    Args:
        items: the files.
        clip: what a network is meant for.
    """

    def __init__(self, items: Sequence[Labelled], clip: ClipLike) -> None:
        self.items, self.clip = tuple(items), Clip.of(clip)
        self.names = [item.name for item in items]
        self.labels = [item.label for item in items]
        self.errors = [item.info.error for item in items]
        self.sizes = [None if item.stamp is None else item.stamp[0] for item in items]

    def clips(self, index: int, views: Sequence[View]) -> list[Frames]:
        """Clips of a file."""
        item = self._item(index)
        return read_views(item.path, item.info, self.clip, views)

    def stream(self, index: int) -> Iterator[Frames]:
        """All frames of a file at the clip's rate."""
        item = self._item(index)
        yield from read_stream(item.path, item.info, self.clip)

    def _item(self, index: int) -> Labelled:
        item = self.items[index]
        if item.stamp is not None:
            check_unchanged(item.path, item.stamp)
        return item


class Rendered:
    """Clips of a part of a source, each of them a whole video; `Videos`."""

    def __init__(self, source: Source, part: str) -> None:
        self.source, self.part = source, part
        self.names = [f"{part}/{index}" for index in range(source.parts[part])]
        self.labels: list[int | None] = [int(label) for label in source.labels(part)]
        self.errors = [""] * len(self.names)
        self.sizes: list[int | None] = [None] * len(self.names)

    def clips(self, index: int, views: Sequence[View]) -> list[Frames]:
        """The clip; all views of it are the same."""
        return [self.source.item(self.part, index)[0]] * len(views)

    def stream(self, index: int) -> Iterator[Frames]:
        """The clip's frames."""
        yield self.source.item(self.part, index)[0]


def load_views(videos: Videos, views: Sequence[View], workers: int = 0) -> Iterator[list[Frames] | str]:
    """The clips of each video in turn, one a view, or why there are none.

    Args:
        videos: what to load.
        views: of each.
        workers: processes that decode; 0 decodes in this one.
    """
    indices = range(len(videos.names))
    if workers == 0:
        for index in indices:
            yield _load(videos, index, views)
        return
    jobs = ((index, views) for index in indices)
    for _, loaded in results(_load_adopted, jobs, workers, ahead=_AHEAD, prepare=_adopt, arguments=(videos,)):
        yield f"it cannot be loaded, tried twice: {loaded.reason}" if isinstance(loaded, Lost) else loaded


def _load(videos: Videos, index: int, views: Sequence[View]) -> list[Frames] | str:
    if videos.errors[index]:
        return videos.errors[index]
    try:
        return videos.clips(index, views)
    except ValueError as error:
        return str(error)


_adopted: list[Videos] = []
"""In a worker process: the videos that it loads."""


def _adopt(videos: Videos) -> None:
    _adopted.append(videos)


def _load_adopted(index: int, views: Sequence[View]) -> list[Frames] | str:
    return _load(_adopted[0], index, views)
