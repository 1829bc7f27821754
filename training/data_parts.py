"""Which clips of a data set train a network, which watch it, and which test it at the end."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from searchspace import Clip, ClipLike
from searchspace.schema import show
from training.folds import folds
from video import FolderSource, Source
from video.augmentation import Augmentation
from video.labelled import Labelled, digest
from video.source import Frames, check_request
from video.split import split

TRAIN, WATCH, TEST = "train", "watch", "test"
FILES, JUDGED, FOLD = "files", "judged", "fold"
"""Keys of a description: the digest of all files, whatever their parts, that of those that test the network, and which
fold of a cross-validation they are."""

WATCH_SHARES = (0.1, 0.2)
"""Of the videos that do not test in a fold, the first that leaves every class on both sides: of few videos, one that
trains counts more than one that chooses a checkpoint."""

Indices = npt.NDArray[np.int64]
Pieces = list[tuple[str, Indices]]
"""Items of a source: parts and indices there, one after the other."""


@dataclasses.dataclass(frozen=True, order=True)
class Fold:
    """One of the folds of a cross-validation, written `2/5`.

    Attributes:
        number: from 1.
        count: how many there are.
    """

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Fold:
        """Reads `2/5`; raises `ValueError` for anything else."""
        match = re.fullmatch(r"([1-9]\d{0,3})/([1-9]\d{0,3})", text)
        if match is None or not int(match[1]) <= int(match[2]) or int(match[2]) < 2:
            raise ValueError(f"fold {show(text)} is not allowed: give a fold of how many, such as 2/5")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


class Selection:
    """A data set whose parts are chosen items of another's parts; a `video.Source`.

    Args:
        source: the other.
        chosen: for each part of this one, the parts of the other and the indices there, one after the other.
        fold: which fold of a cross-validation they are, if any.
    """

    def __init__(self, source: Source, chosen: Mapping[str, Pieces], fold: Fold | None = None) -> None:
        self.source, self.chosen, self.fold = source, chosen, fold
        self.parts: Mapping[str, int] = {
            part: sum(len(indices) for _, indices in pieces) for part, pieces in chosen.items()
        }

    @property
    def kind(self) -> str:
        """As the source's."""
        return self.source.kind

    @property
    def clip(self) -> Clip:
        """As the source's."""
        return self.source.clip

    @property
    def classes(self) -> tuple[str, ...]:
        """As the source's."""
        return self.source.classes

    def item(self, part: str, index: int, epoch: int = 0, training: bool = False, view: int = 0) -> tuple[Frames, int]:
        """See `video.Source`."""
        check_request(self, part, [index])
        own, place = self._find(part, index)
        return self.source.item(own, place, epoch, training, view)

    def batch(
        self, part: str, indices: Sequence[int], epoch: int = 0, training: bool = False, view: int = 0
    ) -> tuple[Frames, Indices]:
        """See `video.Source`; items of one part of the source are asked for together."""
        check_request(self, part, indices)
        found = [self._find(part, index) for index in indices]
        frames: list[Frames | None] = [None] * len(found)
        labels = np.zeros(len(found), np.int64)
        for own in dict.fromkeys(name for name, _ in found):
            rows = [i for i, (name, _) in enumerate(found) if name == own]
            some, theirs = self.source.batch(own, [found[i][1] for i in rows], epoch, training, view)
            if len(rows) == len(found):
                return some, theirs
            labels[rows] = theirs
            for row, clip in zip(rows, some, strict=True):
                frames[row] = clip
        return np.stack([clip for clip in frames if clip is not None]), labels

    def labels(self, part: str) -> Indices:
        """See `video.Source`."""
        check_request(self, part, ())
        return np.concatenate([self.source.labels(own)[indices] for own, indices in self.chosen[part]])

    def groups(self, part: str) -> list[str]:
        """The group of each item of a part; of rendered clips each has its own."""
        check_request(self, part, ())
        found: list[str] = []
        for own, indices in self.chosen[part]:
            if isinstance(self.source, FolderSource):
                theirs = self.source.groups(own)
                found += [theirs[index] for index in indices]
            else:
                found += [f"{own} {index}" for index in indices]
        return found

    def at(self, clip: ClipLike) -> Selection:
        """See `video.Source`."""
        return Selection(self.source.at(clip), self.chosen, self.fold)

    def augmented(self, augmentation: Augmentation) -> Selection:
        """See `video.Source`."""
        return Selection(self.source.augmented(augmentation), self.chosen, self.fold)

    def share(self, processes: int) -> None:
        """See `video.Source`."""
        self.source.share(processes)

    def describe(self) -> dict[str, Any]:
        """See `video.Source`; the chosen numbers of clips are in it, and of files two digests."""
        fold = {} if self.fold is None else {FOLD: str(self.fold)}
        return {**self.source.describe(), "chosen": dict(self.parts), **fold, **self._digests}

    @functools.cached_property
    def _digests(self) -> dict[str, str]:
        every = [file for part in self.source.parts for file in files_of(self.source, part)]
        if not every:
            return {}
        judged = {JUDGED: digest(files_of(self, TEST))} if TEST in self.chosen else {}
        return {FILES: digest(sorted(every, key=lambda file: file.name)), **judged}

    def _find(self, part: str, index: int) -> tuple[str, int]:
        for own, indices in self.chosen[part]:
            if index < len(indices):
                return own, int(indices[index])
            index -= len(indices)
        raise AssertionError("check_request lets no such index through")


