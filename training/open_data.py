"""The data of a run: opened, described, and compared with what the run was started on.

Whatever resumes over data (searches, scalings, retrainings, those of families) goes through here: the description that
a run keeps in data.json and, of files, in videos.csv does not say where they lie, so that data may be moved, and a
changed data set is refused with what has changed, before any work.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import video
from searchspace import ClipLike
from searchspace.naming import located
from searchspace.schema import write_atomically
from searchspace.stored import read_table
from searchspace.trained_folder import MAX_RECORD_BYTES
from training.data_parts import Selection, files_of
from training.folds import folds
from training.progress import Progress
from training.run import RunFolder, read_json
from video.labelled import listing, measured
from video.motion_classes import MOTION_CLASSES
from video.split import check_groups

DATA, VIDEOS = "data.json", "videos.csv"
COLUMNS = ("video", "part", "class", "seconds", "frames", "width", "height", "bytes")

DECODER = "decoder"
"""Key of a description that says how videos were read: told where it differs, and no difference where frames agree."""

PLACE = ("root", "annotations")
"""Keys of a description that say where data lies, not what it is."""

_SHOWN = 3  # files in a message


def survey(data: str | None, videos: str | None = None, group: str | None = None, count: int | None = None) -> int:
    """Looks at what there is to train on without decoding any of it, so that mistakes are answered before the work.

    Args:
        data: folder of videos or annotation file; None is the built-in motion data.
        videos: the folder that the clips of an annotation file are below; None for its own.
        group: regular expression whose groups name the person or recording of a file.
        count: folds of a cross-validation; None for none.

    Returns:
        The number of classes.

    Raises:
        ValueError: data that is not there, or that cannot be trained on; says why.
    """
    if data is None:
        if videos is not None:
            raise ValueError(f"a folder of clips, {videos!r}, goes with an annotation file: give that as data")
        return len(MOTION_CLASSES)
    if not located(data).exists():
        raise ValueError(
            f"data {data!r} does not exist: give a folder with one sub-folder for each class, or an annotation file in "
            "the form of Kinetics, with --data; a run that goes on takes the new place of data that was moved"
        )
    _, found = listing(data, videos)
    found.check_training(data)
    labels, groups = [file.label for file in found.train], found.groups(found.train, group)
    check_groups(labels, groups, found.classes)
    if count is not None:
        folds(labels, groups, found.classes, count)
    return len(found.classes)


def open_source(
    data: str | None,
    clip: ClipLike,
    *,
    seed: int,
    group: str | None,
    videos: str | None = None,
    workers: int,
    folder: Path | None,
    progress: Progress,
    sizes: Mapping[str, int] | None = None,
) -> video.Source:
    """Opens data at a clip shape.

    Args:
        data: folder of videos; None is the built-in motion data.
        clip: shape of the clips that come out.
        seed: of the split and of everything drawn.
        group: regular expression whose first group names the person or recording of a file.
        videos: the folder that the clips of an annotation file are below; None for its own.
        workers: processes for the pre-scan.
        folder: of the run, which keeps the pre-scan of a folder of videos where `scan_file` cannot; None keeps nothing.
        progress: of the pre-scan.
        sizes: clips a part of the built-in data, which has as many as one asks for.

    Raises:
        ValueError: a folder that cannot be trained on; says why.
    """
    if data is None:
        return video.MotionSource(seed=seed, clip=clip, sizes=sizes)
    source = video.FolderSource(
        data,
        clip,
        seed=seed,
        group=group,
        videos=videos,
        scan_cache=None if folder is None else scan_file(data, videos, otherwise=folder / "scan.json"),
        workers=workers,
        progress=lambda done, total: progress.phase("looking through the videos", done, total),
    )
    for line in source.notes:
        progress.line(line)
    return source


def keep_description(folder: RunFolder, source: video.Source, progress: Progress) -> None:
    """Writes down what a run is started on, or compares what it is resumed over with that.

    Args:
        folder: of the run; where its data lies now is written down once it is known to be the same.
        source: the data, opened.
        progress: told where an older decoder read the data.

    Raises:
        ValueError: the data has changed; says what.
    """
    described, rows = source.describe(), _rows(source)
    if (folder.path / DATA).exists():
        before = read_json(folder.path / DATA, most=MAX_RECORD_BYTES)
        older, changed = older_decoder(before, described), differences(before, described)
        if older is not None:
            progress.line(older)
        stored = _stored(folder.path / VIDEOS)
        files = _changed_files(stored, rows) if stored else []
        if files or changed:
            raise ValueError(
                f"the data has changed since {folder.path} was started ({'; '.join(files or changed)}); restore it, or "
                "start a new run"
            )
    else:
        if rows:
            table = io.StringIO()
            writer = csv.writer(table, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(rows)
            write_atomically(folder.path / VIDEOS, table.getvalue())
        folder.write_json(DATA, described)
    folder.keep_moved()


def compare_data(folder: RunFolder, clip: ClipLike, progress: Progress, sizes: Mapping[str, int] | None = None) -> None:
    """Looks through the data of a run once, before several trainings would do it at a time; see `keep_description`."""
    config = folder.config
    source = open_source(
        config["data"],
        clip,
        seed=config["seed"],
        group=config["group"],
        videos=config["videos"],
        workers=config.get("workers", 0),
        folder=folder.path,
        progress=progress,
        sizes=sizes,
    )
    keep_description(folder, source, progress)


def _rows(source: video.Source) -> list[tuple[str, ...]]:
    """A row of `COLUMNS` for each file of a data set; none of what is rendered."""
    whole = source.source if isinstance(source, Selection) else source
    items = [(part, item) for part in whole.parts for item in files_of(whole, part)]
    return [
        (item.name, part, whole.classes[item.label or 0], *measured(item), str(item.stamp.size if item.stamp else ""))
        for part, item in items
    ]


def _stored(path: Path) -> list[tuple[str, ...]]:
    """The rows of a run's videos.csv; without sizes of files, which runs of before did not keep, "" for each."""
    patterns = {f"{name}?" if name == "bytes" else name: str for name in COLUMNS}
    return [tuple(row[name] or "" for name in COLUMNS) for row in read_table(path, patterns)]


