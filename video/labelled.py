"""Labelled videos to judge a network by: every file that was found is one, readable or not, none is left out."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from searchspace.naming import escaped, located
from video.kinetics import find_clips, is_annotations
from video.layout import Listing, find_videos
from video.measure import VideoInfo
from video.scan import FileStamp, Progress, ScanCache, scan


@dataclasses.dataclass(frozen=True, slots=True)
class Labelled:
    """A video file and its class.

    Attributes:
        name: path below the folder of the data, as text (`searchspace.naming.spelled`).
        path: where it is.
        label: index of its class; None where it is unknown.
        info: what a look at it found; `info.error` says why it cannot be used.
        stamp: the file's at that look; None where it may change.
    """

    name: str
    path: Path
    label: int | None
    info: VideoInfo
    stamp: FileStamp | None = None


def listing(data: str | Path, videos: str | Path | None = None) -> tuple[Path, Listing]:
    """The folder that videos are below, and what is found there.

    Args:
        data: a folder with one sub-folder a class, with or without train/ and val/; or an annotation file in the form
            of Kinetics.
        videos: the folder that the clips of an annotation file are below; by default its own.

    Raises:
        ValueError: see `find_videos` and `find_clips`, or a folder of videos for what is no annotation file.
    """
    if is_annotations(data):
        root = located(data).parent if videos is None else located(videos)
        return root, find_clips(located(data), root)
    if videos is not None:
        raise ValueError(
            f"a folder of videos, {escaped(videos)!r}, goes with an annotation file; {escaped(data)!r} is not one"
        )
    return located(data), find_videos(located(data))


def labelled_videos(
    data: str | Path,
    videos: str | Path | None = None,
    *,
    scan_cache: Path | None = None,
    workers: int = 0,
    progress: Progress | None = None,
) -> tuple[tuple[str, ...], tuple[Labelled, ...], tuple[str, ...]]:
    """The videos of the validation side where the data has one, else all of them.

    Args:
        data, videos: see `listing`.
        scan_cache: JSON file that keeps the results of the scan.
        workers: processes for the scan.
        progress: of the scan.

    Returns:
        Classes, videos, and what a user should know, one line each.

    Raises:
        ValueError: see `listing`, or that not one video can be read.
    """
    root, found = listing(data, videos)
    files = found.val or found.train
    scanned = scan(ScanCache(root, scan_cache), [file.path for file in files], workers, progress)
    items = tuple(
        Labelled(file.name, root / file.path, file.label, entry.info, entry.stamp)
        for file in files
        if (entry := scanned[file.path]).info is not None
    )
    broken = [item for item in items if item.info.error]
    if len(broken) == len(items):
        raise ValueError(f"none of the {len(items)} files in {escaped(data)!r} is a video ({broken[0].info.error})")
    notes = list(found.notes)
    if broken:
        notes.append(f"{len(broken)} of {len(items)} files do not decode")
    return found.classes, items, tuple(notes)


def measured(item: Labelled) -> tuple[str, str, str, str]:
    """What tells a video from another of its name, as text: seconds, frames, width and height."""
    info = item.info
    return f"{info.duration:.3f}", str(info.frames), str(info.width), str(info.height)


def digest(videos: Iterable[Labelled]) -> str:
    """Of the videos that can be used: their names, labels and measures, wherever they lie."""
    listed = [(item.name, item.label, *measured(item)) for item in videos if not item.info.error]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()
