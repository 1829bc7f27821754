"""A trained network judged on labelled videos by the protocols of evaluation; a retraining on real ones ends with it.

The folder that it makes is described in `training.run.evaluation_folders`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.util
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

import networks
import searchspace
from networks import Trained
from searchspace.commands import command, go_on
from searchspace.naming import absolute, escaped
from searchspace.schema import write_atomically
from training.evaluation import prediction_tables as answers
from training.evaluation.evaluation_data import MOTION, open_videos
from training.evaluation.protocols import PROTOCOLS, VIEWS, Result, judge, work
from training.machine.interrupt import Interrupt, Interrupted
from training.progress import Progress, Silent
from training.run import RetrainRun
from training.run.evaluation_folders import BY_EVALUATION, BY_RETRAINING, RECORD, home, of_retraining
from video.asked import Files, Videos
from video.augmentation import Augmentation

CHEAP = 0.25
"""Share of the training's multiply-accumulates that a protocol may take and be run without being asked for (ours)."""


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """A finished evaluation.

    Attributes:
        folder: what was written.
        record: the content of its evaluation.json.
        results: one a protocol.
        videos: what was asked about.
    """

    folder: Path
    record: dict[str, Any]
    results: tuple[Result, ...]
    videos: Videos


def evaluate_videos(
    trained: Trained,
    choose: Callable[[Videos], Sequence[str]],
    *,
    by: str = BY_EVALUATION,
    data: str | None = None,
    videos: str | None = None,
    same: bool = False,
    views: tuple[int, int] = VIEWS,
    batch: int = 8,
    workers: int = 0,
    device: str = "cpu",
    out: Path | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Judges a network by some protocols, and writes everything that there is to say of it but pictures.

    Args:
        trained: the network, on the device.
        choose: which protocols, once it is known what there is to ask about; at least one.
        by: whose evaluation it is.
        data: what to ask about; None for what the network was validated on.
        videos: the clips of an annotation file.
        same: refuse data that is not what the network was validated on; always so without `data`.
        views: of multiclip, over time and over space.
        batch: clips at once.
        workers: processes that decode.
        device: where the network is.
        out: the folder to write; None for the run's next `evaluation-N`.
        progress: where to report.

    Raises:
        ValueError: data that the network cannot be asked about; nothing is left behind.
        Interrupted: the rows so far are written.
    """
    told = progress or Silent()
    results: list[Result] = []

    def shown(name: str) -> Callable[[int, int], None]:
        def show(done: int, total: int) -> None:
            told.phase(name, done, total)
            if interrupt.exit_code:
                raise KeyboardInterrupt

        return show

    with Interrupt() as interrupt:
        asked, notes = open_videos(
            trained, data, videos, same=same, home=home(trained.path), workers=workers, progress=told
        )
        if all(label is None for label in asked.labels):
            raise ValueError(
                f"none of these videos has a label; ask about them with: {command('predict', trained.path, 'VIDEO')}"
            )
        for note in notes:
            told.line(f"note: {note}")
        with _made(trained.path, out) as folder:
            for name in choose(asked):
                result = judge(
                    trained.network,
                    asked,
                    name,
                    views=views,
                    batch=batch,
                    workers=workers if isinstance(asked, Files) else 0,  # rendered clips are quicker here
                    device=device,
                    progress=shown(name),
                )
                if result.scores is None and not result.interrupted:
                    raise ValueError(
                        f"none of the {len(result.answers)} videos can be read ({result.answers[0].error})"
                    )
                _write(folder, result, trained.classes)
                results.append(result)
                if result.interrupted:
                    raise Interrupted(
                        interrupt.exit_code,
                        f"stopped after {len(result.answers):,} of {len(asked.names):,} videos of {name}; their rows "
                        f"are in {folder}",
                    )
            record = {
                "by": by,
                "checkpoint": escaped(trained.path),
                "data": _where(trained, data),
                "clips_below": None if videos is None else absolute(videos),
                **described(asked, trained.classes),
                "notes": notes,
                "protocols": [facts(result) for result in results],
            }
            write_atomically(folder / RECORD, json.dumps(record, indent=2) + "\n")
    return Evaluation(folder, record, tuple(results), asked)


def judge_retraining(run: Path, progress: Progress | None = None, moved: Mapping[str, Any] | None = None) -> None:
    """Judges the best network of a finished retraining on the videos that it was validated on, unless that was done.

    One centred clip always; many clips and the whole video as a stream where they are cheap beside the training, many
    clips also where the recipe scores by more than one. The built-in data has one clip a video, and is left out. Where
    the videos are not there any more or cannot be read, a line says so.

    Args:
        run: a finished run of `training.retrain.run_retrain`.
        progress: where to report.
        moved: where its data lies now, where the run does not know.

    Raises:
        Interrupted: what was asked so far is written; judging the run again begins anew.
    """
    made = RetrainRun.open(run)
    config = {**made.config, **(moved or {})}
    told = progress or Silent()
    if config["data"] is None or of_retraining(run) is not None:
        return
    trained = networks.load(run)
    architecture = trained.network.architecture
    device = config["device"] if torch.cuda.is_available() else "cpu"
    trained.network.to(device)
    own = config["evaluation.views"]
    views = (own, 1) if own > 1 else VIEWS
    trained_on = made.summary["members"][0]["clips"]
    seen = Augmentation(frames=config.get("augmentation.frames")).clip_of(architecture.clip)
    most = CHEAP * 3 * searchspace.cost(architecture, seen).macs * trained_on

    def choose(videos: Videos) -> list[str]:
        chosen = ["clip"]
        for name in PROTOCOLS[1:]:
            if name == "stream" and not trained.network.streams:
                continue
            if (name == "multiclip" and own > 1) or work(architecture, videos, name, views) <= most:
                chosen.append(name)
        return chosen

    workers = config["workers"]
    try:
        evaluate_videos(
            trained,
            choose,
            by=BY_RETRAINING,
            data=config["data"],
            videos=config["videos"],
            same=True,
            views=views,
            workers=workers,
            device=device,
            progress=told,
        )
    except ValueError as error:
        told.line(f"not judged by the protocols of evaluation: {error}")
    except Interrupted as stop:
        again = f"{run} is finished, the rest comes with: {go_on('retrain', run)}"
        raise Interrupted(stop.exit_code, f"{stop}; {again}") from None


@contextlib.contextmanager
def _made(checkpoint: Path, out: Path | None) -> Iterator[Path]:
    """Makes the folder of an evaluation, and removes what was made where the block fails with nothing in it.

    Args:
        checkpoint: the network.
        out: the folder that was asked for; None for the next `evaluation-N` of the network's run.
    """
    made = _make(out) if out is not None else [_next(home(checkpoint))]
    try:
        yield made[-1]
    except BaseException:
        with contextlib.suppress(OSError):  # there is something in it
            for folder in reversed(made):
                folder.rmdir()
        raise


def _make(out: Path) -> list[Path]:
    missing = [folder for folder in (*reversed(out.parents), out) if not folder.exists()]
    for folder in missing:
        folder.mkdir()
    if out not in missing:
        raise ValueError(f"{out} exists, and nothing is overwritten; give another --out")
    return missing


def _next(run: Path) -> Path:
    number = 1
    while True:
        folder = run / f"evaluation-{number}"
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            number += 1


def _write(folder: Path, result: Result, classes: Sequence[str]) -> None:
    answers.write_csv(folder / f"videos-{result.protocol}.csv", result.answers, classes)
    if importlib.util.find_spec("pyarrow") is not None:
        answers.write_parquet(folder / f"videos-{result.protocol}.parquet", result.answers, classes)
    if result.scores is not None:
        answers.write_classes(folder / f"classes-{result.protocol}.csv", result.scores.confusion(), classes)


def _where(trained: Trained, data: str | None) -> str | None:
    """What was asked about: what was given, or else what the network was trained on."""
    if data is None:
        known = trained.data
        found = known.get("annotations") or known.get("root") or known.get("kind")
        return None if found is None else str(found)
    return data if data == MOTION else absolute(data)


def described(videos: Videos, classes: Sequence[str]) -> dict[str, Any]:
    """Plain data that tells what was asked about: how many videos, and a digest of names, classes, sizes of files."""
    rows = [
        (name, None if label is None else classes[label], size)
        for name, label, size in zip(videos.names, videos.labels, videos.sizes, strict=True)
    ]
    digest = hashlib.sha256(json.dumps(rows).encode()).hexdigest()
    return {"videos": len(rows), "digest": digest}


def facts(result: Result) -> dict[str, Any]:
    """Everything about a protocol's result, plain data: fractions in [0, 1], seconds and bytes."""
    assert result.scores is not None
    return {
        "protocol": result.protocol,
        "views": result.views,
        **result.scores.metrics(),
        "errors": len(result.answers) - len(result.answered),
        "macs": result.macs,
        "memory_bytes": result.memory_bytes,
        "seconds": result.seconds,
    }
