"""Names as text: of classes, runs and files. What a reader of our files limits is checked here, where names come in.

Names of files are bytes, and not always UTF-8. Text that travels (into JSON, CSV, tables) has such bytes, and control
characters, as visible escapes: `caf\\xe9`. One spelling stands for one class: letters are composed (Unicode's NFC), as
macOS and Linux may write the same name in different ways.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

MAX_CLASSES = 100_000
MAX_CLASS_NAME = 200
MAX_CLASSES_BYTES = 4_000_000
"""Of all names of the classes together, in UTF-8."""

MAX_RUN_NAME = 100
"""Characters, and twice as many bytes: names of networks are made of it (at most 200 characters), and names of files
that are being written (at most 255 bytes)."""

_ESCAPED = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_BACK = re.compile(r"\\u([0-9a-f]{4})|((?:\\x[0-9a-f]{2})+)")
_BLANKS = "\u00ad\u200b\u200e\u200f\u2060\ufeff"
"""What has no width, and is no blank to `str.strip`."""


def escaped(name: str | os.PathLike[str]) -> str:
    """A name or path as text of one line that UTF-8 can hold; equal to the name wherever that is such text already."""

    def escape(match: re.Match[str]) -> str:
        code = ord(match.group())
        if 0xDC80 <= code <= 0xDCFF:  # how Python passes a byte that is no UTF-8
            return f"\\x{code - 0xDC00:02x}"
        return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}"

    return _ESCAPED.sub(escape, os.fspath(name))


def unescaped(text: str) -> str:
    """The name or path with its bytes put back, where it is there that way and not as it stands; else the text."""

    def back(match: re.Match[str]) -> str:
        character, some = match.groups()
        return chr(int(character, 16)) if character else os.fsdecode(bytes.fromhex(some.replace("\\x", "")))

    raw = _BACK.sub(back, text)
    return raw if raw != text and "\0" not in raw and not os.path.lexists(text) and os.path.lexists(raw) else text


def located(text: str | os.PathLike[str]) -> Path:
    """The path that escaped text names; see `unescaped`."""
    return Path(unescaped(os.fspath(text)))


def absolute(path: str | os.PathLike[str]) -> str:
    """A path as a run keeps it: absolute, so that it means the same from any working directory, and escaped."""
    found = located(path)
    return escaped(os.path.realpath(found) if ".." in found.parts else os.path.abspath(found))


def spelled(name: str | os.PathLike[str]) -> str:
    """A name as text, escaped, in its one spelling: with composed letters (NFC)."""
    return escaped(unicodedata.normalize("NFC", os.fspath(name)))


def class_name(name: str | os.PathLike[str]) -> str:
    """The one spelling of a class: as `spelled`, and without blanks around it."""
    text = os.fspath(name)
    while text != (text := text.strip().strip(_BLANKS)):
        pass
    return spelled(text)


def named_after(name: str, ending: str, most: int) -> str:
    """A name and what tells from it what was made of it, in at most so many characters: the name gives way."""
    return f"{name[: most - len(ending)]}{ending}"


def alike(name: str) -> str:
    """What two names share that differ in case, blanks and underscores only."""
    return re.sub(r"[\s_]+", " ", class_name(name)).strip().lower()


def classes_alike(classes: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of classes that differ in case, blanks and underscores only, and may be meant as one."""
    seen: dict[str, str] = {}
    pairs = []
    for name in classes:
        first = seen.setdefault(alike(name), name)
        if first != name:
            pairs.append((first, name))
    return pairs


def check_classes(classes: Sequence[str], where: str) -> None:
    """Refuses names of classes that a trained network could not be loaded with.

    Raises:
        ValueError: names the class and what is allowed.
    """
    if len(classes) > MAX_CLASSES:
        raise ValueError(f"{where} has {len(classes):,} classes; allowed: at most {MAX_CLASSES:,}")
    total = 0
    for name in classes:
        if not name:
            raise ValueError(f"{where} has a class without a name; give it one, or leave it out")
        if name != escaped(name):
            raise ValueError(f"{where}: class {_short(name)} holds what is no text of one line; rename it")
        if len(name) > MAX_CLASS_NAME:
            raise ValueError(
                f"{where}: the name of class {_short(name)} has {len(name)} characters; allowed: at most "
                f"{MAX_CLASS_NAME}; shorten it"
            )
        total += len(name.encode())
    if total > MAX_CLASSES_BYTES:
        raise ValueError(
            f"{where}: the names of its {len(classes):,} classes take {total:,} bytes; allowed: at most "
            f"{MAX_CLASSES_BYTES:,}; shorten them"
        )


def check_run_name(name: str) -> None:
    """Refuses a name that cannot be a run's folder, or that the names of its networks could not hold.

    Raises:
        ValueError: names what is allowed.
    """
    if not name or name != os.path.basename(name) or name.startswith("."):
        raise ValueError(f"run name {_short(name)}: must be a single folder name, such as first-try")
    if not name.isprintable():
        raise ValueError(
            f"run name {_short(name)} holds a line break, a character without width, or what is no UTF-8; allowed: "
            "printable text, such as first-try"
        )
    if len(name) > MAX_RUN_NAME or len(name.encode()) > 2 * MAX_RUN_NAME:
        raise ValueError(
            f"run name {_short(name)} has {len(name)} characters ({len(name.encode())} bytes); allowed: at most "
            f"{MAX_RUN_NAME} ({2 * MAX_RUN_NAME} bytes)"
        )


def _short(name: str) -> str:
    text = ascii(name) if not name.isprintable() else repr(name)
    return text if len(text) <= 60 else text[:57] + "..."
