"""Judge a trained network on labelled videos: one clip, many clips, and the whole video as a stream."""

from __future__ import annotations

import argparse
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments import tables
from experiments.arguments import add_formulation_flag, one_of, read_by, whole
from searchspace.schema import write_atomically
from training.resources import cores

if TYPE_CHECKING:
    from networks import Trained
    from training.protocols import Result
    from video.asked import Videos

EXAMPLE = """  nas evaluate runs/retrain-1
  nas evaluate runs/retrain-1 --data my-videos --protocol stream
  nas evaluate a0.safetensors --data k600/val.csv --videos k600/clips --protocol multiclip --views 10x3"""

SHEET = 12
"""Mistakes that the contact sheet shows."""

RECORD = "evaluation.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `nas evaluate`."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a run, the folder of a trained network, a file in it")
    parser.add_argument(
        "--data",
        metavar="DIR|CSV|motion",
        help="folder of videos, one sub-folder a class, of which val/ is taken if there is one; an annotation file in "
        "the form of Kinetics; the built-in data (default: what the network was validated on)",
    )
    parser.add_argument("--videos", metavar="DIR", help="the clips of an annotation file (default: beside it)")
    parser.add_argument(
        "--protocol",
        default="all",
        help="one centred clip, many clips averaged, the whole video frame by frame, or all that the network can do "
        "(default: all)",
        **one_of("clip", "multiclip", "stream", "all"),
    )
    parser.add_argument(
        "--views",
        type=read_by(_views),
        default=(10, 3),
        metavar="TxS",
        help="clips of multiclip over time and over space (default: 10x3)",
    )
    parser.add_argument("--batch", type=whole(1, 4096), default=8, metavar="N", help="clips at once (default: 8)")
    parser.add_argument(
        "--workers", type=whole(0, 256), default=cores(), metavar="N", help="processes (default: the cores)"
    )
    parser.add_argument("--device", default="cpu", help="cpu, or cuda (default: cpu)")
    parser.add_argument("--threads", type=whole(1, 1024), metavar="N", help="of torch on the CPU (default: the cores)")
    add_formulation_flag(parser)
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="a new folder for the results (default: evaluation-N in the run)"
    )
    parser.add_argument("--json", action="store_true", help="for scripts")


def _views(text: str) -> tuple[int, int]:
    times, _, places = text.partition("x")
    if not (times.isdigit() and places.isdigit()):
        raise ValueError(f"{text!r}: write clips over time x clips over space, such as 10x3")
    from video.views import views

    views(int(times), int(places))  # refuses what is out of range
    return int(times), int(places)


def run(args: argparse.Namespace) -> int:
    """Loads, judges, writes and prints."""
    if args.out is not None and args.out.exists():
        raise ValueError(f"{args.out} exists, and nothing is overwritten; give another --out")
    if not Path(args.checkpoint).exists():
        raise ValueError(f"{args.checkpoint}: no such file or folder; give a run, a checkpoint folder or a file in it")
    import networks
    from experiments.torch_device import check_device

    trained = networks.load(args.checkpoint)
    protocols = _protocols(args.protocol, trained)
    trained.network.to(check_device(args.device, args.threads))
    with networks.formulation(args.formulation or "fast"):
        folder, record, results = evaluation(
            trained,
            lambda _: protocols,
            data=args.data,
            videos=args.videos,
            views=args.views,
            batch=args.batch,
            workers=args.workers,
            device=args.device,
            out=args.out,
        )
    if args.json:
        tables.print_json({"folder": str(folder), **record})
        return 0
    tables.show(comparison(record["protocols"]), title(trained))
    for answer in [answer for answer in results[0].answers if answer.error][:5]:
        print(f"no answer: {answer.name} ({answer.error})")
    if importlib.util.find_spec("pyarrow") is None:
        print("note: no Parquet files without pyarrow: pip install 'movinas[parquet]'")
    for file in sorted(folder.iterdir()):
        print(f"wrote {file}")
    print(f"next: nas predict {args.checkpoint} VIDEO, or nas report {args.checkpoint} and other runs")
    return 0


def title(trained: Trained) -> str:
    """Of the table of protocols."""
    return f"{trained.network.architecture.name}, per video: {trained.path}"


