"""How a folder of videos is laid out: which files belong to which class and which side of the user's own split."""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

_TRAIN = ("train", "training")
_VAL = ("val", "valid", "validation")
_TEST = ("test", "testing")
_SHOWN = 5  # names in a message


@dataclasses.dataclass(frozen=True, slots=True)
class ListedFile:
    """A file that may be a video."""

    name: str
    """Path below the root, with forward slashes."""
    below_class: str
    """Path below its class folder."""
    label: int


@dataclasses.dataclass(frozen=True)
class Listing:
    """What was found below a root."""

    classes: tuple[str, ...]
    train: tuple[ListedFile, ...]
    val: tuple[ListedFile, ...]
    val_folder: str
    """Name of the user's own validation folder, or "" without one."""
    notes: tuple[str, ...]
    missing: tuple[str, ...] = ()
    """Clips that an annotation file names and that are not there."""


def find_videos(root: Path) -> Listing:
    """Lists the files below `root/<class>` or `root/{train,val}/<class>`; hidden files and folders are left out.

    A class is a folder of the training side, in sorted order. Files beside the class folders are not looked at.

    Raises:
        ValueError: no such folder, no class folders, a single class, no files, or a validation class that training
            lacks.
    """
    if not root.exists():
        raise ValueError(f"data folder {str(root)!r} does not exist: give a folder with one sub-folder per class")
    if not root.is_dir():
        raise ValueError(f"data folder {str(root)!r} is a file: give a folder with one sub-folder per class")
    folders = _folders(root)
    by_name = {name.lower(): name for name in folders}
    train = next((by_name[name] for name in _TRAIN if name in by_name and _folders(root / by_name[name])), "")
    val = next((by_name[name] for name in _VAL if name in by_name), "") if train else ""
    notes = []
    if train:
        ignored = [name for name in folders if name not in (train, val)]
        if ignored:
            tests = all(name.lower() in _TEST for name in ignored)
            notes.append(f"{', '.join(ignored[:_SHOWN])} beside {train!r} {'stays' if tests else 'are'} unused")
    classes = tuple(_folders(root / train))
    where = str(root / train)
    if not classes:
        raise ValueError(
            f"data folder {where!r} has no sub-folders: put the videos of each class into one named after it"
        )
    if len(classes) == 1:
        raise ValueError(f"data folder {where!r} has a single class, {classes[0]!r}: at least two are needed")
    files = tuple(_files(root, train, classes))
    if not files:
        raise ValueError(f"data folder {where!r} has no files in its {len(classes)} class folders: put videos there")
    val_files: tuple[ListedFile, ...] = ()
    if val:
        extra = [name for name in _folders(root / val) if name not in classes]
        if extra:
            raise ValueError(f"validation class {extra[0]!r} has no training folder: classes are {_few(classes)}")
        val_files = tuple(_files(root, val, classes))
        if not val_files:
            raise ValueError(f"validation folder {str(root / val)!r} has no files in class folders: fill or remove it")
    return Listing(classes, files, val_files, val, tuple(notes))


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _folders(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))
    except PermissionError as error:
        raise ValueError(f"data folder {str(folder)!r} cannot be read: {error.strerror}") from error


def files_below(folder: Path) -> list[str]:
    """Paths of all files below a folder, with forward slashes, sorted; hidden files and folders are left out."""
    seen: set[str] = set()
    below: list[str] = []
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # a link in a circle
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [other for other in folders if not other.startswith(".")]
        relative = Path(place).relative_to(folder)
        below += [(relative / file).as_posix() for file in files if not file.startswith(".")]
    return sorted(below)


def _files(root: Path, side: str, classes: tuple[str, ...]) -> Iterator[ListedFile]:
    for label, name in enumerate(classes):
        for file in files_below(root / side / name):
            yield ListedFile((Path(side) / name / file).as_posix(), file, label)
