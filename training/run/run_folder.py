"""A run is a folder: its name, its lock, its configuration, and the rules for going on with it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import platform
import shutil
import socket
import stat
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import searchspace
from searchspace import is_published, stored
from searchspace.clip import Clip
from searchspace.naming import absolute, check_run_name, escaped, located
from searchspace.schema import MAX_FILE_BYTES, nearest, printable, write_atomically
from searchspace.targets import CONFIG
from searchspace.trained_folder import versions
from training.machine import openmp
from training.machine.resources import cores
from training.run.formats import COMMAND

Settings = TypeVar("Settings")

SUMMARY = "summary.json"

MAX_LOCK = 1000
"""Bytes of a run's lock: a line that says who holds it."""

STARTING = ".starting-"
"""How the name of a run's folder begins until all is in it that going on with it needs; a kill may leave one."""

SPACE = "space.yaml"
"""The own copy of its space that a run of `nas search` keeps."""

DATA_PATHS = ("data", "videos")
"""Where data lies. A resume may give other paths, of data that was moved: what is there is compared, not where
(`training.open_data.keep_description`)."""

_WORDS = ("space", "base", "coeffs", "arch", "init", "teacher")
"""Settings that may be a path, the name of something published, or the name of a run."""

COMPUTED = ("metrics.csv", "ledger.jsonl", "trials.jsonl", "scores.jsonl", "checkpoints", SUMMARY)
"""Files and folders of a run that hold what took time to compute."""


