"""Reading files that people write: strict, bounded, and with errors that name key, value and remedy.

Both file formats of this room, arch.json and space YAML, go through `Fields`; nothing is read past it.
"""

from __future__ import annotations

import difflib
import json
import math
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

MAX_FILE_BYTES = 1_000_000
MAX_YAML_CHARACTERS = 40_000  # the parser of YAML takes a second for twice as many
MAX_LEVELS = 20  # of nesting in YAML
MAX_INTEGER_BITS = 128  # more than any seed or count; longer ones are slow to read and to print
MAX_DIGITS = 38  # of a number of so many bits; JSON with more is read as a float
_MISSING = object()


def nearest(word: str, known: Iterable[str]) -> str:
    """Says which known word was probably meant: `"; did you mean 'depth'?"`, or nothing."""
    close = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else ""


def show(value: object) -> str:
    """Renders a value for an error message, on one line and never long."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested too deeply, or an integer of thousands of digits
        return f"a {type(value).__name__} too large to print"
    return text if len(text) <= 60 else text[:57] + "..."


def printable(text: str) -> str:
    """Text of a file as part of a message: with escapes in place of what is no printable character."""
    return text if text.isprintable() else text.encode("unicode_escape").decode()


class Fields:
    """One mapping of a file, read key by key; `done()` refuses the keys that nobody asked for.

    Every method raises `ValueError` naming the key, the value, and what is allowed.
    """

    def __init__(self, data: object, where: str) -> None:
        if not isinstance(data, dict):
            raise ValueError(f"{where} is {show(data)}; it must be a mapping of keys to values")
        for key in data:
            if not isinstance(key, str):
                raise ValueError(f"{where}: key {show(key)} is not text; quote it")
        self._data: dict[str, Any] = data
        self._asked: set[str] = set()
        self.where = where

    def _get(self, key: str, default: object) -> object:
        self._asked.add(key)
        value = self._data.get(key, default)
        if value is _MISSING:
            close = difflib.get_close_matches(key, list(self._data), n=1)
            near = f"; did you misspell it as {show(close[0])}?" if close else ""
            raise ValueError(f"{self.where}: key '{key}' is missing{near}")
        return value

    def refuse(self, key: str, value: object, allowed: str) -> ValueError:
        """Builds (not raises) the error for a value that is not allowed."""
        return ValueError(f"{self.where}.{key} is {show(value)}; allowed: {allowed}")

    def integer(self, key: str, low: int, high: int, default: object = _MISSING) -> int:
        """Reads a whole number in [low, high]; true and 3.0 are not whole numbers."""
        value = self._get(key, default)
        if type(value) is not int or not low <= value <= high:
            raise self.refuse(key, value, f"a whole number from {low} to {high}")
        return value

    def number(self, key: str, low: float, high: float, default: object = _MISSING) -> float:
        """Reads a finite number in [low, high]."""
        value = self._get(key, default)
        if type(value) not in (int, float) or not low <= value <= high:  # type: ignore[operator]  # NaN compares false
            raise self.refuse(key, value, f"a number from {low:g} to {high:g}")
        return float(value)  # type: ignore[arg-type]  # checked in the line above

    def pair(self, key: str, low: float, high: float) -> tuple[float, float]:
        """Reads two numbers in [low, high], the first no larger than the second."""
        value = self._get(key, _MISSING)
        both = isinstance(value, tuple | list) and len(value) == 2 and all(type(end) in (int, float) for end in value)
        if not both or not low <= value[0] <= value[1] <= high:  # type: ignore[index]  # checked in the line above
            raise self.refuse(key, value, f"two increasing numbers from {low:g} to {high:g}")
        return float(value[0]), float(value[1])  # type: ignore[index]

    def boolean(self, key: str, default: object = _MISSING) -> bool:
        """Reads true or false."""
        value = self._get(key, default)
        if not isinstance(value, bool):
            raise self.refuse(key, value, "true or false")
        return value

    def text(self, key: str, default: object = _MISSING, longest: int = 200) -> str:
        """Reads a printable text of at most `longest` characters."""
        value = self._get(key, default)
        if not isinstance(value, str) or len(value) > longest or not value.isprintable():
            raise self.refuse(key, value, f"printable text of at most {longest} characters")
        return value

    def free_text(self, key: str, what: str) -> str:
        """Reads text of any characters and length, but not none, such as a path or a regular expression: `what`."""
        value = self._get(key, _MISSING)
        if not isinstance(value, str) or not value:
            raise self.refuse(key, value, what)
        return value

    def one_of(self, key: str, allowed: Iterable[str], default: object = _MISSING) -> str:
        """Reads one of a few words."""
        words = list(allowed)
        value = self._get(key, default)
        if not isinstance(value, str) or value not in words:
            near = nearest(value, words) if isinstance(value, str) else ""
            raise self.refuse(key, value, ", ".join(words) + near)
        return value

    def items(self, key: str, longest: int, default: object = _MISSING) -> list[Any]:
        """Reads a list of 1 to `longest` items."""
        value = self._get(key, default)
        if not isinstance(value, list) or not 1 <= len(value) <= longest:
            raise self.refuse(key, value, f"a list of 1 to {longest} items")
        return value

    def fields(self, key: str, default: object = _MISSING) -> Fields:
        """Reads a nested mapping."""
        return Fields(self._get(key, default), f"{self.where}.{key}")

    def raw(self, key: str, default: object = _MISSING) -> Any:
        """Reads a value of any kind; the caller checks it."""
        return self._get(key, default)

    def has(self, key: str) -> bool:
        """Says whether the file has the key."""
        return key in self._data

    def done(self) -> None:
        """Refuses keys that were never asked for."""
        for key in self._data:
            if key not in self._asked:
                near = nearest(key, self._asked)
                raise ValueError(
                    f"{self.where}: unknown key {show(key)}{near} (known: {', '.join(sorted(self._asked))})"
                )


def read_text(path: str | os.PathLike[str], kind: str, most: int = MAX_FILE_BYTES) -> str:
    """Reads a UTF-8 file of at most `most` bytes; `kind` names it in errors (`"arch.json"`)."""
    file = Path(path)
    try:
        with open(file, "rb") as stream:  # bounded: a size on disk says nothing of a pipe or a device
            data = stream.read(most + 1)
        if len(data) > most:
            raise ValueError(f"{file} is over {most:,} bytes, too large for any {kind} file")
        return data.decode("utf-8-sig")  # some editors put a byte order mark in front
    except FileNotFoundError:
        raise ValueError(f"{file}: no such file; give the path of the {kind} file") from None
    except IsADirectoryError:
        raise ValueError(f"{file} is a folder; give the path of the {kind} file") from None
    except UnicodeDecodeError:
        raise ValueError(f"{file} is not UTF-8 text, so no {kind} file") from None
    except OSError as error:
        raise ValueError(
            f"{show(str(file))} cannot be read: {error.strerror}; give the path of the {kind} file"
        ) from None


def parse_json(text: str, where: str, most: int = MAX_FILE_BYTES) -> object:
    """Parses strict JSON of at most `most` characters: no duplicate keys, no NaN or infinity."""

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, value in items:
            if key in result:
                raise ValueError(f"{where}: key {show(key)} stands twice; remove one")
            _refuse_infinite(value, f"{where}: key {show(key)}")
            result[key] = value
        return result

    def whole(digits: str) -> int | float:
        return int(digits) if len(digits) <= MAX_DIGITS else float(digits)

    if len(text) > most:
        raise ValueError(f"{where}: over {most:,} characters, too large for this format")
    try:
        return json.loads(text, object_pairs_hook=pairs, parse_int=whole)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: not JSON at line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise ValueError(f"{where}: nested too deeply to be one of our files") from None


def _refuse_infinite(value: object, what: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{what} is {value}; allowed: finite numbers")
    if isinstance(value, list):
        for item in value:
            _refuse_infinite(item, what)


_FLOAT = "tag:yaml.org,2002:float"
_EXPONENT = re.compile(r"[-+]?(?:[0-9]+\.?|[0-9]*\.[0-9]+)[eE][-+]?[0-9]+$")
"""`1e-3` and the like: numbers in YAML 1.2 and to everyone who writes them, text in YAML 1.1, which PyYAML reads."""


class _Loader(yaml.SafeLoader):
    """Safe YAML without duplicate keys and without aliases (which can make a small file huge)."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._above: list[object] = []  # for each level the key that leads into it, or None in a list

    def compose_node(self, parent: yaml.Node | None, index: int | yaml.Node | None) -> yaml.Node | None:
        if self.check_event(yaml.events.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]  # the stubs leave it out
            raise ValueError(f"line {event.start_mark.line + 1}: aliases (*name) are not allowed; write the value out")
        if len(self._above) == MAX_LEVELS:  # the scanner's time grows with the square of open brackets
            key = next((f"key {show(key)} is " for key in reversed(self._above) if key is not None), "")
            raise ValueError(f"{key}nested too deeply to be one of our files")
        self._above.append(index.value if isinstance(index, yaml.ScalarNode) else None)
        node = super().compose_node(parent, index)  # type: ignore[arg-type]  # the stubs forget that it may be a key
        self._above.pop()
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise ValueError(f"line {line}: a key is a list or a mapping; keys must be text")
            key = str(key_node.value)
            if key in seen:
                raise ValueError(f"line {line}: key {show(key)} stands twice; remove one")
            seen.add(key)
        return super().construct_mapping(node, deep=deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if not isinstance(node, yaml.ScalarNode):
            return super().construct_object(node, deep=deep)
        try:
            value = super().construct_object(node, deep=deep)
        except (ValueError, KeyError, AttributeError, OverflowError, yaml.constructor.ConstructorError):
            # what `2001-99-99`, `!!int x`, `!!binary é` or an unknown tag end in
            value = _MISSING
        if value is _MISSING or (isinstance(value, int) and value.bit_length() > MAX_INTEGER_BITS):
            kind = node.tag.rpartition(":")[2]
            line = node.start_mark.line + 1
            raise ValueError(f"line {line}: {show(node.value)} cannot be read as {show(kind)}; quote it if it is text")
        return value


class _Dumper(yaml.SafeDumper):
    """Quotes what `_Loader` would take for a number."""


for _kind in (_Loader, _Dumper):
    _kind.add_implicit_resolver(_FLOAT, _EXPONENT, list("-+.0123456789"))


def dump_yaml(data: object, flow: bool | None = None) -> str:
    """The text of a YAML file that `parse_yaml` reads back as equal data; `flow` as PyYAML's `default_flow_style`."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110, default_flow_style=flow)


def parse_yaml(text: str, where: str) -> object:
    """Parses strict, safe YAML: no duplicate keys, no aliases, no tags that build objects."""
    if len(text) > MAX_YAML_CHARACTERS:
        raise ValueError(f"{where}: over {MAX_YAML_CHARACTERS:,} characters, too large for this format")
    try:
        return yaml.load(text, Loader=_Loader)  # a subclass of SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f" at line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or "cannot be read"
        raise ValueError(f"{where}: not YAML{at}: {problem}") from None
    except RecursionError:
        raise ValueError(f"{where}: nested too deeply to be one of our files") from None
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def write_atomically(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Writes a file so that a reader, or a crash, sees the old content or the new, never half of it."""
    target = Path(path)
    data = content.encode() if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def plain(value: object, where: str, depth: int = 0) -> Any:
    """Checks that a value is plain JSON data (text, finite numbers, booleans, lists, mappings), and copies it."""
    if depth > 8:
        raise ValueError(f"{where}: nested too deeply; at most 8 levels")
    if isinstance(value, str) and not _encodable(value):
        raise ValueError(f"{where} is {show(value)}; allowed: text that can be written as UTF-8")
    if isinstance(value, int) and value.bit_length() > MAX_INTEGER_BITS:
        raise ValueError(f"{where} is an integer of {value.bit_length()} bits; allowed: at most {MAX_INTEGER_BITS}")
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{where} is {value}; give a finite number")
        return value
    if isinstance(value, (list, tuple)):
        return [plain(item, f"{where}[{i}]", depth + 1) for i, item in enumerate(value)]
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str) or not _encodable(key):
                raise ValueError(f"{where} has the key {show(key)}; allowed: text that can be written as UTF-8")
        return {key: plain(item, f"{where}.{_short(key)}", depth + 1) for key, item in value.items()}
    raise ValueError(
        f"{where} is {show(value)}; allowed: text, numbers, true, false, null, lists and mappings of these"
    )


def _encodable(text: str) -> bool:
    """Whether text has no lone surrogates, which JSON can spell and no file can hold."""
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _short(key: str) -> str:
    """A key as a step of a path in an error message."""
    return key if key.isprintable() and len(key) <= 60 else show(key)
