"""Annotation files of the Kinetics data sets over a folder of their clips, in the namings that people have.

    label,youtube_id,time_start,time_end,split
    abseiling,0347ZoDXyP0,95,105,train

The clip of a row is a file `<id>_<start>_<end>`, six digits or as they stand, or `<id>`, with any ending, anywhere
below the folder. Many clips are no longer to be had: rows without a file are counted and listed, not refused.
"""

import csv
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from video.layout import ListedFile, Listing, files_below

_COLUMNS = ("label", "youtube_id", "split")
_TRAIN = ("train", "training")
_VAL = ("val", "validate", "validation", "valid")
_TEST = ("test", "testing", "holdout")


def find_clips(annotations: Path, root: Path) -> Listing:
    """Lists the clips of an annotation file.

    Args:
        annotations: CSV with the columns label, youtube_id, split, and time_start and time_end where clips have them.
        root: the folder that the clips are below, flat or in folders of classes.

    Returns:
        Train and validation sides; test rows are not used where there are others. Classes are all labels, sorted, as
        the reference numbers them.

    Raises:
        ValueError: a file that cannot be read or lacks a column, a split of another name, a single class, or no clip.
    """
    rows = _read(annotations)
    if not root.is_dir():
        raise ValueError(f"folder of videos {str(root)!r} does not exist: give that of the clips of {annotations}")
    classes = tuple(sorted({row["label"] for row in rows}))
    if len(classes) == 1:
        raise ValueError(f"{annotations} has a single class, {classes[0]!r}: at least two are needed")
    index: dict[str, list[str]] = {}
    for name in files_below(root):
        index.setdefault(Path(name).stem, []).append(name)
    sides: dict[str, list[ListedFile]] = {"train": [], "val": [], "test": []}
    missing: list[str] = []
    for row in rows:
        stems = list(_stems(row))
        files = next((index[stem] for stem in stems if stem in index), None)
        if files is None:
            missing.append(stems[0])
        else:
            name = _of_class(files, row["label"])
            sides[row["split"]].append(ListedFile(name, Path(name).name, classes.index(row["label"])))
    if len(missing) == len(rows):
        raise ValueError(
            f"none of the {len(rows):,} clips of {annotations} is below {str(root)!r}: looked for "
            f"{' or '.join(stems)} with any ending; give the folder that holds them with --videos"
        )
    notes = [f"{len(missing):,} of {len(rows):,} clips of {annotations.name} are missing"] if missing else []
    if sides["test"] and (sides["train"] or sides["val"]):
        notes.append(f"{len(sides['test']):,} test clips stay unused")
    val = tuple(sides["val"] or (() if sides["train"] else sides["test"]))
    return Listing(classes, tuple(sides["train"]), val, annotations.name if val else "", tuple(notes), tuple(missing))


def _read(annotations: Path) -> list[dict[str, str]]:
    try:
        with open(annotations, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            absent = [column for column in _COLUMNS if column not in (reader.fieldnames or ())]
            if absent:
                raise ValueError(
                    f"{annotations}: no column {absent[0]!r}; an annotation file begins with "
                    "label,youtube_id,time_start,time_end,split"
                )
            rows = [row for row in reader if row["youtube_id"]]
    except FileNotFoundError:
        raise ValueError(f"{annotations}: no such file; give an annotation file or a folder of videos") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{annotations} is not a CSV file in UTF-8 ({error})") from None
    if not rows:
        raise ValueError(f"{annotations} has no rows")
    for number, row in enumerate(rows, start=2):
        split = (row["split"] or "").strip().lower()
        row["split"] = next(
            (side for side, words in (("train", _TRAIN), ("val", _VAL), ("test", _TEST)) if split in words), ""
        )
        if not row["split"]:
            raise ValueError(f"{annotations}, row {number}: split is {split!r}; allowed: train, validate, val, test")
        if not row["label"]:
            raise ValueError(f"{annotations}, row {number}: no label; leave the row out, or give the file with labels")
    return rows


def _stems(row: Mapping[str, str]) -> Iterator[str]:
    """Names without ending that the clip of a row may have, likeliest first."""
    name, start, end = row["youtube_id"], row.get("time_start"), row.get("time_end")
    if start and end:
        try:
            first, last = round(float(start)), round(float(end))
        except ValueError:
            first = last = -1
        if first >= 0:
            yield f"{name}_{first:06d}_{last:06d}"
            yield f"{name}_{first}_{last}"
    yield name


def _of_class(names: list[str], label: str) -> str:
    """Of several files of one clip, that in the folder of its class."""
    wanted = label.replace(" ", "_").lower()
    return min(names, key=lambda name: (wanted not in (p.replace(" ", "_").lower() for p in Path(name).parts), name))


def is_annotations(data: str | os.PathLike[str]) -> bool:
    """Whether a path is meant as an annotation file, not as a folder."""
    return Path(data).suffix.lower() == ".csv" and not Path(data).is_dir()
