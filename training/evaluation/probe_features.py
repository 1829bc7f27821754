"""What weights know of some videos, at once: features, a linear classifier in closed form, judged on other groups."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from networks import Trained
from searchspace.naming import escaped, located
from training.data_parts import TEST, TRAIN, WATCH, Selection, files_of
from training.evaluation import linear
from training.evaluation.classification_scores import Scores
from training.evaluation.video_features import PLAIN, Features, key_of, network_features, plain_features, read_features
from training.folds import FOLDS, Indices, folds
from training.open_data import scan_file
from training.progress import Progress, Silent
from video.folder import FolderSource
from video.labelled import Labelled, both_sides
from video.split import groups_of

MOST_PROBED = 5_000
"""Videos that a training or a search looks at for its probes; each is a video more than an epoch would see."""

Told = Callable[[str, int, int], None]


@dataclasses.dataclass(frozen=True, eq=False)
class Probed:
    """How good a linear classifier on some features is.

    Attributes:
        features: what it sees: a key of `training.evaluation.video_features.PLAIN`, or "network".
        scores: of every test video, each from a classifier that saw no video of its group.
        dimensions: numbers that it sees of a video.
    """

    features: str
    scores: Scores
    dimensions: int


@dataclasses.dataclass(frozen=True, eq=False)
class ProbeResult:
    """What `probe` found.

    Attributes:
        classes: names.
        train: videos that classifiers are fitted on.
        test: videos that they are judged on.
        how: the protocol, in words.
        rows: one for each kind of features, the network's first.
        notes: what a user should know, one line each.
    """

    classes: tuple[str, ...]
    train: int
    test: int
    how: str
    rows: tuple[Probed, ...]
    notes: tuple[str, ...]


def probe(
    trained: Trained | None,
    data: str | Path,
    *,
    videos: str | Path | None = None,
    group: str | None = None,
    count: int = FOLDS,
    workers: int = 0,
    progress: Progress | None = None,
) -> ProbeResult:
    """Judges features by a linear classifier on them.

    With a validation side in the data, classifiers are fitted on the training side and judged on that; without, by
    cross-validation over whole groups. The penalty is chosen on training videos alone.

    Args:
        trained: the network; None for the plain features only.
        data: a folder with one sub-folder a class, or an annotation file.
        videos: the folder that the clips of an annotation file are below.
        group: regular expression that names the person or recording of a file; None lets every file go its own way.
        count: folds of the cross-validation.
        workers: processes for a look through the files.
        progress: of the look and the features.

    Raises:
        ValueError: no such data, a single class, or groups that leave a fold without a class.
    """
    told = progress or Silent()

    def looked(done: int, total: int) -> None:
        told.phase("looking through the videos", done, total)

    cache = scan_file(data, videos, otherwise=Path())
    kept = None if cache == Path() else cache
    found = both_sides(located(data), videos, scan_cache=kept, workers=workers, progress=looked)
    groups = groups_of(found.below_class, group) if group is not None else [item.name for item in found.train]
    names = tuple(escaped(name) for name in found.classes)
    asked = _Asked((*found.train, *found.val), (*groups, *(item.name for item in found.val)), names, len(found.val))
    tests, how = asked.protocol(count, grouped=group is not None)
    rows = []
    for features in (*_of_network(trained), *_plain()):
        values = asked.values(features, kept, told.phase)
        rows.append(Probed(features.name, asked.judged(values, tests), values.shape[1]))
    return ProbeResult(names, len(found.train), sum(len(test) for _, test in tests), how, tuple(rows), found.notes)


@dataclasses.dataclass(frozen=True, eq=False)
class Before:
    """What a linear classifier makes of the videos of a training.

    Attributes:
        features: as of `Probed`.
        how: the protocol of `scores`, in words.
        scores: by the protocol of `probe`, over all videos.
        tested: of the videos that test the training, by a classifier of all others that the training sees.
    """

    features: str
    how: str
    scores: Scores
    tested: Scores


def probe_selection(
    trained: Trained | None, selection: Selection, cache: Path | None, told: Told, plain: bool = False
) -> list[Before]:
    """Judges features on the videos of a training.

    Args:
        trained: the network; None for none.
        selection: of the videos of a folder.
        cache: the file of its scan; features are kept beside it. None keeps nothing.
        told: called with what is done, how many and of how many; may raise to stop.
        plain: judges what needs no network, too.

    Raises:
        ValueError: a video that does not decode, or has changed.
    """
    source = selection.source
    parts = sorted(source.parts, key=lambda part: part == "val")
    items = [item for part in parts for item in files_of(source, part)]
    assert isinstance(source, FolderSource)
    groups = [name for part in parts for name in source.groups(part)]
    asked = _Asked(tuple(items), tuple(groups), tuple(selection.classes), source.parts.get("val", 0))
    count = FOLDS if selection.fold is None else selection.fold.count
    tests, how = asked.protocol(count, grouped=source.group is not None)
    place = {item.name: i for i, item in enumerate(items)}
    test = np.array([place[item.name] for item in files_of(selection, TEST)], np.int64)
    others = [place[item.name] for part in (TRAIN, WATCH) for item in files_of(selection, part)]
    found = []
    for features in (*_of_network(trained), *(_plain() if plain else ())):
        values = asked.values(features, cache, told)
        tested = asked.judged(values, [(np.array(others), test)])
        found.append(Before(features.name, how, asked.judged(values, tests), tested))
    return found


def recorded(found: Sequence[Before]) -> list[dict[str, Any]]:
    """Plain data of `probe_selection`, for the files of a run (`training.run.formats.PROBED`)."""
    return [
        {"features": one.features, "how": one.how, **_counted(one.scores), "tested": _counted(one.tested)}
        for one in found
    ]


def _counted(scores: Scores) -> dict[str, int]:
    return {"correct": scores.correct, "clips": scores.clips}


@dataclasses.dataclass(frozen=True)
class _Features:
    name: str
    key: str
    of: Callable[[Labelled], Features]


def _of_network(trained: Trained | None) -> list[_Features]:
    return [] if trained is None else [_Features("network", key_of(trained), network_features(trained))]


def _plain() -> list[_Features]:
    return [_Features(name, name, plain_features(name)) for name in PLAIN]


@dataclasses.dataclass(frozen=True)
class _Asked:
    """Labelled videos, those of the validation side last."""

    items: tuple[Labelled, ...]
    groups: tuple[str, ...]
    classes: tuple[str, ...]
    val: int

    @property
    def labels(self) -> Indices:
        return np.array([item.label for item in self.items], np.int64)

    def protocol(self, count: int, grouped: bool) -> tuple[list[tuple[Indices, Indices]], str]:
        """Rows that a classifier is fitted on, and those that it is judged on; and that in words."""
        every = np.arange(len(self.items))
        train = len(every) - self.val
        if self.val:
            how = f"fitted on {train:,} training videos, judged on {self.val:,} validation videos"
            return [(every[:train], every[train:])], how
        names = len(set(self.groups))
        tests = folds(self.labels.tolist(), self.groups, self.classes, min(count, names))
        what = f"{names:,} groups" if grouped else "each on its own"
        how = f"{len(tests)} folds of {train:,} videos ({what}), each judged by a classifier of the others"
        return [(np.setdiff1d(every, test), test) for test in tests], how

    def values(self, features: _Features, cache: Path | None, told: Told) -> Features:
        """Features of every video, [N, D]."""

        def done(count: int, total: int) -> None:
            told(f"features: {features.name}", count, total)

        place = None
        if cache is not None:
            place = cache.with_name(f"features-{cache.stem[5:]}-{features.key.replace(' ', '-')}.npz")
        return read_features(self.items, features.of, key=features.key, cache=place, progress=done)

    def judged(self, values: Features, tests: list[tuple[Indices, Indices]]) -> Scores:
        """Answers on test videos, each by a classifier that was fitted on its other rows."""
        labels, answers = self.labels, []
        for rows, test in tests:
            groups = [self.groups[i] for i in rows]
            fitted = linear.fit(np.asarray(values[rows], np.float64), labels[rows], len(self.classes), groups)
            answers.append(fitted.log_probabilities(np.asarray(values[test], np.float64)))
        judged = np.concatenate([test for _, test in tests])
        order = np.argsort(judged)
        return Scores(labels[judged][order], np.concatenate(answers)[order])
