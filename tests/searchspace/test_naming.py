"""Names of classes, runs and files: one spelling, text that every file holds, and limits that are those of readers."""

from __future__ import annotations

import json
import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchspace.layer_specs import MAX_NAME
from searchspace.naming import (
    MAX_CLASS_NAME,
    MAX_RUN_NAME,
    absolute,
    alike,
    check_classes,
    check_run_name,
    class_name,
    classes_alike,
    escaped,
    located,
)

LATIN = os.fsdecode(b"caf\xe9")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (LATIN, r"caf\xe9"),
        (os.fsdecode(b"clip\xff\xe9.mp4"), r"clip\xff\xe9.mp4"),
        ("café", "café"),
        ("two\nlines\x7f", r"two\x0alines\x7f"),
        ("next\x85line\u2028", r"next\u0085line\u2028"),
        ("\ud800", r"\ud800"),
        ("👨\u200d👩", "👨\u200d👩"),
    ],
)
def test_what_no_line_of_utf_8_holds_is_escaped(name: str, text: str) -> None:
    assert escaped(name) == text == escaped(text)
    assert json.loads(json.dumps(text, ensure_ascii=False).encode()) == text


@given(st.binary(min_size=1, max_size=20).filter(lambda name: not {0, 47} & set(name) and name not in (b".", b"..")))
def test_an_escaped_path_is_found_again(tmp_path_factory: pytest.TempPathFactory, name: bytes) -> None:
    file = tmp_path_factory.mktemp("names") / os.fsdecode(name)
    file.write_bytes(b"x")
    escaped(file).encode()
    assert located(escaped(file)) == file and located(file) == file


def test_a_path_that_looks_escaped_is_itself(tmp_path: Path) -> None:
    file = tmp_path / r"caf\xe9"
    file.write_bytes(b"x")
    assert located(file) == file
    assert located(tmp_path / r"gone\xe9\x00") == tmp_path / r"gone\xe9\x00"


def test_a_kept_path_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "a" / "b")
    monkeypatch.chdir(tmp_path)
    assert absolute("a/b") == str(tmp_path / "a" / "b") == absolute("./a/b/")
    assert absolute("link") == str(tmp_path / "link")
    assert absolute("link/..") == os.path.realpath(tmp_path / "a")  # not the folder that the link lies in
    (tmp_path / LATIN).mkdir()
    assert absolute(LATIN) == rf"{tmp_path}/caf\xe9" == absolute(r"caf\xe9")


@pytest.mark.parametrize(
    "name", ["café", unicodedata.normalize("NFD", "café"), " café", "café\t ", "\ufeffcafé\u200b", "\u200b \u00a0café"]
)
def test_spellings_of_one_class(name: str) -> None:
    assert class_name(name) == "café"


def test_what_tells_classes_apart() -> None:
    assert class_name("a  b_C") == "a  b_C" and alike("a  b_C ") == "a b c"
    assert classes_alike(["Riding_a bike", "run", "riding a Bike", "RUN", "sit"]) == [
        ("Riding_a bike", "riding a Bike"), ("run", "RUN"),
    ]  # fmt: skip


def test_limits_of_classes() -> None:
    check_classes(["a" * MAX_CLASS_NAME, "👨\u200d👩", r"caf\xe9"], "here")
    for names, said in (
        (["b", "a" * 201], "here: the name of class 'aaaa.* has 201 characters; allowed: at most 200; shorten it"),
        ([""], "here has a class without a name"),
        (["a\nb"], r"here: class 'a\\nb' holds what is no text of one line"),
        ([LATIN], r"class 'caf\\udce9' holds what is no text"),
        ([str(i) for i in range(100_001)], "has 100,001 classes; allowed: at most 100,000"),
        ([f"{i:0200}" for i in range(20_001)], "take 4,000,200 bytes; allowed: at most 4,000,000"),
    ):
        with pytest.raises(ValueError, match=said):
            check_classes(names, "here")


@pytest.mark.parametrize("name", ["first-try", "a b", "it's", "$x$", "Ünï", "-x", "1e-3", "ü" * MAX_RUN_NAME])
def test_run_names(name: str) -> None:
    check_run_name(name)
    assert len(f"{name}-1234567M-x16") <= MAX_NAME


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "single folder name"),
        ("a/b", "single folder name"),
        ("..", "single folder name"),
        (".hidden", "single folder name"),
        ("two\nlines", r"'two\\nlines' holds a line break"),
        ("a\u200bb", r"'a\\u200bb' holds a line break, a character without width"),
        ("a\u00a0b", "allowed: printable text"),
        (LATIN, r"'caf\\udce9' holds"),
        ("a" * 101, "has 101 characters"),
        ("a" * 198, "allowed: at most 100"),
        ("漢" * 90, "90 characters \\(270 bytes\\)"),
    ],
)
def test_run_names_that_a_reader_would_refuse(name: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        check_run_name(name)
    str(caught.value).encode()