def _changed_files(old: Iterable[tuple[str, ...]], new: Iterable[tuple[str, ...]]) -> list[str]:
    """Which files are gone, new, or others than before: `1 of 24 videos is gone: train/run/s03.mp4`.

    A file of the same measures is another one where its size in bytes is, if that is known.
    """
    before, now = ({row[0]: row[1:] for row in rows} for rows in (old, new))

    def is_other(name: str) -> bool:
        *was, size = before[name][2:]
        *is_, bytes_ = now[name][2:]
        return was != is_ or (size != bytes_ and "" not in (size, bytes_))

    found = {
        "gone": [name for name in before if name not in now],
        "new": [name for name in now if name not in before],
        "changed": [name for name in now if name in before and is_other(name)],
        "of another class": [name for name in now if name in before and now[name][1] != before[name][1]],
    }
    told = []
    for what, names in found.items():
        if names:
            some = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
            told.append(f"{len(names):,} of {len(before):,} videos {'is' if len(names) == 1 else 'are'} {what}: {some}")
    return told


def scan_file(
    data: str | os.PathLike[str],
    videos: str | os.PathLike[str] | None = None,
    *,
    part: str = "all",
    otherwise: Path,
) -> Path:
    """The file that keeps what a look through a data set found, so that every run does not look through it again.

    It is one a data set and user, `scan-<digest>.json` in `movinas` below XDG_CACHE_HOME (by default `~/.cache`), or in
    the folder that MOVINAS_CACHE names. Entries of files that have changed are not used (`video.scan`).

    Args:
        data: folder of videos, or annotation file.
        videos: the folder that the clips of an annotation file are below; None for its own.
        part: which files of it are looked at; other ones have a file of their own.
        otherwise: where that folder cannot be written.
    """
    chosen = os.environ.get("MOVINAS_CACHE")
    folder = Path(chosen or Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "movinas")
    places = [None if place is None else os.path.realpath(located(place)) for place in (data, videos)]
    digest = hashlib.sha256(json.dumps([*places, part]).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return otherwise
    return folder / f"scan-{digest}.json" if os.access(folder, os.W_OK | os.X_OK) else otherwise


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What tells two descriptions of data apart, one from a file of JSON, the other fresh: such as "seed 0, now 1".

    Where the data lies makes no difference.
    """
    new = json.loads(json.dumps(new))
    keys = [key for key in sorted({*old, *new}) if key not in (*PLACE, DECODER) and old.get(key) != new.get(key)]
    return [f"{key} {_short(old.get(key))}, now {_short(new.get(key))}" for key in keys]


def older_decoder(old: Mapping[str, Any], new: Mapping[str, Any]) -> str | None:
    """A line for the user where the data of a run was read by an older decoder, which read fewer frames."""
    if new.get(DECODER) is None or old.get(DECODER) == new[DECODER]:
        return None
    return (
        f"the data of this run was read by an older decoder (version {old.get(DECODER, 1)}, now {new[DECODER]}): "
        "of files whose time stamps were repaired other frames are used from here on"
    )


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 100 else text[:97] + "..."
