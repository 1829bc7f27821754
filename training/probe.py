"""What weights know of some videos, at once: features, a linear classifier in closed form, judged on other groups."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from networks import Trained
from searchspace.naming import escaped, located
from training import linear
from training.data import scan_file
from training.features import PLAIN, Features, key_of, network_features, plain_features, read_features
from training.folds import Indices, folds
from training.progress import Progress, Silent
from training.scores import Scores
from video.labelled import Labelled, both_sides
from video.split import groups_of

FOLDS = 5


@dataclasses.dataclass(frozen=True, eq=False)
class Probed:
    """How good a linear classifier on some features is.

    Attributes:
        features: what it sees: a key of `training.features.PLAIN`, or "network".
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
    progress = progress or Silent()
    told = progress

    def looked(done: int, total: int) -> None:
        told.phase("looking through the videos", done, total)

    cache = scan_file(data, videos, part="probe", otherwise=Path())
    kept = None if cache == Path() else cache
    found = both_sides(located(data), videos, scan_cache=kept, workers=workers, progress=looked)
    groups = groups_of(found.below_class, group) if group is not None else [item.name for item in found.train]
    items = (*found.train, *found.val)
    labels = np.array([item.label for item in items], np.int64)
    train, val = len(found.train), len(found.val)
    if val:
        how = f"fitted on {train:,} training videos, judged on {val:,} validation videos"
        tests = [np.arange(train, train + val)]
    else:
        names = [str(name) for name in found.classes]
        tests = folds(labels.tolist(), groups, names, min(count, len(set(groups))))
        what = f"{len(set(groups)):,} groups" if group is not None else "each on its own"
        how = f"{len(tests)} folds of {train:,} videos ({what}), each judged by a classifier of the others"
    groups += [f"val {i}" for i in range(val)]
    kinds: list[tuple[str, str, Callable[[Labelled], Features]]] = []
    if trained is not None:
        kinds.append(("network", key_of(trained), network_features(trained)))
    kinds += [(name, name, plain_features(name)) for name in PLAIN]
    rows = []
    for name, key, features in kinds:

        def done(count: int, total: int, name: str = name) -> None:
            told.phase(f"features: {name}", count, total)

        place = None if kept is None else kept.with_name(f"features-{kept.stem[5:]}-{key.replace(' ', '-')}.npz")
        values = read_features(items, features, key=key, cache=place, progress=done)
        rows.append(Probed(name, _judged(values, labels, groups, tests, len(found.classes)), values.shape[1]))
    return ProbeResult(
        tuple(escaped(name) for name in found.classes),
        train,
        sum(map(len, tests)),
        how,
        tuple(rows),
        found.notes,
    )


def _judged(values: Features, labels: Indices, groups: list[str], tests: list[Indices], classes: int) -> Scores:
    """Answers on test videos, each by a classifier that was fitted on the others, of which none is a test video."""
    judged = np.sort(np.concatenate(tests))
    fixed = len(judged) < len(labels)  # a validation side: it is never fitted on
    answers = np.zeros((len(labels), classes), np.float32)
    for test in tests:
        rows = np.setdiff1d(np.arange(len(labels)), judged if fixed else test)
        classifier = linear.fit(np.asarray(values[rows], np.float64), labels[rows], classes, [groups[i] for i in rows])
        answers[test] = classifier.log_probabilities(np.asarray(values[test], np.float64))
    return Scores(labels[judged], answers[judged])
