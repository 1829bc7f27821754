"""The pre-scan of a folder: every file decoded once, in worker processes, results kept in a JSON file."""

import concurrent.futures
import contextlib
import dataclasses
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from video.decode import VideoInfo, probe
from video.processes import worker_pool

Progress = Callable[[int, int], None]
"""Called with (files scanned, files in all), first with what the cache knew."""

_VERSION = 1
_SAVE_EVERY = 500  # files: what an interrupted scan of a large folder loses at most


def scan(
    root: Path, names: Sequence[str], cache: Path | None = None, workers: int = 0, progress: Progress | None = None
) -> dict[str, VideoInfo]:
    """Probes files below a folder; files whose size and time of change are in the cache are not read again.

    Args:
        root: the folder.
        names: paths below it.
        cache: JSON file to read and write; None keeps nothing. A damaged or foreign one is ignored and replaced.
        workers: processes; 0 probes in this one.
        progress: called after every file.

    Returns:
        For each name, what `probe` found.
    """
    known = _read(cache, root) if cache is not None else {}
    stamps = {name: _stamp(root / name) for name in names}
    found = {name: known[name][1] for name in names if name in known and known[name][0] == stamps[name]}
    todo = [name for name in names if name not in found]
    if progress is not None:
        progress(len(found), len(names))
    try:
        for done, (name, info) in enumerate(_probed(root, todo, workers), start=1):
            found[name] = info
            if progress is not None:
                progress(len(names) - len(todo) + done, len(names))
            if cache is not None and done % _SAVE_EVERY == 0:
                _write(cache, root, found, stamps)
    finally:
        if cache is not None and (todo or set(known) != set(names)):
            _write(cache, root, found, stamps)
    return {name: found[name] for name in names}


def _probed(root: Path, names: Sequence[str], workers: int) -> Iterator[tuple[str, VideoInfo]]:
    if workers == 0 or len(names) < 2:
        for name in names:
            yield name, probe(root / name)
        return
    rest = set(names)
    with contextlib.suppress(BrokenProcessPool), worker_pool(workers) as pool:
        futures = {pool.submit(probe, root / name): name for name in names}
        for future in concurrent.futures.as_completed(futures):
            info = future.result()
            rest.discard(futures[future])
            yield futures[future], info
    for name in sorted(rest):  # some file crashed the decoder, and with it its process: find out which
        with worker_pool(1) as pool:
            pool.submit(abs, 0).result()  # a process that does not even start is not the file's fault
            try:
                info = pool.submit(probe, root / name).result()
            except BrokenProcessPool:
                info = VideoInfo(error="it crashes the decoder")
        yield name, info


def _stamp(path: Path) -> tuple[int, int]:
    """Size and time of the last change; zeros for a file that is gone."""
    try:
        status = path.stat()
    except OSError:
        return (0, 0)
    return (status.st_size, status.st_mtime_ns)


def _read(cache: Path, root: Path) -> dict[str, tuple[tuple[int, int], VideoInfo]]:
    try:
        document = json.loads(cache.read_text(encoding="utf-8"))
        if document["version"] != _VERSION or document["root"] != str(root.resolve()):
            return {}
        return {
            name: ((int(entry["size"]), int(entry["mtime_ns"])), VideoInfo(**entry["info"]))
            for name, entry in document["files"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _write(cache: Path, root: Path, found: dict[str, VideoInfo], stamps: dict[str, tuple[int, int]]) -> None:
    files = {
        name: {"size": stamps[name][0], "mtime_ns": stamps[name][1], "info": dataclasses.asdict(info)}
        for name, info in sorted(found.items())
    }
    document = {"version": _VERSION, "root": str(root.resolve()), "files": files}
    temporary = cache.with_name(f".{cache.name}.{os.getpid()}")
    cache.parent.mkdir(parents=True, exist_ok=True)
    temporary.write_text(json.dumps(document, indent=1), encoding="utf-8")
    os.replace(temporary, cache)
