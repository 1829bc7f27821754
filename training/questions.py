"""Which videos a trained network is asked about, and which of its classes their labels are."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import video
from networks import Trained
from searchspace.schema import nearest
from searchspace.stored import Each, Maybe, Whole, conform, naming
from training.data import scan_file
from training.progress import Progress, Silent
from video.asked import Files, Rendered, Videos
from video.labelled import Labelled, labelled_videos, listing

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
    "recipe?": {"waves?": Whole(2, 10_000)},
}
"""What is read of the description of the data that a network was trained on."""

HELD_OUT = "rescoring"
"""The part of a folder without a validation side that training does not see."""


def open_videos(
    trained: Trained,
    data: str | None = None,
    videos: str | None = None,
    *,
    home: Path | None = None,
    workers: int = 0,
    progress: Progress | None = None,
) -> tuple[Videos, list[str]]:
    """Opens labelled videos, with labels that are the network's classes.

    Args:
        trained: the network; without `data`, what it was validated on.
        data: a folder, an annotation file, or "motion".
        videos: the folder that the clips of an annotation file are below.
        home: folder that keeps what a look through the files found where `training.data.scan_file` cannot; None keeps
            nothing.
        workers: processes for a look through the files.
        progress: of that look.

    Returns:
        The videos, and what a user should know, one line each.

    Raises:
        ValueError: no such data, none is known, or classes that the network does not have.
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
        if data is None or not Path(data).exists():
            raise ValueError(f"the data that {trained.path} was trained on, {data!r}, is not here; give --data DIR")

    def told(done: int, total: int) -> None:
        progress.phase("looking through the videos", done, total)

    classes, items, notes = _files(trained, data, videos, home, workers, told)
    return _relabelled(Files(items, trained.network.architecture.clip), match_classes(trained.classes, classes)), notes


def match_classes(own: Sequence[str], theirs: Sequence[str]) -> list[int]:
    """For each class of some data, which class of the network it is; case, spaces and underscores make no difference.

    A network whose classes are mere numbers takes data with as many classes in their order.

    Raises:
        ValueError: a class that the network does not have, or another number of them.
    """
    if list(own) == [str(i) for i in range(len(own))] and list(theirs) != list(own):
        if len(own) != len(theirs):
            raise ValueError(
                f"the network has {len(own)} classes without names, the data {len(theirs)}; allowed: as many, in order"
            )
        return list(range(len(own)))
    index = {_plain(name): i for i, name in enumerate(own)}
    missing = [name for name in theirs if _plain(name) not in index]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ValueError(
            f"class {missing[0]!r}{more} of the data's {len(theirs)} is not among the {len(own)} that the network was "
            f"trained on{nearest(missing[0], own)}; leave it out, or train on this data"
        )
    return [index[_plain(name)] for name in theirs]


def _plain(name: str) -> str:
    return re.sub(r"[\s_]+", " ", name).strip().lower()


def _motion(trained: Trained, known: Mapping[str, Any]) -> video.MotionSource:
    """The built-in data, that of the training where it is known: the same seed, and clips that training never saw."""
    recipe = known.get("recipe")
    with naming(trained.path):
        try:
            made = None if recipe is None else video.MotionRecipe(**{k: _pair(v) for k, v in recipe.items()})
        except TypeError:
            raise ValueError("data.recipe has settings that this version does not know; give --data") from None
        clip, seed = trained.network.architecture.clip, known.get("seed", 0)
        return video.MotionSource(seed, clip, recipe=made, sizes=known.get("parts"))


def _pair(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _files(
    trained: Trained,
    data: str,
    videos: str | None,
    home: Path | None,
    workers: int,
    told: Callable[[int, int], None],
) -> tuple[tuple[str, ...], Sequence[Labelled], list[str]]:
    root, found = listing(data, videos)
    known = trained.data
    own = known.get("kind") == "folder" and known.get("root") == str(root.resolve())
    held_out = own and not found.val
    part = "all" if held_out else "judged"
    cache = None if home is None else scan_file(data, videos, part=part, otherwise=home / SCAN)
    if held_out:
        clip = trained.network.architecture.clip
        source = video.FolderSource(
            data,
            clip,
            known.get("seed", 0),
            videos=videos,
            group=known.get("group"),
            scan_cache=cache,
            workers=workers,
            progress=told,
        )
        items = source.videos(HELD_OUT)
        return source.classes, items, [f"{data} has no validation side: the {len(items)} videos held out of training"]
    classes, everything, notes = labelled_videos(data, videos, scan_cache=cache, workers=workers, progress=told)
    return classes, everything, [f"{len(everything):,} videos of {data}", *notes]


def _relabelled(videos: Files | Rendered, labels: Sequence[int]) -> Videos:
    videos.labels = [None if label is None else labels[label] for label in videos.labels]
    return videos
