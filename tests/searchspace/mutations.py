"""Mutations of valid files, each a function of a random generator: of their structure, or of their bytes."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import yaml

from searchspace.schema import show


def _deep(levels: int) -> list[Any]:
    result: list[Any] = []
    for _ in range(levels):
        result = [result]
    return result


# What a value may become. A text that starts with RAW stands in the file without quotes, as no writer would write it.
RAW = "@raw@"
TWIN = "@twin@"  # ends a key that loses this ending when the file is written
VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 2, 3, 7, 64, 65, 4097, 10**9, -(10**9), 10**30, 2**63, 0.5, 1.0, -0.0, 1e308),
    *(1e-320, float("nan"), float("inf"), -float("inf"), "", " ", "1", "nan", "yes", "x", "1x3x3", "5x3x3", "2x3x3"),
    *("1x1x99", "8x128x128@5", "8x0x128@5", "9999999x9x9", "a\nb", "\x00", "\ud800", "\u202e", "naïve ☃", "\U0001f600"),
    *("x" * 5000, [], {}, [[]], [None], [1, 2, 3], [1e9], ["1x3x3"], [True, 1], {"a": 1}, {"": None}, {"width": 8}),
    *("tsm1x3x3", "tsm3x3x3", ["tsm1x5x5"]),
    *([{}] * 100, _deep(5), _deep(200), list(range(500)), {str(i): i for i in range(300)}),
]
RAW_JSON = [
    *("9" * 5000, "1e999", "-", "01", "0x10", "NaN", "Infinity", "'a'", "[" * 5000, "tru", "1,", '"\\ud800"', "//"),
]
RAW_YAML = [
    *("&a 1", "*a", "!!python/name:os.system", "!!int x", "!!timestamp x", "!!bool 1", "!!binary é", "2001-99-99"),
    *("0b_", "1:1:1", "0x" + "f" * 5000, "9" * 5000, ".inf", "-.nan", "{a: 1, a: 2}", "[" * 3000, "| x", "%", "@"),
    *("!!set {a, b}", "!!omap [a: 1]", "? [1] : 2", "<<", "'", "\t", "2001-01-01", "~", "no", "1e3", "{<<: {a: 1}}"),
    *("!!null 3", "!<x> y"),
]
TOKENS = [
    *(b'"', b"{", b"}", b"[", b"]", b",", b":", b"\n", b"\x00", b"\xff", b"\xe2\x98", b"NaN", b"1e9", b"- ", b"&a "),
    *(b"*a", b"9" * 21, b"-", b"\t", b"#", b"\xef\xbb\xbf", b"true", b"null", b"!!int ", b"\xed\xa0\x80", b"? ", b"%"),
]


@dataclasses.dataclass(frozen=True)
class Case:
    """A mutated file.

    Attributes:
        content: what stands in it.
        names: the key that a refusal has to name, or None where it may say anything.
        shows: what it has to show of the value, likewise.
        what: for people.
    """

    content: bytes
    names: str | None
    shows: str | None
    what: str


def _paths(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    pairs = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in pairs:
        yield from _paths(value, (*path, key))


def _parent(data: Any, path: tuple[Any, ...]) -> Any:
    for key in path[:-1]:
        data = data[key]
    return data


def _pick(rng: np.random.Generator, values: list[Any]) -> Any:
    return values[int(rng.integers(len(values)))]


def structural(rng: np.random.Generator, base: Any, kind: str) -> Case:
    """Changes the data of a valid file: values, ranges, kinds, keys, lengths, nesting.

    Args:
        rng: decides everything.
        base: the file's data; not changed.
        kind: "json", or "yaml" in one of its two styles.
    """
    data = copy.deepcopy(base)
    paths = list(_paths(data))
    path = _pick(rng, paths)
    parent, last = _parent(data, path), path[-1]
    what = _pick(rng, ["value"] * 4 + ["raw", "remove", "rename", "unknown", "twice", "repeat", "wrap", "swap", "near"])
    names: str | None = next(str(key) for key in reversed(path) if isinstance(key, str))
    shows = None
    if what == "value":
        value = parent[last] = _pick(rng, VALUES)
        if not isinstance(value, (list, dict)):
            shows = show(value).strip("'")[:7]  # a clip or a kernel may stand without quotes and end
    elif what == "raw":
        parent[last], names = RAW + _pick(rng, RAW_JSON if kind == "json" else RAW_YAML), None
    elif what == "remove":
        del parent[last]
    elif what == "rename" and isinstance(parent, dict):
        parent[last + _pick(rng, ["x", "\n", "é", "X" * 300])] = parent.pop(last)
    elif what == "unknown":
        names = _pick(rng, ["widht", "stride ", "é", "b" * 40])
        (parent if isinstance(parent, dict) else data)[names] = _pick(rng, VALUES)
    elif what == "twice" and isinstance(parent, dict):
        parent[last + TWIN] = 1
    elif what == "repeat" and isinstance(parent[last], list):
        parent[last], names = parent[last] * _pick(rng, [2, 3, 20, 1000]), None
    elif what == "wrap":
        parent[last] = _pick(rng, [[parent[last]], {last: parent[last]}, {names: parent[last]}])
    elif what == "swap":
        other = _pick(rng, paths)
        parent[last], names = copy.deepcopy(_parent(data, other)[other[-1]]), None
    elif what == "near" and type(parent[last]) in (int, float):
        parent[last] = parent[last] * _pick(rng, [-1, 0, 0.5, 1.5, 2, 100, 10**8]) + _pick(rng, [0, 1, -1])
    else:
        what, names = "none", None
    text = _unquoted(_written(data, kind == "json" or rng.random() < 0.5)).replace(TWIN, "")
    return Case(text.encode("utf-8", "surrogatepass"), names, shows, f"{what} at {path}")


def _unquoted(text: str) -> str:
    """Raw texts as they are, without the quotes and the escapes of the writer."""
    while (start := text.find(f'"{RAW}')) >= 0:
        raw, length = json.JSONDecoder().raw_decode(text[start:])
        text = text[:start] + raw.removeprefix(RAW) + text[start + length :]
    return text


def _written(data: Any, as_json: bool) -> str:
    if as_json:  # also YAML, in its flow style
        return json.dumps(data, ensure_ascii=False).replace("\ud800", "\\ud800")
    text: str = yaml.dump(data, Dumper=_Quoting, sort_keys=False, allow_unicode=True)
    return text


class _Quoting(yaml.SafeDumper):
    """Writes no aliases, and raw texts in double quotes where `structural` looks for them."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"' if value.startswith(RAW) else None)


