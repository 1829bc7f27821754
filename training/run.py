"""A run is a folder: its name, its lock, its configuration, and the rules for going on with it."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import platform
import shutil
import socket
import sys
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from searchspace import stored
from searchspace.clip import Clip
from searchspace.schema import Fields, nearest, write_atomically
from searchspace.trained import versions
from training.formats import COMMAND
from training.resources import cores

Settings = TypeVar("Settings")

CONFIG, SUMMARY = "config.json", "summary.json"

STARTING = ".starting-"
"""How the name of a run's folder begins until all is in it that going on with it needs; a kill may leave one."""

SPACE = "space.yaml"
"""The own copy of its space that a run of `nas search` keeps."""

DATA_TEXTS = {
    "data": "the path of a folder of videos or an annotation file",
    "group": "a regular expression with a group in it",
}
"""Settings of every run over data that may be None or text, and what the text is."""


class RunFolder:
    """A locked run folder; use it as a context manager.

    The lock belongs to the process (an advisory lock on `lock`), so a dead process's lock is free by itself.

    Attributes:
        path: the folder.
        config: its resolved configuration.
        resumed: whether the folder was there before.
    """

    def __init__(self, path: Path, config: dict[str, Any], resumed: bool) -> None:
        self.path, self.config, self.resumed = path, config, resumed
        self._lock: int | None = None

    def __enter__(self) -> RunFolder:
        handle = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(handle, 200).decode(errors="replace").strip() or "another process"
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

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Writes a JSON file of the run atomically."""
        write_atomically(self.path / name, json.dumps(content, indent=2, allow_nan=False) + "\n")

    def read_json(self, name: str, pattern: Any = dict) -> dict[str, Any]:
        """Reads a JSON file of the run; raises `ValueError` where it is missing or damaged."""
        return read_json(self.path / name, pattern)

    def settings(self, read: Callable[[Mapping[str, Any]], Settings]) -> Settings:
        """Its configuration by the `stored` of a class; raises `ValueError` that names the file where it is damaged."""
        with stored.naming(self.path / CONFIG):
            return read(self.config)


def read_json(path: Path, pattern: Any = dict) -> dict[str, Any]:
    """Reads a JSON mapping of a pattern (`searchspace.stored`); raises `ValueError` where it is missing or damaged."""
    content: dict[str, Any] = stored.read_json(path, pattern)
    return content


def check_new(runs: Path, name: str | None) -> None:
    """Refuses a name for a new run that is not one path component, or of a run that exists (raises `ValueError`)."""
    if name is None:
        return
    if not name or Path(name).name != name or name.startswith("."):
        raise ValueError(f"run name {name!r}: must be a single folder name, such as first-try")
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
        ValueError: a run of this name exists, or the name is not one path component.
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
        given: options that the user gave; each must equal the run's own.

    Returns:
        The folder, or None where there is none yet, so that a new run can begin.

    Raises:
        ValueError: an option differs (names each with both values), or the folder is not a run of this command.
    """
    if name is None:
        candidates = [p for p in runs.glob(f"[!.]*/{CONFIG}")] if runs.is_dir() else []
        ours = [p for p in candidates if read_json(p, COMMAND).get("command") == prefix]
        if not ours:
            return None
        path = max(ours, key=lambda p: (p.stat().st_mtime_ns, p.parent.name)).parent
    else:
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
    changed = [f"{key}: {config[key]} in the run, {value} now" for key, value in given.items() if config[key] != value]
    if changed:
        raise ValueError(
            f"{path} was started with another configuration ({'; '.join(changed)}); leave these options out"
        )
    return RunFolder(path, config, resumed=True)


def environment() -> dict[str, Any]:
    """Versions and machine, for the record."""
    return {
        "python": sys.version.split()[0],
        "versions": versions("movinas", "torch", "numpy", "av", "safetensors"),
        "machine": platform.machine(),
        "system": platform.system(),
        "cpus": cores(),
    }


def check_texts(fields: Fields, texts: Mapping[str, str]) -> None:
    """Refuses settings that are neither None nor text; `texts` says of each what it should be (raises `ValueError`)."""
    for key, what in texts.items():
        if fields.raw(key) is not None:
            fields.free_text(key, f"{what}, or None")


def settled(given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as a configuration stores and a resume compares them: a clip in any form and paths as text.

    Raises:
        ValueError: what is no clip.
    """
    settings = {key: os.fspath(value) if isinstance(value, os.PathLike) else value for key, value in given.items()}
    if settings.get("clip") is not None:
        settings["clip"] = str(Clip.of(settings["clip"]))
    return settings
