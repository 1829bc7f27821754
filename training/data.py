"""The data of a run: the built-in motion clips, or a folder of videos."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import video
from searchspace import ClipLike
from training.progress import Progress


def open_source(
    data: str | None,
    clip: ClipLike,
    *,
    seed: int,
    group: str | None,
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
        scan_cache=None if folder is None else scan_file(data, otherwise=folder / "scan.json"),
        workers=workers,
        progress=lambda done, total: progress.phase("looking through the videos", done, total),
    )
    for line in source.notes:
        progress.line(line)
    return source


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
    places = [None if place is None else os.path.realpath(place) for place in (data, videos)]
    digest = hashlib.sha256(json.dumps([*places, part]).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return otherwise
    return folder / f"scan-{digest}.json" if os.access(folder, os.W_OK | os.X_OK) else otherwise


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What tells two descriptions of data apart, one from a file of JSON, the other fresh: such as "seed 0, now 1"."""
    new = json.loads(json.dumps(new))
    keys = sorted({*old, *new})
    return [f"{key} {old.get(key)}, now {new.get(key)}" for key in keys if old.get(key) != new.get(key)]
