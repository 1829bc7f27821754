"""What a failure means to the person at the keyboard: one line, and an exit code."""

from __future__ import annotations

import contextlib
import errno
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from training.machine.interrupt import Interrupted, Stopped, exit_code
from training.machine.resources import is_out_of_memory

USERS_MISTAKE = 2

PACKAGE = {"yaml": "pyyaml", "PIL": "pillow", "google_crc32c": "google-crc32c"}
"""What pip calls modules that it does not call by their names."""

_DISK = {
    errno.ENOSPC: "the disk is full: free some room, then run the same command again",
    errno.EDQUOT: "your disk quota is used up: free some room, then run the command again",
    errno.EACCES: "no permission: choose a folder that you may write to and read from",
    errno.EPERM: "not permitted: choose a folder that you may write to and read from",
    errno.EROFS: "the disk is read-only: choose another folder",
    errno.ENOENT: "no such file or folder",
    errno.ENOTDIR: "not a folder",
    errno.EISDIR: "a folder, where a file is needed",
    errno.EEXIST: "there already: choose another name",
    errno.EMFILE: "too many open files: raise the limit with ulimit -n",
    errno.ENAMETOOLONG: "the name is too long",
}
_WITH_FLAGS = {
    errno.ENOSPC: ("--resume", ", with --resume"),
    errno.EDQUOT: ("--resume", ", with --resume"),
    errno.EMFILE: ("--workers", ", or lower --workers"),
}
"""What a remedy says more where the command has a flag."""

_LESS_MEMORY = {
    "--search-resolution": "--search-resolution",
    "--batch": "--batch",
    "--workers": "--workers",
    "--clip": "the frames of --clip",
}


def explain(error: BaseException, flags: Collection[str] = ()) -> tuple[str, int] | None:
    """The line to print and the exit code; None for a bug of ours, which deserves its traceback.

    Args:
        error: what ended the command.
        flags: that the command has: no remedy names another.
    """
    if isinstance(error, KeyboardInterrupt):
        told = str(error) if isinstance(error, Interrupted | Stopped) else "interrupted"
        return f"nas: {told}", exit_code(error)
    if is_out_of_memory(error):
        return f"nas: error: {_out_of_memory(flags)}", USERS_MISTAKE
    if isinstance(error, ValueError):
        return f"nas: error: {_one_line(str(error))}", USERS_MISTAKE
    if isinstance(error, ModuleNotFoundError) and not _is_ours(error.name or ""):
        package = PACKAGE.get(error.name or "", error.name)
        return f"nas: error: {error.name} is not installed: pip install {package}, or make search", USERS_MISTAKE
    if isinstance(error, OSError) and error.errno in _DISK:
        where = f"{error.filename}: " if error.filename is not None else ""
        flag, more = _WITH_FLAGS.get(error.errno, ("", ""))
        return f"nas: error: {where}{_DISK[error.errno]}{more * (flag in flags)}", USERS_MISTAKE
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


def _out_of_memory(flags: Collection[str]) -> str:
    less = [text for flag, text in _LESS_MEMORY.items() if flag in flags]
    remedy = f"lower {' or '.join(filter(None, (', '.join(less[:-1]), less[-1])))}" if less else "free some"
    again = ", in a new run; or free some and go on with --resume" if less and "--resume" in flags else ""
    return f"out of memory: {remedy}{again}"


def _one_line(text: str) -> str:
    """On one line; blanks stay as they are, for a path may hold several."""
    from searchspace.schema import printable  # with numpy, which help does not need

    return printable(re.sub(r"\s*\n\s*", " ", text.strip()))
