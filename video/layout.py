"""How a folder of videos is laid out: which files belong to which class and which side of the user's own split."""

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from searchspace.naming import check_classes, class_name, classes_alike, escaped, spelled
from video.split import groups_of

TRAIN = ("train", "training")
VAL = ("val", "valid", "validation", "validate")
TEST = ("test", "testing", "holdout")
"""Names of the sides of a split, of folders and in annotation files, in any case."""

_SIDES = (*TRAIN, *VAL, *TEST)
_SHOWN = 5  # names in a message


@dataclasses.dataclass(frozen=True, slots=True)
class ListedFile:
    """A file that may be a video."""

    path: str
    """Where it is below the root, with forward slashes."""
    name: str
    """The same as text: composed letters (NFC), and what is not UTF-8 escaped."""
    below_class: str
    """Its name below the class folder."""
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

    def groups(self, files: Sequence[ListedFile], pattern: str | None) -> list[str]:
        """The group of each of some training files: what a pattern's groups capture in its name below its class.

        Without a pattern each has its own, of which the class is a part: a/1.mp4 and b/1.mp4 have nothing in common.

        Raises:
            ValueError: see `video.split.groups_of`.
        """
        if pattern is None:
            return [f"{self.classes[file.label]}/{file.below_class}" for file in files]
        return groups_of([file.below_class for file in files], pattern)

    def check_training(self, data: str | os.PathLike[str]) -> None:
        """Raises `ValueError` for data that can be asked about, but not trained on."""
        what = f"data {escaped(data)!r}"
        if not self.train:
            raise ValueError(
                f"{what} has no training videos, only those of {self.val_folder}: put the training videos of each "
                "class into train/CLASS, or in an annotation file give them the split train"
            )
        if len(self.classes) == 1:
            hint = "".join(f" ({note})" for note in self.notes if note.startswith("the classes are"))
            raise ValueError(f"{what} has a single class, {self.classes[0]!r}: training needs at least two{hint}")


def find_videos(root: Path) -> Listing:
    """Lists the files below `root/<class>` or `root/{train,val,test}/<class>`; what is hidden is left out.

    A class is a folder of the training side, or of the other one without a training side. Folders that spell one class
    in different ways are one (`searchspace.naming.class_name`). The test side is listed only where it is the only one.

    Raises:
        ValueError: no such folder, no class folders, no files, a validation class that training lacks, names of
            classes that a trained network could not be loaded with, or folders some level of which is not what it
            would be taken for.
    """
    where = repr(escaped(root))
    if not root.exists():
        raise ValueError(f"data folder {where} does not exist: give a folder with one sub-folder per class")
    if not root.is_dir():
        raise ValueError(f"data folder {where} is a file: give a folder with one sub-folder per class")
    folders = _folders(root)
    train = _side(root, folders, TRAIN)
    val = _side(root, folders, VAL, empty=bool(train))
    if not train and folders and all(name.lower() in _SIDES for name in folders):
        val = val or _side(root, folders, TEST)
        if not val:
            raise ValueError(
                f"data folder {where} holds a split without classes ({_few(folders)}): put the videos of each class "
                "into a folder of its own, such as train/CLASS"
            )
    elif not train:
        _check_level(root, folders)
        val = ""
    side = train or val
    named = _classes(root / side)
    classes = tuple(named)
    files = tuple(_files(root, side, named, classes))
    if not files:
        raise ValueError(
            f"data folder {escaped(root / side)!r} has no files in its {len(classes)} class folders: put videos there"
        )
    notes = _notes(root, folders, train, val)
    if not val or not train:
        return Listing(classes, () if val else files, files if val else (), escaped(val), tuple(notes))
    theirs = _classes(root / val) if _folders(root / val) else {}
    extra = [name for name in theirs if name not in classes]
    if extra:
        raise ValueError(f"validation class {extra[0]!r} has no training folder: classes are {_few(classes)}")
    val_files = tuple(_files(root, val, theirs, classes))
    if not val_files:
        raise ValueError(f"validation folder {escaped(root / val)!r} has no files in class folders: fill or remove it")
    return Listing(classes, files, val_files, escaped(val), tuple(notes))


def _side(root: Path, folders: Sequence[str], names: Sequence[str], empty: bool = False) -> str:
    """The folder of a side of the split: one of these names, in any case, with folders in it or `empty`; else ""."""
    by_name = {name.lower(): name for name in folders}
    found = [by_name[name] for name in names if name in by_name]
    return next((name for name in found if empty or _folders(root / name)), "")


