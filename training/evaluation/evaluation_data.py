"""Which videos a trained network is asked about, and which of its classes their labels are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import video
from networks import Trained
from searchspace.naming import alike, class_name, escaped, located
from searchspace.schema import nearest
from searchspace.stored import Each, Maybe, Whole, conform, naming
from training.data_parts import FOLD, JUDGED, TEST, Fold, files_of, select
from training.open_data import differences, scan_file
from training.progress import Progress, Silent
from video.asked import Files, Rendered, Videos
from video.labelled import Labelled, digest, labelled_videos, listing

MOTION = "motion"
"""What `--data` calls the built-in clips."""

SCAN = "evaluation-scan.json"

KNOWN = {
    "kind?": str,
    "root?": Maybe(str),
    "annotations?": Maybe(str),
    "seed?": Whole(0, 2**64 - 1),
    "group?": Maybe(str),
    "parts?": Each(Whole(1, 10_000_000)),
    "fold?": str,
    "recipe?": {"waves?": Whole(2, 10_000)},
}
"""What is read of the description of the data that a network was trained on."""


def open_videos(
    trained: Trained,
    data: str | None = None,
    videos: str | None = None,
    *,
    same: bool = False,
    home: Path | None = None,
    workers: int = 0,
    progress: Progress | None = None,
) -> tuple[Videos, list[str]]:
    """Opens labelled videos, with labels that are the network's classes.

    Args:
        trained: the network; without `data`, what it was validated on.
        data: a folder, an annotation file, or "motion".
        videos: the folder that the clips of an annotation file are below.
        same: refuse data that is not what the network was validated on, wherever it lies; always so without `data`.
        home: folder that keeps what a look through the files found where `training.open_data.scan_file` cannot; None
            keeps nothing.
        workers: processes for a look through the files.
        progress: of that look.

    Returns:
        The videos, and what a user should know, one line each.

    Raises:
        ValueError: no such data, none is known, it has changed where it must not, or classes that the network does
            not have.
    """
    progress = progress or Silent()
    known = conform(trained.data, KNOWN, f"{trained.path}: data")
    if data is None and not known:
        raise ValueError(f"{trained.path} does not say what it was trained on; give --data DIR, or --data {MOTION}")
    if data == MOTION or (data is None and known.get("kind") == MOTION):
        source = _motion(trained, known if known.get("kind") == MOTION else {})
        labels = match_classes(trained.classes, source.classes)
        return _relabelled(Rendered(source, "val"), labels), [f"built-in motion data, {source.parts['val']:,} clips"]
    if data is None:
        data, videos = known.get("annotations") or known.get("root"), known.get("root")
        if not known.get("annotations"):
            videos = None
        same = True
    if data is None or (same and not located(data).exists()):
        raise ValueError(
            f"the data that {trained.path} was trained on, {data!r}, is not here; give its new place with --data"
        )

    def told(done: int, total: int) -> None:
        progress.phase("looking through the videos", done, total)

    classes, items, notes = _files(trained, data, videos, same, home, workers, told)
    return _relabelled(Files(items, trained.network.architecture.clip), match_classes(trained.classes, classes)), notes


def match_classes(own: Sequence[str], theirs: Sequence[str]) -> list[int]:
    """For each class of some data, which class of the network it is.

    Where no class has the very name, case, blanks and underscores make no difference. A network whose classes are mere
    numbers takes data with as many classes in their order.

    Raises:
        ValueError: a class that the network does not have or that may be either of two, or another number of them.
    """
    if list(own) == [str(i) for i in range(len(own))] and list(theirs) != list(own):
        if len(own) != len(theirs):
            raise ValueError(
                f"the network has {len(own)} classes without names, the data {len(theirs)}; allowed: as many, in order"
            )
        return list(range(len(own)))
    exact = {class_name(name): i for i, name in enumerate(own)}
    near: dict[str, list[int]] = {}
    for i, name in enumerate(own):
        near.setdefault(alike(name), []).append(i)
    found = [[exact[key]] if (key := class_name(name)) in exact else near.get(alike(name), []) for name in theirs]
    missing = [name for name, some in zip(theirs, found, strict=True) if not some]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ValueError(
            f"class {missing[0]!r}{more} of the data's {len(theirs)} is not among the {len(own)} that the network was "
            f"trained on{nearest(missing[0], own)}; leave it out, or train on this data"
        )
    for name, some in zip(theirs, found, strict=True):
        if len(some) > 1:
            raise ValueError(
                f"class {name!r} of the data may be {' or '.join(repr(own[i]) for i in some)} of the network, which "
                "differ in case, blanks or underscores only; give it one of these names"
            )
    return [some[0] for some in found]


def _motion(trained: Trained, known: Mapping[str, Any]) -> video.MotionSource:
    """The built-in data, that of the training where it is known: the same seed, and clips that training never saw."""
    recipe = known.get("recipe")
    with naming(trained.path):
        try:
            made = None if recipe is None else video.MotionRanges(**recipe)
        except TypeError:
            raise ValueError("data.recipe has settings that this version does not know; give --data") from None
        clip, seed = trained.network.architecture.clip, known.get("seed", 0)
        return video.MotionSource(seed, clip, ranges=made, sizes=known.get("parts"))


def _files(
    trained: Trained,
    data: str,
    videos: str | None,
    same: bool,
    home: Path | None,
    workers: int,
    told: Callable[[int, int], None],
) -> tuple[tuple[str, ...], Sequence[Labelled], list[str]]:
    root, found = listing(data, videos)
    known = trained.data if trained.data.get("kind") == "folder" else {}
    here = known.get("root") == escaped(root.resolve())
    part = "judged" if found.val else "all"
    cache = None if home is None else scan_file(data, videos, part=part, otherwise=home / SCAN)
    if known and not found.val:
        held_out = _held_out(trained, data, videos, same or here, cache, workers, told)
        if held_out is not None:
            return *held_out, [f"{data} has no validation side: the {len(held_out[1])} videos held out of training"]
    classes, items, notes = labelled_videos(data, videos, scan_cache=cache, workers=workers, progress=told)
    if (same or here) and JUDGED in known and known[JUDGED] != digest(items):
        if same:
            raise ValueError(
                f"the videos that {trained.path} was validated on have changed since; restore them, or give --data "
                f"{data} to judge it on them as they are now"
            )
        notes = (*notes, f"they have changed since {trained.path} was trained")
    return classes, items, [f"{len(items):,} videos of {data}", *notes]


def _held_out(
    trained: Trained,
    data: str,
    videos: str | None,
    same: bool,
    cache: Path | None,
    workers: int,
    told: Callable[[int, int], None],
) -> tuple[tuple[str, ...], Sequence[Labelled]] | None:
    """Of data without a validation side what training held out; None of other data than was trained on.

    Raises:
        ValueError: it should be that data, and has changed: what was held out then is not known any more.
    """
    known = trained.data
    try:
        source = video.FolderSource(
            data,
            trained.network.architecture.clip,
            known.get("seed", 0),
            videos=videos,
            group=known.get("group"),
            scan_cache=cache,
            workers=workers,
            progress=told,
        )
    except ValueError:
        if same:
            raise
        return None
    if not differences(known, {**known, **source.describe()}):
        fold = None if FOLD not in known else Fold.parse(known[FOLD])
        return source.classes, files_of(select(source, None, fold), TEST)
    if same:
        raise ValueError(
            f"data {data!r} has changed since {trained.path} was trained, so what of it was held out then is not known "
            "any more; restore it, or give other labelled videos with --data"
        )
    return None


def _relabelled(videos: Files | Rendered, labels: Sequence[int]) -> Videos:
    videos.labels = [None if label is None else labels[label] for label in videos.labels]
    return videos
