"""Mutations of valid files, each a function of a random generator: of their structure, or of their bytes."""

from __future__ import annotations

import copy
import dataclasses
import io
import json
import struct
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import yaml

from networks.weights import tensor_bundle
from searchspace.schema import show
from tests.networks.weights import bundle_writer


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
    names: str | None = next((str(key) for key in reversed(path) if isinstance(key, str)), None)
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


def lines(rng: np.random.Generator, base: bytes) -> Case:
    """Changes a file of JSON lines: the data of one line, the lines themselves, or bytes."""
    rows = base.split(b"\n")
    at = int(rng.integers(max(1, len(rows) - 1)))
    what = _pick(rng, ["data"] * 4 + ["twice", "remove", "swap", "torn", "empty", "bytes", "bytes"])
    if what == "bytes":
        return bytewise(rng, base)
    case = Case(b"", None, None, f"{what} at line {at + 1}")
    if what == "data":
        case = structural(rng, json.loads(rows[at]), "json")
        rows[at] = case.content.replace(b"\n", b" ")
    elif what == "twice":
        rows.insert(at, rows[at])
    elif what == "remove":
        del rows[at]
    elif what == "swap":
        rows[at], rows[0] = rows[0], rows[at]
    elif what == "torn":
        rows[at] = rows[at][: len(rows[at]) // 2]
    else:
        rows[at] = _pick(rng, [b"", b"{}", b"[]", b"null", b"1", b'"x"', b"\x00", b"\xff"])
    return Case(b"\n".join(rows), None, None, f"{case.what}, line {at + 1}")


CELLS = [
    *("", " ", "0", "-1", "nan", "inf", "1e999", "1.5", "9" * 400, "x", "x" * 200_000, "\x00", "a,b", '"', '"a', "é☃"),
    *("1_000", "0x10", "true", "None", "=1+1", "../../x", "\t", " 1 ", "-0", "1e-320", "٣", "[1]"),
]


def table(rng: np.random.Generator, base: bytes) -> Case:
    """Changes a CSV file: cells, rows, columns, what stands between them, or bytes."""
    rows = [line.split(",") for line in base.decode().split("\n")]
    at = int(rng.integers(len(rows)))
    row, column = rows[at], int(rng.integers(len(rows[at])))
    what = _pick(rng, ["cell"] * 5 + ["drop", "more", "column", "header", "twice", "remove", "quote", "end", "bytes"])
    if what == "bytes":
        return bytewise(rng, base)
    if what == "cell":
        row[column] = _pick(rng, CELLS)
    elif what == "drop":
        del row[column:]
    elif what == "more":
        row += ["1"] * _pick(rng, [1, 2, 1000])
    elif what == "column":
        for other in rows:
            del other[column : column + 1]
    elif what == "header":
        rows[0][column % len(rows[0])] = _pick(rng, ["", "x", rows[0][0], "ACCURACY", "\ufeffstep"])
    elif what == "twice":
        rows.insert(at, list(row))
    elif what == "remove":
        del rows[at]
    elif what == "quote":
        row[column] = f'"{row[column]}' + _pick(rng, ["", '"', '""', '"x', "\n"])
    text = _pick(rng, ["\r\n", "\r", "\n\n", ";"]).join(map(",".join, rows)) if what == "end" else None
    text = "\n".join(map(",".join, rows)) if text is None else text
    return Case(text.encode("utf-8", "surrogatepass"), None, None, f"{what} at line {at + 1}, column {column + 1}")


NUMBERS = (0, 1, 2**7, 2**15, 2**31 - 1, 2**32, 2**40, 2**62, 2**63 - 1, -1)


def binary(rng: np.random.Generator, base: bytes) -> Case:
    """Changes a file of bytes: bits, numbers of four and eight bytes, pieces, its end."""
    data = bytearray(base)
    done = []
    for _ in range(int(rng.integers(1, 4))):
        # where headers and directories stand, as often as anywhere
        reach = _pick(rng, [len(data), min(len(data), 600), min(len(data), 60)])
        at = int(rng.integers(reach + 1))
        at = len(data) - at if rng.random() < 0.3 else at
        what = _pick(rng, ["flip", "flip", "number", "number", "delete", "copy", "cut", "longer", "zero"])
        done.append(f"{what}@{at}")
        length = int(rng.integers(1, 80))
        if what == "flip" and at < len(data):
            data[at] ^= 1 << int(rng.integers(8))
        elif what == "number":
            width = _pick(rng, [4, 8])
            data[at : at + width] = (_pick(rng, list(NUMBERS)) % 2 ** (8 * width)).to_bytes(width, "little")
        elif what == "delete":
            del data[at : at + length]
        elif what == "copy":
            to = int(rng.integers(len(data) + 1))
            data[to:to] = data[at : at + length]
        elif what == "cut" and rng.random() < 0.4:
            del data[at:]
        elif what == "longer":
            data += bytes(length)
        elif what == "zero":
            data[at : at + length] = bytes(length)
    return Case(bytes(data), None, None, " ".join(done))


def safetensors(rng: np.random.Generator, base: bytes) -> Case:
    """Changes the header of a safetensors file, with a length that fits it, or bytes."""
    if rng.random() < 0.4:
        return binary(rng, base)
    (length,) = struct.unpack("<Q", base[:8])
    header, rest = json.loads(base[8 : 8 + length]), base[8 + length :]
    names = [name for name in header if name != "__metadata__"]
    if rng.random() < 0.5 and names:
        one = header[_pick(rng, names)]
        what = _pick(rng, ["dtype", "shape", "offsets", "other"])
        if what == "dtype":
            one["dtype"] = _pick(rng, ["I32", "U32", "F16", "BF16", "F64", "I64", "BOOL", "F8_E4M3", "X", "", None])
        elif what == "shape":
            one["shape"] = _pick(rng, [[], [0], [1], [2**40], one["shape"][::-1], [*one["shape"], 1], [-1], None])
        elif what == "offsets":
            one["data_offsets"] = _pick(rng, [[0, 0], [0, 2**60], one["data_offsets"][::-1], [0, len(rest)], []])
        else:
            header[_pick(rng, [*names, "x", "a" * 300])] = copy.deepcopy(one)
        text, what = json.dumps(header).encode(), f"header: {what}"
    else:
        case = structural(rng, header, "json")
        text, what = case.content, f"header: {case.what}"
    size = _pick(rng, [len(text)] * 8 + list(NUMBERS)) % 2**64
    return Case(struct.pack("<Q", size) + text + rest, None, None, what)


def archive(rng: np.random.Generator, base: bytes) -> Case:
    """Changes a record of a zip file, whose directory and checksum are then right for it, or bytes."""
    if rng.random() < 0.4:
        return binary(rng, base)
    with zipfile.ZipFile(io.BytesIO(base)) as whole:
        records = {name: whole.read(name) for name in whole.namelist()}
    name = _pick(rng, [next(name for name in records if name.endswith("data.pkl")), *records])
    what = _pick(rng, ["bytes", "bytes", "bytes", "remove", "rename", "empty", "packed"])
    if what == "bytes":
        records[name] = binary(rng, records[name]).content
    elif what == "remove":
        del records[name]
    elif what == "rename":
        records[f"{name}x"] = records.pop(name)
    elif what == "empty":
        records[name] = b""
    out = io.BytesIO()
    packed = zipfile.ZIP_DEFLATED if what == "packed" else zipfile.ZIP_STORED
    with zipfile.ZipFile(out, "w", packed) as whole:
        for key, content in records.items():
            whole.writestr(key, content)
    return Case(out.getvalue(), None, None, f"{what} of {name}")


def index(rng: np.random.Generator, base: bytes) -> Case:
    """Changes an entry of a TensorFlow index, whose checksums are then right for it, or bytes."""
    if rng.random() < 0.3:
        return binary(rng, base)
    items = dict(tensor_bundle._table(base))
    key = _pick(rng, [b"", *items])
    what = _pick(rng, ["bytes", "bytes", "bytes", "remove", "rename", "swap", "many"])
    if what == "bytes":
        items[key] = binary(rng, items[key]).content
    elif what == "remove":
        del items[key]
    elif what == "rename":
        items[key + _pick(rng, [b"x", b"\xff", b"/" * 500])] = items.pop(key)
    elif what == "swap":
        other = _pick(rng, list(items))
        items[key], items[other] = items[other], items[key]
    else:
        items |= {key + b"/%d" % i: items[key] for i in range(300)}
    return Case(bundle_writer.table(items.items()), None, None, f"{what} of {key!r}")


def mutated(rng: np.random.Generator, style: str, base: bytes) -> Case:
    """A mutation of a file.

    Args:
        rng: decides everything.
        style: "json", "yaml", "lines", "table", "binary", "safetensors", "archive" or "index".
        base: the content of a valid file.
    """
    if style in ("json", "yaml"):
        if rng.random() < 0.5:
            return bytewise(rng, base)
        case = structural(rng, json.loads(base) if style == "json" else yaml.safe_load(base), style)
        return dataclasses.replace(case, names=None, shows=None)
    kinds = {"lines": lines, "table": table, "binary": binary, "safetensors": safetensors, "archive": archive}
    return {**kinds, "index": index}[style](rng, base)