def _check_level(root: Path, folders: Sequence[str]) -> None:
    """Refuses folders that would be taken for classes, though what lies in them says that they are not.

    Raises:
        ValueError: says which folder was probably meant.
    """
    below = {name: _folders(root / name) for name in folders}
    for name, inner in below.items():
        sides = [other for other in inner if other.lower() in _SIDES]
        kinds = {side.lower() for side in sides}
        deeper = any(_folders(root / name / side) for side in sides)
        if deeper and (kinds & {*TRAIN} or len(sides) == len(inner)):
            raise ValueError(
                f"data folder {escaped(root)!r} is one level too high: {escaped(name)!r} in it has a split "
                f"({_few(sides)}); give {escaped(root / name)!r}"
            )
        if kinds & {*TRAIN} and kinds & {*VAL, *TEST}:
            raise ValueError(
                f"class folder {escaped(root / name)!r} holds a split ({_few(sides)}), which belongs above the "
                f"classes: move the videos to {sides[0]}/{escaped(name)} and so on"
            )
    for name in folders:
        others = {class_name(other) for other in folders if other != name}
        if name.lower() in _SIDES and others & {class_name(other) for other in below[name]}:
            raise ValueError(
                f"data folder {escaped(root)!r} has {name!r} beside class folders ({_few(sorted(others))}): put those "
                "into train"
            )


def _classes(folder: Path) -> dict[str, list[str]]:
    """The classes of a side, sorted, each with the folders that spell it."""
    found: dict[str, list[str]] = {}
    for name in _folders(folder):
        found.setdefault(class_name(name), []).append(name)
    if not found:
        raise ValueError(
            f"data folder {escaped(folder)!r} has no sub-folders: put the videos of each class into one named after it"
        )
    check_classes(list(found), f"data folder {escaped(folder)!r}")
    return dict(sorted(found.items()))


def _notes(root: Path, folders: Sequence[str], train: str, val: str) -> list[str]:
    """What is left out, and what may have been meant otherwise, a line each."""
    notes = []
    side = root / (train or val)
    ignored = [name for name in folders if name not in (train, val)] if train or val else []
    if ignored:
        tests = all(name.lower() in TEST for name in ignored)
        notes.append(f"{_few(ignored)} beside {train or val!r} {'stays' if tests else 'are'} unused")
    beside = len(_own_files(side))
    if beside:
        notes.append(f"{beside:,} files beside the class folders of {escaped(side)!r} are unused")
    named = _classes(side)
    notes += [
        f"{len(spellings)} folders of {escaped(side)!r} spell class {name!r}, and are one"
        for name, spellings in named.items()
        if len(spellings) > 1
    ]
    notes += same_but_case(list(named))
    names = [name for spellings in named.values() for name in spellings]
    inner = _folders(side / names[0])
    if inner and all(_folders(side / name) == inner and not _own_files(side / name) for name in names):
        notes.append(
            f"the classes are {_few(sorted(named))}, and each holds the same folders ({_few(inner)}): if these are the "
            f"classes, give {escaped(side / names[0])!r}"
        )
    return notes


def same_but_case(classes: Sequence[str]) -> list[str]:
    """A remark for each pair of classes that may be meant as one."""
    return [
        f"classes {one!r} and {two!r} differ in case, blanks or underscores only, and count as two"
        for one, two in classes_alike(classes)
    ]


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(escaped(name) for name in names[:_SHOWN])
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _folders(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))
    except PermissionError as error:
        raise ValueError(f"data folder {escaped(folder)!r} cannot be read: {error.strerror}") from error


def _own_files(folder: Path) -> list[str]:
    return [entry.name for entry in os.scandir(folder) if entry.is_file() and not entry.name.startswith(".")]


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


def _files(root: Path, side: str, named: Mapping[str, Sequence[str]], classes: Sequence[str]) -> Iterator[ListedFile]:
    index = {name: label for label, name in enumerate(classes)}
    for name, spellings in named.items():
        found = []
        for folder in spellings:
            for file in files_below(root / side / folder):
                path = (Path(side) / folder / file).as_posix()
                shown = (Path(spelled(side)) / name / spelled(file)).as_posix()
                found.append(ListedFile(path, shown, spelled(file), index[name]))
        yield from sorted(found, key=lambda listed: (listed.name, listed.path))  # the same on every file system
