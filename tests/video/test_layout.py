"""Folders of classes, of splits, and what looks like one and is the other; files are empty, nothing is decoded."""

import os
import unicodedata
from pathlib import Path

import pytest

from video.layout import find_videos


def folder(root: Path, *files: str | bytes) -> Path:
    for file in files:
        path = os.path.join(os.fsencode(root), os.fsencode(file))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb"):
            pass
    return root


NFC, NFD = "caf\u00e9", "cafe\u0301"


def test_one_class_in_two_spellings(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", f"train/{NFC}/1.mp4", "train/a/1.mp4", f"val/{NFD}/2.mp4", "val/a /2.mp4")
    found = find_videos(root)
    assert found.classes == ("a", NFC) and found.notes == ()
    assert [(file.name, file.label) for file in found.val] == [("val/a/2.mp4", 0), (f"val/{NFC}/2.mp4", 1)]
    assert all((root / file.path).is_file() for file in (*found.train, *found.val))
    folder(root, f"train/{NFD}/0.mp4", f"train/{NFD}/3.mp4")
    again = find_videos(root)
    assert again.classes == found.classes
    assert [file.name for file in again.train if file.label] == [f"train/{NFC}/{i}.mp4" for i in (0, 1, 3)]
    assert again.notes == (f"2 folders of '{root / 'train'}' spell class '{NFC}', and are one",)


def test_the_order_of_files_is_that_of_their_names_as_text(tmp_path: Path) -> None:
    """A file system may hand back composed or decomposed letters: the split must not depend on it."""
    names = ["z.mp4", "e\u0301b.mp4", "ea.mp4", "\u00fc.mp4"]
    listed = []
    for form in ("NFC", "NFD"):
        root = folder(tmp_path / form, *(f"{c}/{unicodedata.normalize(form, name)}" for c in "ab" for name in names))
        listed.append([(file.name, file.below_class, file.label) for file in find_videos(root).train])
    assert listed[0] == listed[1] and len(listed[0]) == 8


def test_names_that_are_not_utf_8_travel_escaped(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", b"caf\xe9/clip\xff\xe9.mp4", b"caf\xe9/b.mp4", b"a/x.mp4")
    found = find_videos(root)
    assert found.classes == ("a", r"caf\xe9")
    assert [file.name for file in found.train] == ["a/x.mp4", r"caf\xe9/b.mp4", r"caf\xe9/clip\xff\xe9.mp4"]
    assert [(root / file.path).is_file() for file in found.train] == [True] * 3
    for file in found.train:
        (file.name + file.below_class).encode()


def test_only_a_test_or_validation_side(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", "test/a/1.mp4", "test/b/1.mp4", "val/a/2.mp4")
    found = find_videos(root)
    assert found.classes == ("a",) and [file.name for file in found.val] == ["val/a/2.mp4"] and not found.train
    assert found.notes == ("test beside 'val' stays unused",)
    with pytest.raises(ValueError, match=r"has no training videos, only those of val: put .* into train/CLASS"):
        found.check_training(root)
    alone = find_videos(folder(tmp_path / "alone", "Test/a/1.mp4", "Test/b/1.mp4"))
    assert alone.classes == ("a", "b") and alone.val_folder == "Test" and len(alone.val) == 2


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["train/1.mp4", "val/2.mp4"], r"holds a split without classes \(train, val\): put the videos of each class"),
        (["test/1.mp4"], "holds a split without classes"),
        (["one/train/a/1.mp4", "two/train/a/1.mp4"], "is one level too high: 'one' in it has a split .*give '.*/one'"),
        (["one/train/a/1.mp4"], "is one level too high: 'one'"),
        (["one/test/a/1.mp4", "one/val/a/1.mp4"], "is one level too high: 'one'"),
        (["a/train/1.mp4", "a/val/2.mp4", "b/train/1.mp4"], r"class folder '.*/a' holds a split .* above the classes"),
        (["a/1.mp4", "b/1.mp4", "val/a/2.mp4"], "has 'val' beside class folders \\(a, b\\): put those into train"),
        (["train/a/1.mp4", "val/b/1.mp4"], "validation class 'b' has no training folder"),
        (["train/a/1.mp4", "train/b/1.mp4", "val/1.mp4"], "has no files in class folders: fill or remove it"),
        ([f"{'a' * 201}/1.mp4", "b/1.mp4"], "name of class 'aaa.* has 201 characters; allowed: at most 200"),
        ([" \u200b/1.mp4", "b/1.mp4"], "has a class without a name"),
    ],
)
def test_folders_that_are_no_classes_are_told(tmp_path: Path, files: list[str], said: str) -> None:
    root = folder(tmp_path / "set", *files)
    with pytest.raises(ValueError, match=said) as caught:
        found = find_videos(root)
        found.check_training(root)
    assert "\n" not in str(caught.value)


def test_classes_with_a_name_of_a_side(tmp_path: Path) -> None:
    """A vehicle is a class, and a person's folder may have any name."""
    assert find_videos(folder(tmp_path / "a", "train/1.mp4", "bus/1.mp4")).classes == ("bus", "train")
    assert find_videos(folder(tmp_path / "b", "run/test/1.mp4", "run/s2/1.mp4", "sit/s1/1.mp4")).classes == (
        "run",
        "sit",
    )


def test_a_level_too_many_may_be_meant(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", *(f"{place}/{name}/1.mp4" for place in ("one", "two") for name in ("a", "b")))
    (note,) = find_videos(root).notes
    assert note.startswith("the classes are one, two, and each holds the same folders (a, b): ")
    assert note.endswith(f"give '{root / 'one'}'")
    only = find_videos(folder(tmp_path / "only", "train/x/a/1.mp4", "train/x/b/1.mp4"))
    with pytest.raises(ValueError, match=r"single class, 'x': .* \(the classes are x, and each holds .* \(a, b\)"):
        only.check_training("only")


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    root = folder(tmp_path / "set", "train/a/1.mp4", "train/b b/1.mp4", "train/B_b/1.mp4", "train/loose.mp4", "x/1.mp4")
    assert find_videos(root).notes == (
        "x beside 'train' are unused",
        f"1 files beside the class folders of '{root / 'train'}' are unused",
        "classes 'B_b' and 'b b' differ in case, blanks or underscores only, and count as two",
    )