_Quoting.add_representer(str, _text)


def bytewise(rng: np.random.Generator, base: bytes) -> Case:
    """One to four changes of bytes: flipped, deleted, inserted, copied, cut off, digits changed."""
    data = bytearray(base)
    done = []
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(len(data) + 1))
        length = int(rng.integers(1, 40))
        what = _pick(rng, ["flip", "delete", "insert", "token", "copy", "cut", "digit", "digit"])
        done.append(f"{what}@{at}")
        if what == "flip" and at < len(data):
            data[at] ^= 1 << int(rng.integers(8))
        elif what == "delete":
            del data[at : at + length]
        elif what == "insert":
            data[at:at] = rng.integers(0, 256, length).astype(np.uint8).tobytes()
        elif what == "token":
            data[at:at] = _pick(rng, TOKENS) * _pick(rng, [1, 1, 1, 2, 300])
        elif what == "copy":
            to = int(rng.integers(len(data) + 1))
            data[to:to] = data[at : at + 10 * length]
        elif what == "cut" and rng.random() < 0.3:
            del data[at:]
        else:
            digits = [i for i, byte in enumerate(data) if 48 <= byte < 58]
            if digits:
                data[_pick(rng, digits)] = 48 + int(rng.integers(10))
    return Case(bytes(data), None, None, " ".join(done))