def files_of(source: Source, part: str) -> tuple[Labelled, ...]:
    """The files of a part of a data set, in order of index; none of what is rendered."""
    if isinstance(source, Selection):
        chosen = [(files_of(source.source, own), indices) for own, indices in source.chosen[part]]
        return tuple(files[int(index)] for files, indices in chosen if files for index in indices)
    return source.videos(part) if isinstance(source, FolderSource) else ()


def select(source: Source, watch_clips: int | None, fold: Fold | None = None) -> Selection:
    """Chooses clips for retraining: what trains is never scored, and what tests decides nothing.

    Where the data brings a validation set, that tests; of the rest a fifth (the part "rescoring") watches the training:
    it chooses the best checkpoint, and when to stop. Without a validation set "rescoring" tests and "controller"
    watches. In a fold of a cross-validation the groups of the fold test, and a tenth of the others watches, a fifth
    where a tenth would lack a class.

    Args:
        source: with the parts of a search.
        watch_clips: how many clips to watch the training on, 1 or more, evenly spread over their part; None for all.
        fold: of a folder of videos without a validation set.

    Raises:
        ValueError: data that cannot be cut into such folds; says why.
    """
    sizes = source.parts

    def whole(*parts: str) -> Pieces:
        return [(part, np.arange(sizes[part])) for part in parts]

    if fold is not None:
        chosen = _of_fold(source, fold)
    elif "val" in sizes:
        # Built-in data has as many clips as one asks for in "weights".
        train = whole("weights") if source.kind == "motion" else whole("weights", "controller")
        chosen = {TRAIN: train, WATCH: whole("rescoring"), TEST: whole("val")}
    else:
        chosen = {TRAIN: whole("weights"), WATCH: whole("controller"), TEST: whole("rescoring")}
    return Selection(source, {**chosen, WATCH: _thinned(chosen[WATCH], watch_clips)}, fold)


def _of_fold(source: Source, fold: Fold) -> dict[str, Pieces]:
    if not isinstance(source, FolderSource):
        raise ValueError("folds are for videos; the built-in data renders as many test clips as one asks for")
    if "val" in source.parts:
        raise ValueError(
            "the data has a validation side, which is what tests; leave the folds out, or give the training side alone"
        )
    found = [
        (name, part, index, label, group)
        for part in source.parts
        for index, (name, label, group) in enumerate(
            zip(source.names(part), source.labels(part).tolist(), source.groups(part), strict=True)
        )
    ]
    found.sort()  # not by part, which depends on the seed
    labels, groups = [item[3] for item in found], [item[4] for item in found]
    test = folds(labels, groups, source.classes, fold.count)[fold.number - 1]
    rest = np.setdiff1d(np.arange(len(found)), test)
    inner = _watched([labels[i] for i in rest], [groups[i] for i in rest], source)
    rows = {TRAIN: rest[inner[TRAIN]], WATCH: rest[inner[WATCH]], TEST: test}
    return {key: _pieces([(found[i][1], found[i][2]) for i in chosen]) for key, chosen in rows.items()}


def _watched(labels: Sequence[int], groups: Sequence[str], source: FolderSource) -> dict[str, list[int]]:
    few, more = ({TRAIN: 1.0 - share, WATCH: share} for share in WATCH_SHARES)
    try:
        return split(labels, groups, source.classes, source.seed, few)
    except ValueError:
        return split(labels, groups, source.classes, source.seed, more)


def _thinned(pieces: Pieces, count: int | None) -> Pieces:
    """So many items of all, evenly spread."""
    items = [(part, int(index)) for part, indices in pieces for index in indices]
    if count is None or count >= len(items):
        return pieces
    return _pieces([items[i] for i in np.unique(np.linspace(0, len(items) - 1, count).round().astype(np.int64))])


def _pieces(items: Sequence[tuple[str, int]]) -> Pieces:
    return [
        (part, np.sort(np.array([index for own, index in items if own == part], np.int64)))
        for part in dict.fromkeys(part for part, _ in items)
    ]
