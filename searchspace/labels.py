"""Names of classes from a file of labels: one name a line, in the order of the network's outputs."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from searchspace.naming import MAX_CLASS_NAME, MAX_CLASSES
from searchspace.schema import read_text, show

_ENDINGS = (".txt", ".csv", ".labels", ".names")
_WORDS = re.compile(r"label|class(?!ification)", re.IGNORECASE)
_MOST_CANDIDATES = 50
_MOST_CHARACTERS = 300_000  # they are kept in the header of weights, which is read whole


def read_labels(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Reads the names of a file of text; where every line begins with its number from 0, that is no part of the name.

    Raises:
        ValueError: no such file, none or too many names, one that is too long or stands twice.
    """
    lines = [line.strip() for line in read_text(path, "labels").splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    names = _numbered(lines) or _numbered(lines[1:]) or tuple(lines)  # a table has a line of titles
    if not names:
        raise ValueError(f"{path}: an empty file of labels; it must have one name a line, in order of the outputs")
    if len(names) > MAX_CLASSES or sum(map(len, names)) > _MOST_CHARACTERS:
        raise ValueError(f"{path}: {len(names):,} labels; allowed: {MAX_CLASSES:,}, of {_MOST_CHARACTERS:,} characters")
    seen: dict[str, int] = {}
    for number, name in enumerate(names, 1):
        if not name or len(name) > MAX_CLASS_NAME or not name.isprintable():
            raise ValueError(
                f"{path}: label {number} is {show(name)}; allowed: printable text of 1 to {MAX_CLASS_NAME} characters"
            )
        if name in seen:
            raise ValueError(f"{path}: label {show(name)} stands twice, as number {seen[name]} and {number}")
        seen[name] = number
    return names


def _numbered(lines: Sequence[str]) -> tuple[str, ...]:
    """Names behind their numbers, such as `0 abseiling` and `1,acting in play`; none where one line is not so."""
    names = []
    for i, line in enumerate(lines):
        found = re.fullmatch(rf"0*{i}\s*[,;:\s]\s*\"?(.+?)\"?", line)
        if found is None:
            return ()
        names.append(found[1])
    return tuple(names)


def check_count(labels: Sequence[str], classes: int, where: str) -> None:
    """Refuses labels of another number than a network has outputs."""
    if len(labels) != classes:
        raise ValueError(f"{where}: {len(labels):,} labels for a network of {classes:,} classes; give one for each")


def labels_beside(file: Path, classes: int) -> tuple[Path | None, tuple[str, ...], str]:
    """Looks for labels in the folder of a file of weights: text whose name says so, or begins as the weights' does.

    Returns:
        The file and its names, none where there is not exactly one that fits; and what to say of several.
    """
    found: dict[tuple[str, ...], Path] = {}
    stem = file.stem.lower()
    names = sorted(item.name for item in file.absolute().parent.iterdir() if item.suffix.lower() in _ENDINGS)
    fitting = [name for name in names if _WORDS.search(name) or Path(name).stem.lower() == stem]
    for name in fitting[:_MOST_CANDIDATES]:
        try:
            labels = read_labels(file.parent / name)
        except ValueError:
            continue
        if len(labels) == classes:
            found.setdefault(labels, file.parent / name)
    own = {labels: path for labels, path in found.items() if path.name.lower().startswith(stem)}
    chosen = own or found
    if len(chosen) == 1:
        ((labels, path),) = chosen.items()
        return path, labels, ""
    several = ", ".join(path.name for path in chosen.values())
    return None, (), f"several files of labels lie beside it ({several})" if chosen else ""
