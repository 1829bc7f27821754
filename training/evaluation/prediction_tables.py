"""The answers of an evaluation as tables, one row a video: CSV for people, Parquet for programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from searchspace.schema import write_atomically
from training.evaluation.protocols import Answer

COLUMNS = (
    "video", "class", "answer", "correct", "probability", "class_probability", "frames", "seconds", "error",
)  # fmt: skip


def row(answer: Answer, classes: Sequence[str]) -> dict[str, Any]:
    """One answer by `COLUMNS`; None where there is nothing to say."""
    cells: dict[str, Any] = dict.fromkeys(COLUMNS)
    cells |= {"video": answer.name, "error": answer.error or None}
    if answer.label is not None:
        cells["class"] = classes[answer.label]
    if not answer.error:
        ((best, probability),) = answer.top(1)
        cells |= {"answer": classes[best], "probability": probability}
        cells |= {"frames": answer.frames, "seconds": answer.seconds}
        if answer.label is not None and answer.log_probabilities is not None:
            cells["correct"] = best == answer.label
            cells["class_probability"] = float(np.exp(answer.log_probabilities[answer.label]))
    return cells


def write_csv(path: Path, answers: Sequence[Answer], classes: Sequence[str]) -> None:
    """Writes the rows; `correct` as 1 or 0."""
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for answer in answers:
        cells = row(answer, classes)
        writer.writerow({name: _text(value) for name, value in cells.items()})
    write_atomically(path, table.getvalue())


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    return f"{value:.6g}" if isinstance(value, float) else value


def write_parquet(path: Path, answers: Sequence[Answer], classes: Sequence[str]) -> None:
    """Writes the rows with all probabilities, a list a row, and the names of the classes in the file's metadata.

    Raises:
        ModuleNotFoundError: pyarrow is not installed (the extra `parquet`).
    """
    import json

    import pyarrow
    from pyarrow import parquet

    rows = [row(answer, classes) for answer in answers]
    kinds = (
        pyarrow.string(), pyarrow.string(), pyarrow.string(), pyarrow.bool_(), pyarrow.float64(), pyarrow.float64(),
        pyarrow.int64(), pyarrow.float64(), pyarrow.string(),
    )  # fmt: skip
    columns = {name: pyarrow.array([r[name] for r in rows], kind) for name, kind in zip(COLUMNS, kinds, strict=True)}
    columns["probabilities"] = pyarrow.array(
        [None if a.log_probabilities is None else np.exp(a.log_probabilities).tolist() for a in answers],
        pyarrow.list_(pyarrow.float32()),
    )
    table = pyarrow.table(columns).replace_schema_metadata({"classes": json.dumps(list(classes))})
    buffer = pyarrow.BufferOutputStream()
    parquet.write_table(table, buffer)
    write_atomically(path, buffer.getvalue().to_pybytes())


def write_classes(path: Path, confusion: Any, classes: Sequence[str]) -> None:
    """Writes of every class: how many videos, how many right, and what it is most often taken for."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("class", "videos", "correct", "accuracy", "taken_for", "times"))
    for i, name in enumerate(classes):
        total, right = int(confusion[i].sum()), int(confusion[i, i])
        wrong = np.array(confusion[i])
        wrong[i] = 0
        other = int(wrong.argmax())
        times = int(wrong[other])
        share = f"{right / total:.6g}" if total else ""
        writer.writerow((name, total, right, share, classes[other] if times else "", times))
    write_atomically(path, table.getvalue())
