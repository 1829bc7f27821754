"""What a data set lets one expect of a training before it starts: clips a class, and how well its test can tell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from controller.front import wilson
from searchspace.commands import command
from training.data_parts import TEST, TRAIN, Selection
from training.folds import FOLDS
from video.folder import FolderSource

WIDE = 0.1
"""Half the width of a test's interval from which on a cross-validation is offered."""


def expected(selection: Selection) -> list[str]:
    """Lines for the user: clips of each class to learn from, and how precise the test is.

    Args:
        selection: of labelled clips.
    """
    counts = np.bincount(selection.labels(TRAIN), minlength=len(selection.classes))
    few, many = int(counts.min()), int(counts.max())
    each = f"{few:,}" if few == many else f"{few:,} to {many:,}"
    tested = selection.parts[TEST]
    lines = [f"to learn from: {each} clips of each of {len(selection.classes)} classes"]
    if many >= 2 * few:
        lines[0] += f" (fewest of {selection.classes[int(counts.argmin())]!r})"
    width = half_width(tested)
    lines.append(f"to test: {tested:,} clips, so that an accuracy is known to +-{100 * width:.0f} points")
    source = selection.source
    if width > WIDE and selection.fold is None and isinstance(source, FolderSource) and "val" not in source.parts:
        count = min(FOLDS, len({group for part in source.parts for group in source.groups(part)}))
        lines[-1] += f"; {command('retrain', 'ARCH', folds=count)} tests by all {sum(source.parts.values()):,}"
    return lines


def half_width(clips: int) -> float:
    """Half of the 95 % interval of a share that so many clips estimate, at its widest (a share of one half)."""
    return 1.96 * math.sqrt(0.25 / clips)


def probed(found: Sequence[Mapping[str, Any]], weights: str | None) -> list[str]:
    """What linear classifiers make of the videos before anything is trained, a line each.

    Args:
        found: entries of probes.json (`training.run.formats.PROBED`).
        weights: whose features are judged; None for plain ones.
    """
    lines = []
    for one in found:
        name = f"weights {weights}" if one["features"] == "network" else one["features"]
        lines.append(f"a linear classifier on {name}: {counted_share(one)} ({one['how']})")
    return lines


def gained(
    found: Sequence[Mapping[str, Any]], correct: int, clips: int, who: str = "training", where: str = "the test part"
) -> list[str]:
    """Whether training gained over linear classifiers, on the same clips, a line each.

    Args:
        found: entries of probes.json (`training.run.formats.PROBED`).
        correct: clips that are right after training, of `clips`.
        clips: how many; entries of other clips are left out.
        who: gained, or did not.
        where: the clips are from.
    """
    lines = []
    for one in found:
        tested, name = one["tested"], one["features"]
        what = "the weights as they came" if name == "network" else name
        said = f"a linear classifier on {what} has {counted_share(tested)} of {where}"
        if tested["clips"] != clips:
            continue
        more = correct - tested["correct"]
        if more > 0:
            lines.append(f"{said}: {who} gained {more}")
        else:
            lines.append(f"{said}: {who} gained nothing over it")
    return lines


def counted_share(counted: Mapping[str, Any]) -> str:
    """Such as `58 of 60 (96.7 %, 88.6 to 99.1)`, with Wilson's interval at 95 %."""
    correct, clips = counted["correct"], counted["clips"]
    low, high = wilson(correct / clips, clips)
    percent, ends = 100 * correct / clips, f"{100 * float(low):.1f} to {100 * float(high):.1f}"
    return f"{correct:,} of {clips:,} ({percent:.1f} %, {ends})"
