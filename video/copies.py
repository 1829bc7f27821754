"""Files of a data set that are copies of one another, whatever their names."""

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from video.layout import ListedFile, Listing
from video.scan import ScanCache

Key = TypeVar("Key", bound=Hashable)

_END_BYTES = 1 << 16
_PIECE = 1 << 20


def find_copies(cache: ScanCache, names: Sequence[str]) -> list[tuple[str, ...]]:
    """Groups of files with the same content: of those of one size the ends are compared, then the whole.

    Args:
        cache: of the folder that the files are in; keeps the digests.
        names: paths below it.

    Returns:
        Groups of two and more names, each in order of `names`. Files that cannot be read are in none.
    """
    suspects = _shared((cache.entry(name).stamp.size or None, name) for name in dict.fromkeys(names))
    suspects = [group for few in suspects for group in _shared((_ends(cache, name), name) for name in few)]
    copies = [group for few in suspects for group in _shared((_whole(cache, name), name) for name in few)]
    cache.save()
    return sorted(copies)


def copy_notes(copies: Iterable[Sequence[str]], found: Listing) -> list[str]:
    """What a user should know of clips that are listed more than once, as copies or by name: a line for each kind."""
    first = {name: group[0] for group in copies for name in group}
    listed: dict[str, list[tuple[str, ListedFile]]] = defaultdict(list)
    for side, files in (("train", found.train), ("val", found.val)):
        for file in files:
            listed[first.get(file.name, file.name)].append((side, file))
    kinds: dict[str, list[str]] = {
        "under two labels": [],
        "in both train and val": [],
        "twice in one side": [],
    }
    for same in listed.values():
        labels, sides = {file.label for _, file in same}, {side for side, _ in same}
        names = " and ".join(repr(name) for name in dict.fromkeys(file.name for _, file in same))
        if len(labels) > 1:
            classes = " and ".join(repr(found.classes[label]) for label in sorted(labels))
            kinds["under two labels"].append(f"{names}: {classes}")
        if len(sides) > 1:
            kinds["in both train and val"].append(names)
        elif len(same) > 1 and len(labels) == 1:
            kinds["twice in one side"].append(names)
    return [
        f"{len(clips)} {'clip is' if len(clips) == 1 else 'clips are'} {kind} (such as {clips[0]})"
        for kind, clips in kinds.items()
        if clips
    ]


def _shared(pairs: Iterable[tuple[Key | None, str]]) -> list[tuple[str, ...]]:
    """Names that share a key; those whose key is None share none."""
    groups: dict[Key, list[str]] = defaultdict(list)
    for key, name in pairs:
        if key is not None:
            groups[key].append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def _ends(cache: ScanCache, name: str) -> str | None:
    entry = cache.entry(name)
    if not entry.ends:
        try:
            with open(cache.root / name, "rb") as file:
                digest = hashlib.sha256(file.read(_END_BYTES))
                file.seek(max(0, entry.stamp.size - _END_BYTES))
                digest.update(file.read(_END_BYTES))
        except OSError:
            return None
        cache.set(name, ends=digest.hexdigest()[:32])
    return cache.entry(name).ends


def _whole(cache: ScanCache, name: str) -> str | None:
    entry = cache.entry(name)
    if entry.stamp.size <= 2 * _END_BYTES:
        return entry.ends  # the ends are the whole
    if not entry.whole:
        try:
            digest = _digest(cache.root / name)
        except OSError:
            return None
        cache.set(name, whole=digest)
    return cache.entry(name).whole


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()[:32]
