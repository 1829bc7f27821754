"""Which clips of a data set train a network, which watch it, and which test it at the end."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from searchspace import Clip, ClipLike
from video import FolderSource, Source
from video.augmentation import Augmentation
from video.labelled import Labelled, digest
from video.source import Frames, check_request

TRAIN, WATCH, TEST = "train", "watch", "test"
FILES, JUDGED = "files", "judged"
"""Keys of a description: the digest of all files, whatever their parts, and that of those that test the network."""

Indices = npt.NDArray[np.int64]


class Selection:
    """A data set whose parts are chosen items of another's parts; a `video.Source`.

    Args:
        source: the other.
        chosen: for each part of this one, the parts of the other and the indices there, one after the other.
    """

    def __init__(self, source: Source, chosen: Mapping[str, Sequence[tuple[str, Indices]]]) -> None:
        self.source, self.chosen = source, chosen
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

    def at(self, clip: ClipLike) -> Selection:
        """See `video.Source`."""
        return Selection(self.source.at(clip), self.chosen)

    def augmented(self, augmentation: Augmentation) -> Selection:
        """See `video.Source`."""
        return Selection(self.source.augmented(augmentation), self.chosen)

    def share(self, processes: int) -> None:
        """See `video.Source`."""
        self.source.share(processes)

    def describe(self) -> dict[str, Any]:
        """See `video.Source`; the chosen numbers of clips are in it, and of files two digests."""
        return {**self.source.describe(), "chosen": dict(self.parts), **self._digests}

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


def select(source: Source, watch_clips: int | None) -> Selection:
    """Chooses clips for retraining: no part that trains is ever scored on.

    Where the data brings a validation set, it tests; of the rest everything trains, but on the built-in data, whose
    "rescoring" part watches. Without one, a fifth of the data (the part "rescoring") is kept from training to test.
    The best checkpoint of real videos is so chosen on clips that also test it, as is usual; the last one is not.

    Args:
        source: with the parts of a search.
        watch_clips: how many clips to watch the training on, 1 or more, evenly spread over their part; None for all.
    """
    sizes = source.parts
    built_in = source.kind == "motion"
    test = "val" if "val" in sizes else "rescoring"
    watch = "rescoring" if built_in else test
    train = ["weights"] if built_in else [part for part in ("weights", "controller", "rescoring") if part != test]
    count = sizes[watch] if watch_clips is None else min(watch_clips, sizes[watch])
    spread = np.unique(np.linspace(0, sizes[watch] - 1, count).round().astype(np.int64))
    return Selection(
        source,
        {
            TRAIN: [(part, np.arange(sizes[part])) for part in train],
            WATCH: [(watch, spread)],
            TEST: [(test, np.arange(sizes[test]))],
        },
    )
