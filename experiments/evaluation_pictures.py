"""Pictures of an evaluation, drawn from its tables: the confusion matrix, and the worst mistakes as a contact sheet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from searchspace.stored import read_table
from training.run import read_json
from training.run.evaluation_folders import RECORD, home, of_retraining
from training.run.formats import EVALUATION, JUDGED

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
        if row["class"] not in place or row["answer"] not in place:
            raise ValueError(f"{folder}: video {row['video']!r} has a class that the network lacks; restore its tables")
        counts[place[row["class"]], place[row["answer"]]] += 1
    title = f"{trained.network.architecture.name}, {first['protocol']}: {first['accuracy']:.1%} of {len(rows):,} videos"
    confusion.draw(counts, trained.classes, folder / CONFUSION, title)
    wrong = [row for row in rows if not row["correct"]]
    if not wrong or videos is None:
        return
    index = {name: i for i, name in enumerate(videos.names)}
    here = [row for row in wrong if row["video"] in index]
    if not here:
        return
    worst = sorted(here, key=lambda row: (row["class_probability"], index[row["video"]]))[:SHEET]
    found = [
        mistakes.Mistake(
            row["video"],
            (row["class"], row["class_probability"]),
            (row["answer"], row["probability"]),
            videos.clips(index[row["video"]], (CENTRE,))[0],
        )
        for row in worst
    ]
    mistakes.draw(found, folder / MISTAKES, f"the worst {len(found)} of {len(wrong):,} mistakes")


def _judged(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The first protocol of an evaluation, and its rows of videos that have a label and an answer."""
    first: dict[str, Any] = read_json(folder / RECORD, EVALUATION)["protocols"][0]
    file = folder / f"videos-{first['protocol']}.csv"
    rows = [row for row in read_table(file, JUDGED) if row["correct"] is not None]
    whole = all(row[name] is not None for row in rows for name in JUDGED)
    if not rows or not whole:
        raise ValueError(f"{file}: {'a row without an answer' if rows else 'no answers'}; restore it, or evaluate anew")
    return first, rows


def draw_missing(run: Path) -> None:
    """Draws what the own evaluation of a finished retraining lacks; without the videos, all but the contact sheet."""
    import networks
    from training.evaluation.evaluation_data import open_videos

    folder = of_retraining(run)
    if folder is None:
        return
    wanted = {CONFUSION, *(MISTAKES for row in _judged(folder)[1] if not row["correct"])}
    if all((folder / name).exists() for name in wanted):
        return
    trained = networks.load(run)
    try:
        videos, _ = open_videos(trained, home=home(trained.path))
    except ValueError:  # they are not there any more
        videos = None
    draw(folder, trained, videos)
