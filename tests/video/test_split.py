"""The split by groups: whole groups, every class everywhere, shares near their targets, and what is refused."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from video.split import FRACTIONS, groups_of, split

CLASSES = ("run", "sit", "wave")


def test_every_video_is_in_exactly_one_part_and_shares_are_met() -> None:
    labels = [0] * 100 + [1] * 50 + [2] * 10
    groups = [f"v{i}" for i in range(160)]
    parts = split(labels, groups, CLASSES, seed=0)
    assert sorted(i for chosen in parts.values() for i in chosen) == list(range(160))
    for part, chosen in parts.items():
        for label, total in Counter(labels).items():
            assert abs(sum(labels[i] == label for i in chosen) - FRACTIONS[part] * total) <= 1
    assert split(labels, groups, CLASSES, seed=0) == parts
    assert split(labels, groups, CLASSES, seed=1) != parts


def test_the_order_of_the_files_does_not_matter() -> None:
    videos = [(f"p{i % 12}", i % 3) for i in range(90)]
    shuffled = random.Random(0).sample(range(90), 90)
    one = split([label for _, label in videos], [group for group, _ in videos], CLASSES, 5)
    two = split([videos[i][1] for i in shuffled], [videos[i][0] for i in shuffled], CLASSES, 5)
    assert {part: {videos[i][0] for i in chosen} for part, chosen in one.items()} == {
        part: {videos[shuffled[i]][0] for i in chosen} for part, chosen in two.items()
    }


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 2)), min_size=30, max_size=120), st.integers(0, 3))
def test_groups_stay_whole_and_classes_are_everywhere(videos: list[tuple[int, int]], seed: int) -> None:
    labels, groups = [label for _, label in videos], [str(person) for person, _ in videos]
    try:
        parts = split(labels, groups, CLASSES, seed)
    except ValueError as error:
        assert "every class in every part" in str(error) or "at least 3" in str(error)
        return
    home: dict[str, str] = {}
    for part, chosen in parts.items():
        assert {labels[i] for i in chosen} == {0, 1, 2}
        for i in chosen:
            assert home.setdefault(groups[i], part) == part


def test_three_videos_of_a_class_are_enough_and_two_are_not() -> None:
    parts = split([0, 0, 0, 1, 1, 1], list("abcdef"), ("run", "sit"), 0)
    assert all(len(chosen) == 2 for chosen in parts.values())
    with pytest.raises(ValueError, match=r"class 'sit' has 2 usable videos: at least 3 videos"):
        split([0, 0, 0, 1, 1], list("abcde"), ("run", "sit"), 0)
    with pytest.raises(ValueError, match=r"class 'sit' has 0 usable videos"):
        split([0, 0, 0], list("abc"), ("run", "sit"), 0)
    with pytest.raises(ValueError, match=r"class 'sit' has 4 usable videos in 2 groups: at least 3 groups"):
        split([0, 0, 0, 1, 1, 1, 1], list("abcaabb"), ("run", "sit"), 0)


def test_impossible_groups_are_refused_with_the_class_and_the_part() -> None:
    # The first class puts a, b, c into different parts, the second then d to c, which the third forbids.
    labels = [0, 0, 0, 1, 1, 1, 2, 2, 2]
    groups = ["a", "b", "c", "a", "b", "d", "a", "c", "d"]
    with pytest.raises(ValueError, match="would lack class"):
        split(labels, groups, CLASSES, 0)


def test_group_pattern() -> None:
    assert groups_of(["s01_t1.mp4", "x/s02_t1.mp4"], r"s(\d+)") == ["01", "02"]
    assert groups_of(["cam1_s01.mp4"], r"cam(\d)_s(\d+)") == ["1/01"]
    assert groups_of(["a", "b"], None) == ["a", "b"]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("s(", "not a regular expression"), (r"s\d+", "round brackets"), (r"g(\d+)", "does not match 's01.mp4'")],
)
def test_bad_group_patterns_are_refused(pattern: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        groups_of(["s01.mp4"], pattern)
