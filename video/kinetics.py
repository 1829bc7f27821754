"""Annotation files of the Kinetics data sets over a folder of their clips, in the namings that people have.

    label,youtube_id,time_start,time_end,split
    abseiling,0347ZoDXyP0,95,105,train

The clip of a row is a file `<id>_<start>_<end>`, six digits or as they stand, or `<id>`, with any ending, anywhere
below the folder. Many clips are no longer to be had: rows without a file are counted and listed, not refused.
Blanks around cells do not count, and one class may be spelled in different ways (`searchspace.naming.class_name`).
"""

import csv
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from searchspace.naming import check_classes, class_name, escaped, spelled
from video.layout import TEST, TRAIN, VAL, ListedFile, Listing, files_below, same_but_case

_COLUMNS = ("label", "youtube_id", "split")
_SIDES = {"train": TRAIN, "val": VAL, "test": TEST}


def find_clips(annotations: Path, root: Path) -> Listing:
    """Lists the clips of an annotation file.

    Args:
        annotations: CSV with the columns label, youtube_id, split, and time_start and time_end where clips have them.
        root: the folder that the clips are below, flat or in folders of classes.

    Returns:
        Train and validation sides; test rows are not used where there are others. Classes are all labels, sorted, as
        the reference numbers them.

    Raises:
        ValueError: a file that cannot be read or lacks a column, a split of another name, names of classes that a
            trained network could not be loaded with, or no clip.
    """
    where = escaped(annotations)
    rows, notes = _read(annotations)
    if not root.is_dir():
        raise ValueError(f"folder of videos {escaped(root)!r} does not exist: give that of the clips of {where}")
    classes = tuple(sorted({row["label"] for row in rows}))
    check_classes(classes, where)
    index: dict[str, list[str]] = {}
    for name in files_below(root):
        index.setdefault(spelled(Path(name).stem), []).append(name)
    sides: dict[str, dict[tuple[str, int], ListedFile]] = {side: {} for side in _SIDES}
    missing: list[str] = []
    labels = {name: label for label, name in enumerate(classes)}
    twice = 0
    for row in rows:
        stems = list(_stems(row))
        files = next((index[stem] for stem in stems if stem in index), None)
        if files is None:
            missing.append(stems[0])
            continue
        path, label, side = _of_class(files, row["label"]), labels[row["label"]], sides[row["split"]]
        twice += (path, label) in side
        side[path, label] = ListedFile(path, spelled(path), spelled(Path(path).name), label)
    if len(missing) == len(rows):
        raise ValueError(
            f"none of the {len(rows):,} clips of {where} is below {escaped(root)!r}: looked for "
            f"{' or '.join(stems)} with any ending; give the folder that holds them with --videos"
        )
    if missing:
        notes.append(f"{len(missing):,} of {len(rows):,} clips of {escaped(annotations.name)} are missing")
    if twice:
        notes.append(f"{twice:,} rows of {escaped(annotations.name)} name a clip again, and count once")
    if sides["test"] and (sides["train"] or sides["val"]):
        notes.append(f"{len(sides['test']):,} test clips stay unused")
    notes += same_but_case(classes)
    val = tuple((sides["val"] or ({} if sides["train"] else sides["test"])).values())
    folder = escaped(annotations.name) if val else ""
    return Listing(classes, tuple(sides["train"].values()), val, folder, tuple(notes), tuple(missing))


def _read(annotations: Path) -> tuple[list[dict[str, str]], list[str]]:
    """The rows that name a clip, with `split` as a key of `_SIDES`; and what to know about the others."""
    where = escaped(annotations)
    rows: list[dict[str, str]] = []
    unnamed: list[int] = []
    try:
        with open(annotations, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            reader.fieldnames = [(name or "").strip() for name in reader.fieldnames or ()]
            absent = [column for column in _COLUMNS if column not in reader.fieldnames]
            if absent:
                raise ValueError(
                    f"{where}: no column {absent[0]!r}; an annotation file begins with "
                    "label,youtube_id,time_start,time_end,split"
                )
            for read in reader:
                cells = {name: (cell or "").strip() for name, cell in read.items() if isinstance(name, str)}
                if not any(cells.values()):
                    continue
                row = {**cells, "label": class_name(cells["label"]), "youtube_id": spelled(cells["youtube_id"])}
                if not row["youtube_id"]:
                    unnamed.append(reader.line_num)
                    continue
                row["split"] = _side(row["split"], f"{where}, line {reader.line_num}")
                if not row["label"]:
                    raise ValueError(
                        f"{where}, line {reader.line_num}: no label; leave the row out, or give the file with labels"
                    )
                rows.append(row)
    except FileNotFoundError:
        raise ValueError(f"{where}: no such file; give an annotation file or a folder of videos") from None
    except (UnicodeDecodeError, csv.Error) as error:
        reason = f" ({error})" if isinstance(error, csv.Error) else ""
        raise ValueError(f"{where} is not a CSV file in UTF-8{reason}; save it as one") from None
    if not rows:
        raise ValueError(f"{where} has no rows" + (" with a youtube_id" if unnamed else ""))
    left = f"{len(unnamed):,} rows of {escaped(annotations.name)} have no youtube_id and are left out"
    return rows, [f"{left}, the first in line {unnamed[0]}"] if unnamed else []


def _side(text: str, where: str) -> str:
    side = next((side for side, words in _SIDES.items() if text.lower() in words), None)
    if side is None:
        raise ValueError(f"{where}: split is {text!r}; allowed: train, validate, val, test")
    return side


def _stems(row: Mapping[str, str]) -> Iterator[str]:
    """Names without ending that the clip of a row may have, likeliest first."""
    name, start, end = row["youtube_id"], row.get("time_start"), row.get("time_end")
    if start and end:
        try:
            first, last = round(float(start)), round(float(end))
        except (ValueError, OverflowError):
            first = last = -1
        if first >= 0:
            yield f"{name}_{first:06d}_{last:06d}"
            yield f"{name}_{first}_{last}"
    yield name


def _of_class(names: list[str], label: str) -> str:
    """Of several files of one clip, that in the folder of its class."""

    def plain(text: str) -> str:
        return class_name(text).replace(" ", "_").lower()

    return min(names, key=lambda name: (plain(label) not in (plain(part) for part in Path(name).parts), name))


def is_annotations(data: str | os.PathLike[str]) -> bool:
    """Whether a path is meant as an annotation file, not as a folder."""
    return Path(data).suffix.lower() == ".csv" and not Path(data).is_dir()
