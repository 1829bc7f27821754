"""What a failure means to the person at the keyboard: one line, and an exit code."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from training.interrupt import Interrupted, Stopped, exit_code
from training.resources import is_out_of_memory

USERS_MISTAKE = 2

_DISK = {
    errno.ENOSPC: "the disk is full: free some room, then run the same command again (a search: with --resume)",
    errno.EDQUOT: "your disk quota is used up: free some room, then run the command again (a search: with --resume)",
    errno.EACCES: "no permission: choose a folder that you may write to and read from",
    errno.EPERM: "not permitted: choose a folder that you may write to and read from",
    errno.EROFS: "the disk is read-only: choose another folder",
    errno.ENOENT: "no such file or folder",
    errno.ENOTDIR: "not a folder",
    errno.EISDIR: "a folder, where a file is needed",
    errno.EEXIST: "there already: choose another name",
    errno.EMFILE: "too many open files: lower --workers, or raise the limit with ulimit -n",
    errno.ENAMETOOLONG: "the name is too long",
}
_MEMORY = "out of memory: lower --search-resolution, --workers, or the frames of --clip; a search goes on with --resume"


def explain(error: BaseException) -> tuple[str, int] | None:
    """The line to print and the exit code; None for a bug of ours, which deserves its traceback."""
    if isinstance(error, KeyboardInterrupt):
        told = str(error) if isinstance(error, Interrupted | Stopped) else "interrupted"
        return f"nas: {told}", exit_code(error)
    if is_out_of_memory(error):
        return f"nas: error: {_MEMORY}", USERS_MISTAKE
    if isinstance(error, ValueError):
        return f"nas: error: {_one_line(str(error))}", USERS_MISTAKE
    if isinstance(error, ModuleNotFoundError) and not _is_ours(error.name or ""):
        return f"nas: error: {error.name} is not installed: pip install {error.name}, or make search", USERS_MISTAKE
    if isinstance(error, OSError) and error.errno in _DISK:
        where = f"{error.filename}: " if error.filename is not None else ""
        return f"nas: error: {where}{_DISK[error.errno]}", USERS_MISTAKE
    return None


@contextlib.contextmanager
def finishing(folder: Path, command: str) -> Iterator[None]:
    """Around what comes after a run's last result, its pictures: tells who stops it how to get the rest.

    Args:
        folder: of the run, which is finished.
        command: that draws what is missing.
    """
    try:
        yield
    except KeyboardInterrupt as stop:
        told = str(stop) if isinstance(stop, Interrupted) else "stopped while pictures were drawn"
        message = f"{told}; {folder} is finished, the rest comes with: {command}"
        raise Interrupted(exit_code(stop), message) from None


def _is_ours(module: str) -> bool:
    rooms = ("searchspace", "networks", "supernet", "controller", "video", "training", "scaling", "experiments")
    return module.split(".")[0] in rooms


def _one_line(text: str) -> str:
    return " ".join(text.split())