def evaluation(
    trained: Trained,
    choose: Callable[[Videos], list[str]],
    *,
    data: str | None = None,
    videos: str | None = None,
    views: tuple[int, int],
    batch: int = 8,
    workers: int,
    device: str,
    out: Path | None = None,
) -> tuple[Path, dict[str, Any], list[Result]]:
    """Judges a network by some protocols, and writes everything that there is to say of it.

    Args:
        trained: the network, on the device.
        choose: which protocols, once it is known what there is to ask about; at least one.
        data: what to ask about; None for what the network was validated on.
        videos: the clips of an annotation file.
        views: of multiclip, over time and over space.
        batch: clips at once.
        workers: processes that decode.
        device: where the network is.
        out: the folder to write; None for the run's next `evaluation-N`.

    Returns:
        The folder, the content of its evaluation.json, and the results.

    Raises:
        ValueError: data that the network cannot be asked about.
        Interrupted: the rows so far are written.
    """
    from experiments.plots.live import Live
    from training.interrupt import Interrupt, Interrupted
    from training.protocols import judge
    from training.questions import open_videos
    from video.asked import Files

    results = []

    def shown(name: str) -> Callable[[int, int], None]:
        def show(done: int, total: int) -> None:
            live.phase(name, done, total)
            if interrupt.exit_code:
                raise KeyboardInterrupt

        return show

    with Live() as live, Interrupt() as interrupt:
        asked, notes = open_videos(trained, data, videos, home=home(trained.path), workers=workers, progress=live)
        if all(label is None for label in asked.labels):
            raise ValueError("none of these videos has a label; ask about them with: nas predict")
        for note in notes:
            live.line(f"note: {note}")
        folder = new_folder(trained.path, out)
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
                raise ValueError(f"none of the {len(result.answers)} videos can be read ({result.answers[0].error})")
            _write_answers(folder, result, trained)
            results.append(result)
            if result.interrupted:
                raise Interrupted(
                    interrupt.exit_code,
                    f"stopped after {len(result.answers):,} of {len(asked.names):,} videos of {name}; their rows are "
                    f"in {folder}",
                )
    record = {"checkpoint": str(trained.path), "notes": notes, "protocols": [facts(result) for result in results]}
    write_atomically(folder / RECORD, json.dumps(record, indent=2) + "\n")
    _draw(folder, results[0], trained, asked)
    return folder, record, results


def _protocols(asked: str, trained: Trained) -> list[str]:
    from training.protocols import PROTOCOLS

    if asked != "all":
        return [asked]
    return [name for name in PROTOCOLS if name != "stream" or trained.network.streams]


def home(checkpoint: Path) -> Path:
    """The run that a trained network is in, or else the folder that it lies in."""
    return checkpoint.parent.parent if checkpoint.parent.name == "checkpoints" else checkpoint.parent


def new_folder(checkpoint: Path, out: Path | None) -> Path:
    """The folder of an evaluation: the one that was asked for, or the run's next `evaluation-N`."""
    if out is not None:
        out.mkdir(parents=True)
        return out
    number = 1
    while True:
        folder = home(checkpoint) / f"evaluation-{number}"
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            number += 1


def _write_answers(folder: Path, result: Result, trained: Trained) -> None:
    from training import answers

    answers.write_csv(folder / f"videos-{result.protocol}.csv", result.answers, trained.classes)
    if importlib.util.find_spec("pyarrow") is not None:
        answers.write_parquet(folder / f"videos-{result.protocol}.parquet", result.answers, trained.classes)
    if result.scores is not None:
        answers.write_classes(folder / f"classes-{result.protocol}.csv", result.scores.confusion(), trained.classes)


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


def comparison(summary: list[dict[str, Any]]) -> Any:
    """The protocols side by side, a line each; costs are those of a video."""
    headers = (
        "protocol", "videos", "broken", "top-1", "95 %", "top-5", "mean class", "ECE", "MACs", "memory", "time",
    )  # fmt: skip
    rows = [
        (
            one["protocol"] if one["views"] == 1 else f"{one['protocol']}, {one['views']}",
            f"{one['videos']:,}",
            one["errors"],
            f"{one['accuracy']:.1%}",
            f"{100 * one['low']:.1f} to {100 * one['high']:.1f}",
            f"{one['top5']:.1%}",
            f"{one['mean_class_accuracy']:.1%}",
            f"{one['calibration_error']:.3f}",
            tables.millions(one["macs"]),
            tables.megabytes(one["memory_bytes"]),
            f"{1e3 * one['seconds']:,.1f} ms",
        )
        for one in summary
    ]
    return tables.grid(headers, rows, right=range(1, len(headers)))


def _draw(folder: Path, result: Result, trained: Trained, videos: Videos) -> None:
    import numpy as np

    from experiments.plots import confusion, mistakes
    from video.views import CENTRE

    scores = result.scores
    assert scores is not None
    title = f"{trained.network.architecture.name}, {result.protocol}: {scores.accuracy:.1%} of {scores.clips:,} videos"
    confusion.draw(scores.confusion(), trained.classes, folder / "confusion.png", title)
    wrong = [
        (float(answer.log_probabilities[answer.label]), index)
        for index, answer in enumerate(result.answers)
        if answer.label is not None and answer.log_probabilities is not None and answer.top(1)[0][0] != answer.label
    ]
    found = []
    for own, index in sorted(wrong)[:SHEET]:
        answer = result.answers[index]
        assert answer.label is not None
        ((said, probability),) = answer.top(1)
        found.append(
            mistakes.Mistake(
                answer.name,
                (trained.classes[answer.label], float(np.exp(own))),
                (trained.classes[said], probability),
                videos.clips(index, (CENTRE,))[0],
            )
        )
    if found:
        mistakes.draw(found, folder / "mistakes.png", f"the worst {len(found)} of {len(wrong):,} mistakes")
