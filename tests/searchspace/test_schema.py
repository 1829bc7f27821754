"""Files that people write: strict reading, bounded, and writing that survives a crash."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from searchspace import schema
from searchspace.schema import Fields, dump_yaml, parse_json, parse_yaml, plain, read_text, show, write_atomically
from tests.searchspace.util import USERS, read

# --------------------------------------------------------------------------------------------------------------- JSON


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "f: key 'c' stands twice; remove one"),
        ('{"a\\nb": 1, "a\\nb": 2}', "f: key 'a\\nb' stands twice"),
        ('{"a": NaN}', "f: key 'a' is nan; allowed: finite numbers"),
        ('{"a": {"b": [1, [-Infinity]]}}', "f: key 'b' is -inf; allowed: finite numbers"),
        ('{"a": 1e999}', "f: key 'a' is inf"),
        ('{"a": ' + "9" * 5000 + "}", "f: key 'a' is inf"),
        ("{", "f: not JSON at line 1, column 2"),
        ("", "f: not JSON at line 1, column 1"),
        ('{"a": 1}\n{"a": 1}', "f: not JSON at line 2, column 1: Extra data"),
        ("[" * 100_000, "f: nested too deeply"),
        ('{"a":' * 100_000, "f: nested too deeply"),
        ('"' + "a" * 2_000_000 + '"', "f: over 1,000,000 characters"),
    ],
)
def test_json_that_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_json(text, "f")
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


def test_json_numbers() -> None:
    assert parse_json('[1, -2, 1.5, 1e3, true, null, "é"]', "f") == [1, -2, 1.5, 1000.0, True, None, "é"]
    seed = 2**120
    assert parse_json(str(seed), "f") == seed
    assert parse_json("1" * 40, "f") == float("1" * 40), "what 128 bits cannot hold is a float"


# --------------------------------------------------------------------------------------------------------------- YAML


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: {c: 1, c: 2}\n", "f: line 2: key 'c' stands twice; remove one"),
        ("a: &x [1]\nb: *x\n", "f: line 2: aliases (*name) are not allowed; write the value out"),
        ("a: !!python/object/apply:os.system [ls]\n", "f: not YAML at line 1, column 4: could not determine"),
        ("a: [1\n", "f: not YAML at line 2, column 1"),
        ("a: 1\n--- \nb: 1\n", "f: not YAML at line 2, column 1"),
        ("a: \x01\n", "f: not YAML"),
        ("\tb: 1", "f: not YAML at line 1"),
        ("? [1]\n: 2\n", "f: line 1: a key is a list or a mapping; keys must be text"),
        ("a: 2001-99-99\n", "f: line 1: '2001-99-99' cannot be read as 'timestamp'; quote it if it is text"),
        ("a: !!int x\n", "f: line 1: 'x' cannot be read as 'int'"),
        ("a: !!binary é\n", "f: line 1: 'é' cannot be read as 'binary'"),
        ("a: !thing x\n", "f: line 1: 'x' cannot be read as '!thing'"),
        ("a: !!float x\n", "f: line 1: 'x' cannot be read as 'float'"),
        ("a: !!bool x\n", "f: line 1: 'x' cannot be read as 'bool'"),
        ("a: !!timestamp x\n", "f: line 1: 'x' cannot be read as 'timestamp'"),
        ("a: 0b_\n", "f: line 1: '0b_' cannot be read as 'int'"),
        ("a: " + "9" * 5000 + "\n", "f: line 1: '9999"),
        ("a: 0x" + "f" * 10_000 + "\n", "f: line 1: '0xfff"),
        ("a: 1" + ":1" * 10_000 + "\n", "f: line 1: '1:1:1"),
        ("[" * 30_000, "f: nested too deeply"),
        ("- " * 15_000, "f: nested too deeply"),
        ("a: 1\nb: {c: [[{d: " + "[" * 30 + "]" * 30 + "}]]}", "f: key 'd' is nested too deeply"),
        ("#" * 50_000, "f: over 40,000 characters"),
    ],
)
def test_yaml_that_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_yaml(text, "f")
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("text", ["1e-3", "5E4", "-2e+1", "+.5e3", "1.e-2", "0.25", "12e0"])
def test_yaml_reads_the_numbers_that_python_reads(text: str) -> None:
    assert parse_yaml(f"lr: {text}", "f") == {"lr": float(text)}
    assert parse_yaml(f"lr: '{text}'", "f") == {"lr": text}  # quoted, it is text


@pytest.mark.parametrize("text", ["1e-3", "5E4", "1e", "e3", "1e-3x", "-e2", "1.5.e3", "no", "0x1f", "1_000"])
def test_text_that_looks_like_a_number_survives_its_file(text: str) -> None:
    assert parse_yaml(dump_yaml({"name": text, "lr": 1e-05}), "f") == {"name": text, "lr": 1e-05}


def test_a_billion_laughs() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 60)]
    with pytest.raises(ValueError, match="aliases"):
        parse_yaml("\n".join(lines), "f")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: mine", "name: ''\nnmae: x", "s.yaml: unknown key 'nmae'; did you mean 'name'?"),
        ("clip: 12x90x70@12.5", "clip: 12x90", "s.yaml.clip '12x90': write frames x height x width"),
        ("classes: 17", "classes: 1e3", "s.yaml.classes is 1000.0; allowed: a whole number from 1 to 1000000"),
        ("classes: 17", "classes: .nan", "s.yaml.classes is nan; allowed: a whole number"),
        ("kernel: 1x5x5}", "kernel: 3x5x5}", "s.yaml.stem.kernel is '3x5x5'; allowed: a spatial kernel"),
        ("depth: [2, 5, 3]", "depth: [2, 1000000000]", "s.yaml.choices.depth is 1000000000; allowed: whole numbers"),
        ("depth: [2, 5, 3]", "depth: [2, 0]", "s.yaml.choices.depth is 0; allowed: whole numbers from 1 to 64"),
        ("depth: [2, 5, 3]", "depth: 5", "s.yaml.choices.depth is 5; allowed: a list of 1 to 36 items"),
        ("depth: [2, 5, 3]\n", "\n", "s.yaml.blocks[1]: key 'depth' is missing, here and in s.yaml.choices"),
        ("depth: [2, 5, 3]", "depht: [2, 5, 3]", "s.yaml.choices: unknown key 'depht'; did you mean 'depth'?"),
        ("se: [true]", "se: [true, 1]", "s.yaml.choices.se is 1; allowed: true and false"),
        ("[1x3x3, 9x1x1]", "[1x3x3, 9x1]", "s.yaml.blocks[1].kernel '9x1': write frames x height x width"),
        ("[1x3x3, 9x1x1]", "[1x3x3, 9x2x1]", "s.yaml.blocks[1].kernel 9x2x1: each length must be odd"),
        ("expansion: [1, 3, 6]", "expansion: [1, -3]", "s.yaml.choices.expansion holds -3; allowed: numbers above 0"),
        ("expansion: [1, 3, 6]", "expansion: [1, .nan]", "s.yaml.choices.expansion holds nan; allowed: numbers above"),
        ("multipliers: [1, 2]", "multipliers: [1, 50]", "s.yaml.head.multipliers holds 50; allowed: numbers above 0"),
        ("stride: 1,", "stride: 0,", "s.yaml.blocks[0].stride is 0; allowed: a whole number from 1 to 2"),
        ("stride: 1,", "stride: 1, hidden: 3,", "s.yaml.blocks[0]: unknown key 'hidden'"),
        ("hidden: 300", "hidden: 0", "s.yaml.head.hidden is 0; allowed: a whole number from 1 to 16384"),
        ("head: {", "drop_path: 1\nhead: {", "s.yaml.drop_path is 1; allowed: a number from 0 to 0.99"),
        ("blocks:", "1: 2\nblocks:", "s.yaml: key 1 is not text; quote it"),
    ],
)
def test_mistakes_in_a_space(old: str, new: str, message: str) -> None:
    assert old in USERS
    with pytest.raises(ValueError) as caught:
        read(USERS.replace(old, new, 1), "s.yaml")
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


def test_too_many_different_layers() -> None:
    kernels = ", ".join(f"{t}x{h}x{w}" for t in (1, 3, 5) for h in (1, 3, 5) for w in (1, 3, 5))
    ratios = ", ".join(str(i) for i in range(1, 37))
    text = USERS.replace("[3x5x5, 1x1x1, 1x9x9]", f"[{kernels}]").replace("[1, 3, 6]", f"[{ratios}]")
    text = text.replace("[0.5, 1, 1.5]", "[1, 2, 3, 4, 5]")
    with pytest.raises(ValueError, match=r"blocks\[0\] offers 5 widths and \d+ different layers; allowed: .* 20,000"):
        read(text.replace("width: 16", "width: 40"))


# ------------------------------------------------------------------------------------------------------------- fields


def test_done_names_the_key_and_the_nearest() -> None:
    fields = Fields({"width": 3, "hiden": 4}, "f.head")
    fields.integer("width", 1, 9)
    fields.integer("hidden", 1, 9, 5)
    with pytest.raises(
        ValueError, match=r"^f.head: unknown key 'hiden'; did you mean 'hidden'\? \(known: hidden, width\)$"
    ):
        fields.done()


def test_booleans() -> None:
    fields = Fields({"a": True, "b": "yes"}, "f")
    assert fields.boolean("a") is True and fields.boolean("c", False) is False
    with pytest.raises(ValueError, match=r"^f.b is 'yes'; allowed: true or false$"):
        fields.boolean("b")


def test_values_in_errors_are_short() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert show(deep) == "a list too large to print"
    assert show(10**10_000) == "a int too large to print"
    assert len(show("x" * 10**6)) == 60 and show("a\nb") == "'a\\nb'"
    while deep:  # taken apart by hand: freeing it in one go would recurse as deep
        deep = deep[0]  # type: ignore[assignment]


def test_plain_data_is_copied() -> None:
    data = {"a": (1, [2.5, None]), "b": {"c": True}}
    copied = plain(data, "f")
    assert copied == {"a": [1, [2.5, None]], "b": {"c": True}} and copied["b"] is not data["b"]
    nested: object = 1
    for _ in range(20):
        nested = [nested]
    with pytest.raises(ValueError, match="nested too deeply; at most 8 levels"):
        plain(nested, "f")


# -------------------------------------------------------------------------------------------------------------- files


def test_reading_is_bounded(tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(b"a" * 1_000_001)
    with pytest.raises(ValueError, match="large is over 1,000,000 bytes, too large for any space YAML file"):
        read_text(large, "space YAML")
    if Path("/dev/zero").exists():
        with pytest.raises(ValueError, match="/dev/zero is over 1,000,000 bytes"):
            read_text("/dev/zero", "space YAML")


def test_reading_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"text",))
    writer.start()
    assert read_text(pipe, "arch.json") == "text"
    writer.join()


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes("é".encode("latin-1"))
    with pytest.raises(ValueError, match=r"latin is not UTF-8 text, so no arch.json file"):
        read_text(tmp_path / "latin", "arch.json")
    with pytest.raises(ValueError, match=r"is a folder; give the path of the arch.json file"):
        read_text(tmp_path, "arch.json")
    with pytest.raises(ValueError, match=r"cannot be read: File name too long"):
        read_text("x" * 5000, "arch.json")
    with pytest.raises(ValueError, match=r"cannot be read: Not a directory"):
        read_text(tmp_path / "latin" / "more", "arch.json")


def test_writing_replaces(tmp_path: Path) -> None:
    file = tmp_path / "file"
    write_atomically(file, "old")
    write_atomically(file, "new é")
    assert file.read_text(encoding="utf-8") == "new é" and list(tmp_path.iterdir()) == [file]
    write_atomically(file, b"\x00\xff")
    assert file.read_bytes() == b"\x00\xff"


@pytest.mark.parametrize("call", ["replace", "fsync", "chmod"])
def test_a_crash_while_writing_leaves_the_old_file(call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    write_atomically(file, "old")

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(schema.os, call, crash)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(file, "new")
    monkeypatch.undo()
    assert file.read_text() == "old" and list(tmp_path.iterdir()) == [file], "the old content, and no litter"
