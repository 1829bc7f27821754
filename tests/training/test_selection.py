"""Which clips train, watch and test: never the same ones where it matters, and the right ones by index."""

import shutil

import numpy as np
import pytest

from searchspace import Clip
from tests.video.conftest import write
from training.data_parts import Fold, files_of, select
from video import FolderSource, MotionSource

CLIP = Clip(2, 8, 8, 5.0)


class Folder(MotionSource):
    """The built-in clips as if they lay in a folder, with or without a validation side."""

    kind = "folder"

    def __init__(self, val: bool) -> None:
        super().__init__(0, CLIP, sizes={"weights": 20, "controller": 7, "rescoring": 9, "val": 8})
        if not val:
            self.parts = {name: size for name, size in self.parts.items() if name != "val"}


@pytest.mark.parametrize(
    ("source", "sizes", "parts"),
    [
        (
            MotionSource(0, CLIP, sizes={"weights": 20, "rescoring": 9, "val": 8}),
            {"train": 20, "watch": 4, "test": 8},
            {"train": {"weights"}, "watch": {"rescoring"}, "test": {"val"}},
        ),
        (
            Folder(val=True),
            {"train": 27, "watch": 4, "test": 8},
            {"train": {"weights", "controller"}, "watch": {"rescoring"}, "test": {"val"}},
        ),
        (
            Folder(val=False),
            {"train": 20, "watch": 4, "test": 9},
            {"train": {"weights"}, "watch": {"controller"}, "test": {"rescoring"}},
        ),
    ],
)
def test_what_trains_is_never_scored(source, sizes, parts):
    selection = select(source, 4)
    assert dict(selection.parts) == sizes
    assert {part: {own for own, _ in pieces} for part, pieces in selection.chosen.items()} == parts
    assert selection.describe()["chosen"] == sizes


def test_items_are_those_of_the_source_and_come_in_the_order_asked_for():
    source = Folder(val=True)
    selection = select(source, None)
    expected = [("weights", 0), ("weights", 19), ("controller", 0), ("controller", 6)]
    asked = [0, 19, 20, 26]
    for order in (asked, asked[::-1], [26, 26, 0]):
        frames, labels = selection.batch("train", order)
        for frame, label, index in zip(frames, labels, order, strict=True):
            theirs, own = source.item(*expected[asked.index(index)])
            assert np.array_equal(frame, theirs) and label == own
            assert selection.item("train", index)[1] == own
    assert np.array_equal(selection.labels("train")[[20, 26]], source.labels("controller")[[0, 6]])
    with pytest.raises(IndexError, match="outside part 'train' of 27 clips"):
        selection.batch("train", [27])


def test_watched_clips_are_spread_over_their_part():
    chosen = select(Folder(val=True), 4).chosen["watch"][0][1]
    assert chosen.tolist() == [0, 3, 5, 8]


def test_choosing_clips_does_not_describe_the_data(monkeypatch):
    """A description hashes the whole list of files."""
    monkeypatch.setattr(Folder, "describe", lambda _: pytest.fail("described"))
    selection = select(Folder(val=True), 4)
    assert selection.kind == "folder"


@pytest.fixture(scope="module")
def people(tmp_path_factory) -> FolderSource:
    """Two classes of videos of seven people, of whom one has more."""
    root = tmp_path_factory.mktemp("people")
    for name in ("sit", "walk"):
        for person in range(7):
            for take in range(3 if person == 2 else 1):
                write(root / name / f"p{person}_{take}.mp4", 4)
    return FolderSource(root, CLIP, group=r"^(p\d)")


@pytest.mark.parametrize("seed", [0, 1])
def test_every_video_tests_one_fold_and_no_person_is_on_two_sides(people, seed):
    source = FolderSource(people.root, CLIP, seed, group=r"^(p\d)")
    tested = []
    for number in range(1, 4):
        selection = select(source, None, Fold(number, 3))
        names = {part: [file.name for file in files_of(selection, part)] for part in selection.parts}
        groups = {part: set(selection.groups(part)) for part in selection.parts}
        assert not groups["train"] & groups["watch"] and not (groups["train"] | groups["watch"]) & groups["test"]
        every = [name for part in names.values() for name in part]
        assert sorted(every) == sorted(name for part in source.parts for name in source.names(part))
        assert [name.split("/")[1].split("_")[0] for name in names["train"]] == selection.groups("train")
        assert all(set(selection.labels(part)) == {0, 1} for part in selection.parts)
        assert selection.describe()["fold"] == f"{number}/3" and selection.at(CLIP).fold == selection.fold
        tested += names["test"]
    assert sorted(tested) == sorted(set(tested)) and len(tested) == 18


def test_folds_do_not_depend_on_the_seed(people):
    other = FolderSource(people.root, CLIP, 5, group=r"^(p\d)")
    for number in range(1, 4):
        chosen = [{file.name for file in files_of(select(s, None, Fold(number, 3)), "test")} for s in (people, other)]
        assert chosen[0] == chosen[1]


def test_watched_videos_of_a_fold_may_be_fewer(people):
    selection = select(people, 2, Fold(1, 3))
    assert selection.parts["watch"] == 2 == len(files_of(selection, "watch"))


@pytest.mark.parametrize("text", ["", "0/5", "6/5", "1/1", "2", "2/5/6", "a/b", "1/99999", "-1/5", "1/5\n"])
def test_what_is_no_fold_is_refused(text):
    with pytest.raises(ValueError, match="is not allowed: give a fold of how many, such as 2/5"):
        Fold.parse(text)


def test_folds_of_what_has_none_are_refused(people):
    with pytest.raises(ValueError, match="folds are for videos"):
        select(Folder(val=False), None, Fold(1, 2))
    with pytest.raises(ValueError, match=r"8 folds of 7 groups of videos; allowed: from 2 to 7"):
        select(people, None, Fold(1, 8))
    (people.root / "train").mkdir()
    try:
        for name in ("sit", "walk"):
            (people.root / name).rename(people.root / "train" / name)
            write(people.root / "val" / name / "p9_0.mp4", 4)
        with pytest.raises(ValueError, match="the data has a validation side"):
            select(FolderSource(people.root, CLIP, group=r"^(p\d)"), None, Fold(1, 2))
    finally:
        shutil.rmtree(people.root / "val")
        for name in ("sit", "walk"):
            (people.root / "train" / name).rename(people.root / name)
        (people.root / "train").rmdir()
