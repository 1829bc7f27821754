"""Append-only text files of a run: nothing in them is ever rewritten, and a resume only moves lines aside."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from searchspace.schema import write_atomically
from searchspace.stored import complete_lines


class Ledger:
    """A file that grows by whole lines.

    Args:
        path: the file; it and its header are made at the first line.
        header: a first line for a CSV file, counted like any other.

    Attributes:
        lines: complete lines in the file, a header included.
    """

    def __init__(self, path: Path, header: str = "") -> None:
        self.path = path
        self._header = header
        self.lines = sum(1 for _ in complete_lines(path))

    def append(self, line: str) -> None:
        """Adds a line and hands it to the operating system, so that killing the process does not lose it."""
        assert "\n" not in line
        text = line + "\n"
        if self.lines == 0 and self._header:
            text = f"{self._header}\n{text}"
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(text)
        self.lines += text.count("\n")

    def append_json(self, record: dict[str, Any]) -> None:
        """Adds a record as a line of JSON; floats keep every bit."""
        self.append(json.dumps(record, separators=(",", ":"), allow_nan=False))

    def rewind(self, lines: int, discarded: Path) -> int:
        """Moves what stands beyond the first `lines` lines to the end of another file.

        Args:
            lines: how many to keep: the number at the last checkpoint.
            discarded: the file of discarded lines.

        Returns:
            How many lines were moved; a torn last line is moved too but not counted.

        Raises:
            ValueError: the file has fewer lines than the checkpoint counted, so it was changed from outside.
        """
        text = self.path.read_bytes() if self.path.exists() else b""
        parts = text.split(b"\n")
        complete, torn = parts[:-1], parts[-1]
        if len(complete) < lines:
            raise ValueError(
                f"{self.path} has {len(complete)} lines but its checkpoint was written after {lines}: "
                "it was changed from outside; restore it or start a new run"
            )
        beyond = complete[lines:] + ([torn] if torn else [])
        if beyond:
            with open(discarded, "ab") as file:
                file.write(b"".join(line + b"\n" for line in beyond))
                file.flush()
                os.fsync(file.fileno())
            write_atomically(self.path, b"".join(line + b"\n" for line in complete[:lines]))
        self.lines = lines
        return len(complete) - lines
