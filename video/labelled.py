"""Labelled videos to judge a network by: every file that was found is one, readable or not, none is left out."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from searchspace.naming import escaped, located
from video.kinetics import find_clips, is_annotations
from video.layout import ListedFile, Listing, find_videos
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
    items = _looked_at(root, found.val or found.train, scan_cache, workers, progress)
    broken = [item for item in items if item.info.error]
    if len(broken) == len(items):
        raise ValueError(f"none of the {len(items)} files in {escaped(data)!r} is a video ({broken[0].info.error})")
    notes = list(found.notes)
    if broken:
        notes.append(f"{len(broken)} of {len(items)} files do not decode")
    return found.classes, items, tuple(notes)


@dataclasses.dataclass(frozen=True, slots=True)
class Sides:
    """The videos of a data set that can be read.

    Attributes:
        classes: names.
        train: those of its training side.
        val: those of its validation side, if it has one.
        below_class: paths of the training videos below their class folder: what a group pattern is searched for in.
        notes: what a user should know, one line each.
    """

    classes: tuple[str, ...]
    train: tuple[Labelled, ...]
    val: tuple[Labelled, ...]
    below_class: tuple[str, ...]
    notes: tuple[str, ...]


def both_sides(
    data: str | Path,
    videos: str | Path | None = None,
    *,
    scan_cache: Path | None = None,
    workers: int = 0,
    progress: Progress | None = None,
) -> Sides:
    """Both sides of a data set; arguments as of `labelled_videos`.

    Raises:
        ValueError: see `listing`, and for a side without any video that can be read, or a single class.
    """
    root, found = listing(data, videos)
    found.check_training(data)
    files = (*found.train, *found.val)
    items = _looked_at(root, files, scan_cache, workers, progress)
    broken = [item for item in items if item.info.error]
    usable = [(file, item) for file, item in zip(files, items, strict=True) if not item.info.error]
    train = [(file, item) for file, item in usable if file in set(found.train)]
    val = tuple(item for file, item in usable if file in set(found.val))
    if not train or (found.val and not val):
        where = "training" if not train else "validation"
        raise ValueError(f"no {where} video in {escaped(data)!r} can be read ({broken[0].info.error})")
    notes = [*found.notes, *([f"{len(broken)} of {len(items)} files do not decode and are left out"] if broken else [])]
    return Sides(
        found.classes, tuple(item for _, item in train), val, tuple(file.below_class for file, _ in train), tuple(notes)
    )


def _looked_at(
    root: Path, files: Sequence[ListedFile], scan_cache: Path | None, workers: int, progress: Progress | None
) -> tuple[Labelled, ...]:
    scanned = scan(ScanCache(root, scan_cache), [file.path for file in files], workers, progress)
    return tuple(
        Labelled(file.name, root / file.path, file.label, entry.info, entry.stamp)
        for file in files
        if (entry := scanned[file.path]).info is not None
    )


def measured(item: Labelled) -> tuple[str, str, str, str]:
    """What tells a video from another of its name, as text: seconds, frames, width and height."""
    info = item.info
    return f"{info.duration:.3f}", str(info.frames), str(info.width), str(info.height)


def digest(videos: Iterable[Labelled]) -> str:
    """Of the videos that can be used: their names, labels and measures, wherever they lie."""
    listed = [(item.name, item.label, *measured(item)) for item in videos if not item.info.error]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()
