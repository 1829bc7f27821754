"""Folds of a cross-validation: whole groups, each once in the test part, every class in each training part."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]

FOLDS = 5
"""Of a cross-validation, where its user names no number."""


def folds(labels: Sequence[int], groups: Sequence[str], classes: Sequence[str], count: int) -> list[Indices]:
    """Test videos of each fold.

    Groups in the order of the numbers in their names are cut into runs of about as many videos: recordings 1 and 2, 3
    and 4, ... Where some fold would then have over one video of a class too many or too few, they are dealt out one by
    one, if that spreads the classes more evenly. Deterministic.

    Args:
        labels: of each video.
        groups: of each video.
        classes: names, for messages.
        count: how many folds.

    Raises:
        ValueError: fewer groups than folds, or a fold whose training videos lack a class.
    """
    names = sorted(set(groups), key=_natural)
    if not 2 <= count <= len(names):
        raise ValueError(f"{count} folds of {len(names)} groups of videos; allowed: from 2 to {len(names)}")
    plan = _runs(groups, names, count)
    if not _even(labels, groups, plan):
        dealt = _dealt(labels, groups, names, count)
        plan = min([plan, dealt], key=lambda chosen: _unevenness(labels, groups, chosen))
    found = [np.array([i for i, group in enumerate(groups) if plan[group] == fold], np.int64) for fold in range(count)]
    for fold, test in enumerate(found):
        left = {label for i, label in enumerate(labels) if i not in set(test.tolist())}
        lacking = [name for label, name in enumerate(classes) if label not in left]
        if lacking:
            raise ValueError(
                f"fold {fold + 1} of {count} leaves no video of class {lacking[0]!r} to train on: all of them are in "
                f"{len({groups[i] for i in test if labels[i] == classes.index(lacking[0])})} group(s) of it; give more "
                "folds, a finer group pattern, or leave the class out"
            )
    return found


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _runs(groups: Sequence[str], names: Sequence[str], count: int) -> dict[str, int]:
    sizes = Counter(groups)
    plan, done, total = {}, 0, len(groups)
    for i, name in enumerate(names):
        # By the middle of the group, and so that no fold stays empty.
        fold = min(int((done + sizes[name] / 2) * count / total), i)
        plan[name] = max(fold, count - (len(names) - i))
        done += sizes[name]
    return plan


def _dealt(labels: Sequence[int], groups: Sequence[str], names: Sequence[str], count: int) -> dict[str, int]:
    """Each group in turn to the fold that has least of its classes, and then least at all."""
    own = {name: Counter(label for label, group in zip(labels, groups, strict=True) if group == name) for name in names}
    order = sorted(names, key=lambda name: (-sum(own[name].values()), hashlib.sha256(name.encode()).digest()))
    have = [Counter[int]() for _ in range(count)]
    plan = {}
    for name in order:
        fold = min(
            range(count),
            key=lambda f: (sum(have[f][label] * n for label, n in own[name].items()), sum(have[f].values()), f),
        )
        plan[name] = fold
        have[fold].update(own[name])
    return plan


def _even(labels: Sequence[int], groups: Sequence[str], plan: dict[str, int]) -> bool:
    counts = Counter((label, plan[group]) for label, group in zip(labels, groups, strict=True))
    totals, folds_ = Counter(labels), len(set(plan.values()))
    return all(
        abs(counts[label, f] - n / folds_) <= 1 and counts[label, f] < n
        for label, n in totals.items()
        for f in range(folds_)
    )


def _unevenness(labels: Sequence[int], groups: Sequence[str], plan: dict[str, int]) -> float:
    counts = Counter((label, plan[group]) for label, group in zip(labels, groups, strict=True))
    totals, folds_ = Counter(labels), len(set(plan.values()))
    return sum((counts[label, f] - n / folds_) ** 2 / n for label, n in totals.items() for f in range(folds_))
