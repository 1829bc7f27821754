"""Which clips train, watch and test: never the same ones where it matters, and the right ones by index."""

import numpy as np
import pytest

from searchspace import Clip
from training.selection import select
from video import MotionSource

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
            {"train": 36, "watch": 4, "test": 8},
            {"train": {"weights", "controller", "rescoring"}, "watch": {"val"}, "test": {"val"}},
        ),
        (
            Folder(val=False),
            {"train": 27, "watch": 4, "test": 9},
            {"train": {"weights", "controller"}, "watch": {"rescoring"}, "test": {"rescoring"}},
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
    expected = [("weights", 0), ("weights", 19), ("controller", 0), ("controller", 6), ("rescoring", 0)]
    asked = [0, 19, 20, 26, 27]
    for order in (asked, asked[::-1], [26, 26, 0]):
        frames, labels = selection.batch("train", order)
        for frame, label, index in zip(frames, labels, order, strict=True):
            theirs, own = source.item(*expected[asked.index(index)])
            assert np.array_equal(frame, theirs) and label == own
            assert selection.item("train", index)[1] == own
    assert np.array_equal(selection.labels("train")[[20, 26]], source.labels("controller")[[0, 6]])
    with pytest.raises(IndexError, match="outside part 'train' of 36 clips"):
        selection.batch("train", [36])


def test_watched_clips_are_spread_over_their_part():
    chosen = select(Folder(val=True), 4).chosen["watch"][0][1]
    assert chosen.tolist() == [0, 2, 5, 7]


def test_choosing_clips_does_not_describe_the_data(monkeypatch):
    """A description hashes the whole list of files."""
    monkeypatch.setattr(Folder, "describe", lambda _: pytest.fail("described"))
    selection = select(Folder(val=True), 4)
    assert selection.kind == "folder"
