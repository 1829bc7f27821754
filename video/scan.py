"""The pre-scan of a folder: every file decoded once, in worker processes, results kept in a JSON file."""

import dataclasses
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from video.clock import Repairs
from video.decoding_workers import Lost, results
from video.measure import VideoInfo, probe

Progress = Callable[[int, int], None]
"""Called with (files scanned, files in all), first with what the cache knew."""

_VERSION = 2
_SAVE_EVERY = 500  # files: what an interrupted scan of a large folder loses at most
_AHEAD = 4  # files that wait for each worker


class FileStamp(NamedTuple):
    """Size in bytes and time of the last change in nanoseconds; zeros for a file that is gone."""

    size: int
    changed_ns: int


@dataclasses.dataclass(slots=True)
class Scanned:
    """A file as it was when it was looked at.

    Attributes:
        stamp: of the file.
        info: what `probe` found in it; None where only its content was compared.
        ends: digest of its first and last bytes, where it was needed (`video.copies`).
        whole: digest of all of it, likewise.
    """

    stamp: FileStamp
    info: VideoInfo | None = None
    ends: str = ""
    whole: str = ""


def stamp_of(path: Path) -> FileStamp:
    """The stamp of a file as it is now."""
    try:
        status = path.stat()
    except OSError:
        return FileStamp(0, 0)
    return FileStamp(status.st_size, status.st_mtime_ns)


def check_unchanged(path: Path, stamp: FileStamp) -> None:
    """Raises ValueError for a file that is not what it was when it was scanned."""
    now = stamp_of(path)
    if now == stamp:
        return
    if now == FileStamp(0, 0):
        raise ValueError(f"{str(path)!r} is gone since the videos were looked through; put it back")
    what = f"{stamp.size:,} bytes then, {now.size:,} now" if now.size != stamp.size else "its time of change differs"
    raise ValueError(
        f"{str(path)!r} has changed since the videos were looked through ({what}); put the file back, or start again"
    )


class ScanCache:
    """What is known of the files below a folder; kept in a JSON file where one is given.

    Args:
        root: the folder.
        path: of the JSON file. A damaged one, or one of another folder, is ignored and replaced.
    """

    def __init__(self, root: Path, path: Path | None = None) -> None:
        self.root, self.path = root, path
        self._known = {} if path is None else _read(path, root)
        self._current: set[str] = set()
        self._changed = False

    def entry(self, name: str) -> Scanned:
        """The entry of a file as it was when it was first asked for; empty where nothing current is known."""
        if name not in self._current:
            stamp = stamp_of(self.root / name)
            if name not in self._known or self._known[name].stamp != stamp:
                self._known[name] = Scanned(stamp)
                self._changed = True
            self._current.add(name)
        return self._known[name]

    def set(self, name: str, **values: Any) -> None:
        """Keeps something that was found in a file."""
        self._known[name] = dataclasses.replace(self._known[name], **values)
        self._changed = True

    def save(self, names: Sequence[str] | None = None) -> None:
        """Writes the file where anything has changed; with `names`, without what is known of others."""
        if names is not None and set(names) != set(self._known):
            self._known = {name: self._known[name] for name in names if name in self._known}
            self._changed = True
        if self.path is None or not self._changed:
            return
        files = {
            name: {"size": known.stamp.size, "mtime_ns": known.stamp.changed_ns}
            | ({"info": dataclasses.asdict(known.info)} if known.info is not None else {})
            | {key: value for key in ("ends", "whole") if (value := getattr(known, key))}
            for name, known in sorted(self._known.items())
        }
        document = {"version": _VERSION, "root": str(self.root.resolve()), "files": files}
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(document, indent=1), encoding="utf-8")
        os.replace(temporary, self.path)
        self._changed = False


def scan(
    cache: ScanCache, names: Sequence[str], workers: int = 0, progress: Progress | None = None
) -> dict[str, Scanned]:
    """Probes files below a folder; files whose size and time of change are in the cache are not read again.

    Args:
        cache: of the folder; what it knows of other files is dropped.
        names: paths below it.
        workers: processes; 0 probes in this one.
        progress: called after every file.

    Returns:
        For each name, its entry, with what `probe` found.
    """
    todo = [name for name in dict.fromkeys(names) if cache.entry(name).info is None]
    found = len(names) - len(todo)
    if progress is not None:
        progress(found, len(names))
    try:
        for done, (name, info) in enumerate(_probed(cache.root, todo, workers), start=1):
            cache.set(name, info=info)
            if progress is not None:
                progress(found + done, len(names))
            if done % _SAVE_EVERY == 0:
                cache.save()
    finally:
        cache.save(names)
    return {name: cache.entry(name) for name in names}


def _probed(root: Path, names: Sequence[str], workers: int) -> Iterator[tuple[str, VideoInfo]]:
    if workers == 0 or len(names) < 2:
        for name in names:
            yield name, probe(root / name)
        return
    jobs = ((root / name,) for name in names)
    for name, (_, info) in zip(names, results(probe, jobs, min(workers, len(names)), ahead=_AHEAD), strict=True):
        yield name, VideoInfo(error=f"it cannot be decoded: {info.reason}") if isinstance(info, Lost) else info


def _read(path: Path, root: Path) -> dict[str, Scanned]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["version"] != _VERSION or document["root"] != str(root.resolve()):
            return {}
        return {
            name: Scanned(
                FileStamp(int(entry["size"]), int(entry["mtime_ns"])),
                _info(entry["info"]) if "info" in entry else None,
                str(entry.get("ends", "")),
                str(entry.get("whole", "")),
            )
            for name, entry in document["files"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _info(entry: Mapping[str, Any]) -> VideoInfo:
    """Raises ValueError or TypeError for values that no `probe` gives."""
    info = VideoInfo(**{**entry, "repairs": Repairs(**entry["repairs"])})
    for part in (info, info.repairs):
        for field in dataclasses.fields(part):
            value, default = getattr(part, field.name), getattr(type(part)(), field.name)
            if type(value) is not type(default) and not (type(value) is int and type(default) is float):
                raise TypeError(f"{field.name} is {value!r}")
            if isinstance(value, float | int) and not 0 <= value < math.inf:
                raise ValueError(f"{field.name} is {value!r}")
    return info
