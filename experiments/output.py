"""The standard streams of `nas`: a reader that is gone, or one that cannot show a character, never ends the work."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any, TextIO

_GONE = (errno.EPIPE, errno.EIO)
"""What writing ends in when the other end of a pipe is closed (`nas ... | head -1`), or the terminal is."""


class _Kept(io.FileIO):
    """A file descriptor from which writing is dropped once its reader is gone; a full disk stays an error."""

    def __init__(self, number: int) -> None:
        super().__init__(number, "wb", closefd=False)
        self._terminal = self.isatty()  # one that is closed later is none any more

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in _GONE or (error.errno == errno.EIO and not self._terminal):
                raise
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
            return len(memoryview(data))


def protect() -> None:
    """Puts both streams of this process where nothing that happens to them stops a job.

    A stream that was closed before the start leads nowhere. Characters that its encoding lacks are replaced, unless
    PYTHONIOENCODING asks for something else.
    """
    for name, number in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            _open_null(number)
        setattr(sys, name, _protected(getattr(sys, name), number))


def _open_null(number: int) -> None:
    """A closed descriptor would be taken by the next file that is opened, and printed into."""
    opened = os.open(os.devnull, os.O_WRONLY)
    if opened != number:
        os.dup2(opened, number)
        os.close(opened)


def _protected(stream: TextIO | None, number: int) -> io.TextIOWrapper:
    encoding, errors, lines, unbuffered = "utf-8", "replace", False, False
    if isinstance(stream, io.TextIOWrapper):
        stream.flush()
        encoding, lines, unbuffered = stream.encoding, stream.line_buffering, stream.write_through
        errors = "replace" if stream.errors in (None, "strict", "surrogateescape") else stream.errors
    raw = _Kept(number)
    below: Any = raw if unbuffered else io.BufferedWriter(raw)
    return io.TextIOWrapper(below, encoding, errors, line_buffering=lines, write_through=unbuffered)