class RunFolder:
    """A locked run folder; use it as a context manager.

    The lock belongs to the process (an advisory lock on `lock`), so a dead process's lock is free by itself.

    Attributes:
        path: the folder.
        config: its resolved configuration, with `moved`.
        resumed: whether the folder was there before.
        moved: where its data lies now, of a resume that said so.
    """

    def __init__(
        self, path: Path, config: dict[str, Any], resumed: bool, moved: Mapping[str, Any] | None = None
    ) -> None:
        self.path, self.config, self.resumed = path, {**config, **(moved or {})}, resumed
        self.moved = dict(moved or {})
        self._lock: int | None = None

    def __enter__(self) -> RunFolder:
        handle = _open_lock(self.path / "lock")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = escaped(os.read(handle, 200).decode(errors="replace").strip()) or "another process"
            os.close(handle)
            raise ValueError(
                f"{self.path} is in use by {owner}; wait for it, stop it, or start another run with --name"
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        self._lock = handle
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            os.close(self._lock)  # closing releases
            self._lock = None

    @property
    def finished(self) -> bool:
        """Whether the run has come to its end."""
        return (self.path / SUMMARY).exists()

    @contextlib.contextmanager
    def starting(self) -> Iterator[None]:
        """Around a run: one that begins and fails before anything is computed leaves no folder behind."""
        try:
            yield
        except Exception:
            if not self.resumed and not any(next(self.path.rglob(name), None) for name in COMPUTED):
                gone = self.path.with_name(f"{STARTING}{uuid.uuid4().hex[:12]}")
                self.path.rename(gone)  # at once, whatever interrupts the rest
                shutil.rmtree(gone, ignore_errors=True)
            raise

    def keep_moved(self) -> None:
        """Writes down where the data lies now, once it is known to be the same."""
        if self.moved:
            stored = read_json(self.path / "config.json")
            self.write_json("config.json", {**stored, **self.moved})
            self.moved = {}

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Writes a JSON file of the run atomically."""
        write_atomically(self.path / name, json.dumps(content, indent=2, allow_nan=False) + "\n")

    def settings(self, read: Callable[[Mapping[str, Any]], Settings]) -> Settings:
        """Its configuration by the `stored` of a class; raises `ValueError` that names the file where it is damaged."""
        with stored.naming(self.path / CONFIG):
            return read(self.config)


def _open_lock(file: Path) -> int:
    """Opens the lock of a run, which is written to: never another file, to which a link of that name leads."""
    try:
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise
        handle = None
    status = None if handle is None else os.fstat(handle)
    if handle is not None and status is not None and stat.S_ISREG(status.st_mode) and status.st_size <= MAX_LOCK:
        return handle
    if handle is not None:
        os.close(handle)
    raise ValueError(f"{file} is not the lock of a run but a link, or something else of that name; remove it")


def read_json(path: Path, pattern: Any = dict, most: int = MAX_FILE_BYTES) -> dict[str, Any]:
    """Reads a JSON mapping of a pattern (`searchspace.stored`); raises `ValueError` where it is missing or damaged."""
    content: dict[str, Any] = stored.read_json(path, pattern, most)
    return content


def check_new(runs: Path, name: str | None) -> None:
    """Refuses a name for a new run that cannot be one, or of a run that exists (raises `ValueError`)."""
    if name is None:
        return
    check_run_name(name)
    if (runs / name).exists():
        raise ValueError(f"{runs / name} exists; go on with it by --resume, or choose another --name")


def check_disk(place: Path, needed: int, held: int = 0) -> str:
    """What checkpoints will take, and what is free, as a line for the user.

    Args:
        place: the folder of runs, or a run; may be missing still.
        needed: bytes in all.
        held: bytes of them that are there already.

    Raises:
        ValueError: they do not fit.
    """
    there = next(path for path in (place.absolute(), *place.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    more = max(0, needed - held)
    if more > free:
        raise ValueError(
            f"{place}: checkpoints take {more / 1e6:,.0f} MB, {free / 1e6:,.0f} MB are free; free some room, or choose "
            "another --runs folder"
        )
    return f"checkpoints will take about {max(1, more / 1e6):,.0f} MB, {free / 1e6:,.0f} MB are free"


def create(
    runs: Path, name: str | None, prefix: str, config: Mapping[str, Any], files: Mapping[str, str] | None = None
) -> RunFolder:
    """Starts a new run folder; never overwrites one.

    The folder is filled beside its name and renamed, so that whatever has a run's name can be gone on with.

    Args:
        runs: the folder of all runs; made if missing.
        name: the run's name, or None for the first free `<prefix>-<number>`.
        prefix: the command's name.
        config: the resolved configuration, plain data.
        files: what else going on with it needs: texts by file name.

    Raises:
        ValueError: a run of this name exists, or the name cannot be a run's (`searchspace.naming.check_run_name`).
    """
    check_new(runs, name)
    runs.mkdir(parents=True, exist_ok=True)
    temporary = runs / f"{STARTING}{uuid.uuid4().hex[:12]}"
    temporary.mkdir()
    try:
        folder = RunFolder(temporary, dict(config), resumed=False)
        folder.write_json(CONFIG, {"command": prefix, **config})
        folder.write_json("environment.json", environment())
        for file, text in (files or {}).items():
            write_atomically(temporary / file, text)
        folder.path = _named(temporary, runs, name, prefix)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return folder


def _named(temporary: Path, runs: Path, name: str | None, prefix: str) -> Path:
    """Gives a filled folder its name; a folder that has something in it is not replaced by renaming."""
    number = 1
    while True:
        path = runs / (f"{prefix}-{number}" if name is None else name)
        try:
            if not path.exists():
                temporary.rename(path)
                return path
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        check_new(runs, name)
        number += 1


def resume(runs: Path, name: str | None, prefix: str, given: Mapping[str, Any]) -> RunFolder | None:
    """Finds the run to go on with.

    Args:
        runs: the folder of all runs.
        name: the run's name, or None for the newest of this command.
        prefix: the command's name.
        given: options that the user gave; each must equal the run's own, but for `DATA_PATHS` of a run over files.

    Returns:
        The folder, or None where there is none yet, so that a new run can begin.

    Raises:
        ValueError: an option differs (names each with both values), the folder is not a run of this command, or the
            name cannot be a run's.
    """
    if name is None:
        candidates = [p for p in runs.glob(f"[!.]*/{CONFIG}")] if runs.is_dir() else []
        ours = [p for p in candidates if read_json(p, COMMAND).get("command") == prefix]
        if not ours:
            return None
        path = max(ours, key=lambda p: (p.stat().st_mtime_ns, p.parent.name)).parent
    else:
        check_run_name(name)
        path = runs / name
        if not path.exists():
            return None
    if not (path / CONFIG).exists():
        raise ValueError(f"{path} is not a run of nas {prefix} (it has no {CONFIG}); give another --name")
    config = read_json(path / CONFIG)
    if config.pop("command", None) != prefix:
        raise ValueError(f"{path} is not a run of nas {prefix}; give the --name of one")
    for key in given:
        if key not in config:
            raise ValueError(f"{path}: its configuration has no {key!r}{nearest(key, config)}")
    different = {key: value for key, value in given.items() if config[key] != value}
    moved = {}
    if config.get("data") is not None and given.get("data", "") is not None:
        moved = {key: different.pop(key) for key in DATA_PATHS if key in different}
    if different:
        changed = "; ".join(f"{key}: {config[key]} in the run, {value} now" for key, value in different.items())
        raise ValueError(f"{path} was started with another configuration ({changed}); leave these options out")
    return RunFolder(path, config, resumed=True, moved=moved)


def environment() -> dict[str, Any]:
    """Versions and machine, for the record."""
    return {
        "python": sys.version.split()[0],
        "versions": versions("movinas", "torch", "numpy", "av", "safetensors"),
        "machine": platform.machine(),
        "system": platform.system(),
        "cpus": cores(),
        "openmp": openmp.given(),
    }


def check_settings(own: Iterable[str], found: Iterable[str]) -> None:
    """Refuses a stored configuration that has other settings than this version (raises `ValueError`)."""
    other = sorted(set(own) ^ set(found))
    if other:
        raise ValueError(
            f"the run's configuration has other settings than this version ({', '.join(map(printable, other))}); go on "
            "with the version that its environment.json names, or start a new run"
        )


def settled(given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as a configuration stores and a resume compares them: a clip in any form and paths as text.

    Paths are absolute, so that they mean the same from any working directory.

    Raises:
        ValueError: what is no clip.
    """
    settings = {key: os.fspath(value) if isinstance(value, os.PathLike) else value for key, value in given.items()}
    for key, value in settings.items():
        if isinstance(value, str) and (key in DATA_PATHS or (key in _WORDS and _is_path(value))):
            settings[key] = absolute(value)
    if settings.get("clip") is not None:
        settings["clip"] = str(Clip.of(settings["clip"]))
    return settings


def _is_path(word: str) -> bool:
    known = word in (*searchspace.names(), "random") or is_published(word)
    return not known and located(word).exists()
