"""Folds: whole groups, each video tested once, every class to train on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.folds import folds

CLASSES = ("a", "b", "c")


def test_recordings_with_all_classes_are_taken_in_the_order_of_their_numbers() -> None:
    groups = [f"seq{number}" for number in (10, 9, 8, 7, 6, 5, 4, 3, 2, 1) for _ in CLASSES]
    labels = [label for _ in range(10) for label in range(3)]
    found = folds(labels, groups, CLASSES, 5)
    tested = [{groups[i] for i in test} for test in found]
    assert tested == [{f"seq{k}", f"seq{k + 1}"} for k in (1, 3, 5, 7, 9)]


def test_a_video_more_or_less_of_a_class_does_not_change_the_order() -> None:
    """As in UT-Interaction, where one recording has an interaction twice and another lacks it."""
    groups = [f"seq{number}" for number in range(1, 11) for _ in CLASSES]
    labels = [label for _ in range(10) for label in range(3)]
    labels[5 * 3 + 2 :] = [*labels[5 * 3 + 3 :], 2]
    groups[5 * 3 + 2 :] = [*groups[5 * 3 + 3 :], "seq8"]
    tested = [{groups[i] for i in test} for test in folds(labels, groups, CLASSES, 5)]
    assert tested == [{f"seq{k}", f"seq{k + 1}"} for k in (1, 3, 5, 7, 9)]


def test_videos_on_their_own_spread_their_classes_evenly() -> None:
    labels = [0] * 20 + [1] * 10 + [2] * 5
    found = folds(labels, [f"{CLASSES[label]}/{i}.mp4" for i, label in enumerate(labels)], CLASSES, 5)
    for test in found:
        assert [int((np.array(labels)[test] == label).sum()) for label in range(3)] == [4, 2, 1]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 8)), min_size=30, max_size=80), st.integers(2, 5))
def test_each_video_is_tested_once_and_groups_stay_whole(videos: list[tuple[int, int]], count: int) -> None:
    labels, groups = [label for label, _ in videos], [f"g{group}" for _, group in videos]
    try:
        found = folds(labels, groups, CLASSES, count)
    except ValueError as error:
        assert "allowed: from 2 to" in str(error) or "to train on" in str(error)
        return
    assert sorted(np.concatenate(found).tolist()) == list(range(len(labels))) and len(found) == count
    where = [{fold for fold, test in enumerate(found) for i in test if groups[i] == name} for name in set(groups)]
    assert all(len(places) == 1 for places in where)
    for test in found:
        assert len(test) and {label for i, label in enumerate(labels) if i not in test} == {0, 1, 2}


def test_a_class_in_a_single_group_is_named() -> None:
    labels, groups = [0, 1, 0, 1, 2, 2], ["x", "x", "y", "y", "z", "z"]
    with pytest.raises(ValueError, match=r"leaves no video of class 'c' to train on.*finer group pattern"):
        folds(labels, groups, CLASSES, 3)
    with pytest.raises(ValueError, match="4 folds of 3 groups of videos; allowed: from 2 to 3"):
        folds(labels, groups, CLASSES, 4)
