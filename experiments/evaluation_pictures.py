"""Pictures of an evaluation, drawn from its tables: the confusion matrix, and the worst mistakes as a contact sheet."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.evaluation_folders import RECORD, home, of_retraining
from training.run import read_json

if TYPE_CHECKING:
    from networks import Trained
    from video.asked import Videos

CONFUSION, MISTAKES = "confusion.png", "mistakes.png"

SHEET = 12
"""Mistakes that the contact sheet shows."""


def draw(folder: Path, trained: Trained, videos: Videos | None) -> None:
    """Draws the first protocol of an evaluation into its folder.

    Args:
        folder: of a finished evaluation.
        trained: the network that was judged.
        videos: what it was asked about; None leaves the contact sheet out.
    """
    import numpy as np

    from experiments.plots import confusion, mistakes
    from video.views import CENTRE

    first, rows = _judged(folder)
    place = {name: index for index, name in enumerate(trained.classes)}
    counts = np.zeros((len(place), len(place)), np.int64)
    for row in rows:
        counts[place[row["class"]], place[row["answer"]]] += 1
    title = f"{trained.network.architecture.name}, {first['protocol']}: {first['accuracy']:.1%} of {len(rows):,} videos"
    confusion.draw(counts, trained.classes, folder / CONFUSION, title)
    wrong = [row for row in rows if row["correct"] == "0"]
    if not wrong or videos is None:
        return
    index = {name: i for i, name in enumerate(videos.names)}
    worst = sorted(wrong, key=lambda row: (float(row["class_probability"]), index[row["video"]]))[:SHEET]
    found = [
        mistakes.Mistake(
            row["video"],
            (row["class"], float(row["class_probability"])),
            (row["answer"], float(row["probability"])),
            videos.clips(index[row["video"]], (CENTRE,))[0],
        )
        for row in worst
    ]
    mistakes.draw(found, folder / MISTAKES, f"the worst {len(found)} of {len(wrong):,} mistakes")


def _judged(folder: Path) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """The first protocol of an evaluation, and its rows of videos that have a label and an answer."""
    first: dict[str, Any] = read_json(folder / RECORD)["protocols"][0]
    with open(folder / f"videos-{first['protocol']}.csv", encoding="utf-8", newline="") as file:
        return first, [row for row in csv.DictReader(file) if row["correct"]]


def draw_missing(run: Path) -> None:
    """Draws what the own evaluation of a finished retraining lacks; without the videos, all but the contact sheet."""
    import networks
    from training.questions import open_videos

    folder = of_retraining(run)
    if folder is None:
        return
    wanted = {CONFUSION, *(MISTAKES for row in _judged(folder)[1] if row["correct"] == "0")}
    if all((folder / name).exists() for name in wanted):
        return
    trained = networks.load(run)
    try:
        videos, _ = open_videos(trained, home=home(trained.path))
    except ValueError:  # they are not there any more
        videos = None
    draw(folder, trained, videos)
