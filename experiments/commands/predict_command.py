"""Say what is in a video: the likeliest classes of any file, folder of videos, or sequence of pictures."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from typing import TYPE_CHECKING, Any

from experiments.arguments import add_flags, number, one_of, whole
from experiments.errors import USERS_MISTAKE
from experiments.text import terminal as tables
from searchspace.commands import command
from searchspace.naming import located
from training.run import accept
from training.search.search_config import SearchConfig

if TYPE_CHECKING:
    from training.evaluation.protocols import Answer

EXAMPLE = """  nas predict runs/retrain-1 clip.mp4
  nas predict runs/retrain-1 my-videos --format csv > answers.csv
  nas predict runs/retrain-1 clip.mp4 --stream        frame by frame, all of it
  nas predict runs/retrain-1 frames/ --fps 25         a folder of pictures"""

NAME = 40
"""Characters of a name that a table shows, the last ones."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `nas predict`."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a run, the folder of a trained network, a file in it")
    parser.add_argument("videos", metavar="VIDEO", nargs="+", help="files, folders of videos, folders of pictures")
    parser.add_argument(
        "--stream", action="store_true", help="all frames, one by one, through a causal network (default: one clip)"
    )
    parser.add_argument("--top", type=whole(1, 1000), default=5, metavar="N", help="classes of each (default: 5)")
    parser.add_argument(
        "--fps", type=number(0.001, 1000), metavar="RATE", help="pictures a second, of folders of pictures"
    )
    parser.add_argument(
        "--format", default="table", help="how to print (default: table)", **one_of("table", "csv", "json")
    )
    parser.add_argument("--device", default="cpu", help="cpu, or cuda (default: cpu)")
    add_flags(parser, SearchConfig, "threads", "formulation")


def run(args: argparse.Namespace) -> int:
    """Prints an answer for each video; the exit code is 2 where one could not be read."""
    accept("predict", args.checkpoint)
    for path in args.videos:
        if not located(path).exists():
            raise ValueError(f"{path}: no such file or folder; give a checkpoint, then videos")
    import networks
    from experiments.plots.live import Live
    from experiments.torch_device import set_up
    from training.evaluation.predict_videos import predict

    trained = networks.load(args.checkpoint)
    trained.network.to(set_up(args.device, args.threads))
    with Live() as live, networks.formulation(args.formulation or "fast"):
        answers = predict(
            trained,
            args.videos,
            stream=args.stream,
            fps=args.fps,
            device=args.device,
            progress=lambda done, total: live.phase("videos", done, total) if total > 1 else None,
            left_out=lambda text: live.line(f"left out: {text}"),
        )
    if args.format == "json":
        tables.print_json([_data(answer, trained.classes, args.top) for answer in answers])
    elif args.format == "csv":
        print(_csv(answers, trained.classes, args.top), end="")
    else:
        rows = [row for answer in answers for row in _rows(answer, trained.classes, args.top)]
        tables.show(tables.grid(("video", "class", "probability", ""), rows, right=(2,)))
    failed = [answer for answer in answers if answer.error]
    if failed:
        print(f"nas: {len(failed)} of {len(answers)} could not be read", file=sys.stderr)
        return USERS_MISTAKE
    if args.format == "table":
        print(f"next: {command('evaluate', args.checkpoint, data='DIR')}    how often it is right, on labelled videos")
    return 0


def _rows(answer: Answer, classes: tuple[str, ...], top: int) -> list[tuple[str, str, str, str]]:
    name = answer.name if len(answer.name) <= NAME else f"…{answer.name[1 - NAME :]}"
    if answer.error:
        return [(name, f"error: {answer.error}", "", "")]
    return [
        (name if i == 0 else "", classes[label], f"{share:.1%}", tables.bar(share, 20))
        for i, (label, share) in enumerate(answer.top(top))
    ]


def _data(answer: Answer, classes: tuple[str, ...], top: int) -> dict[str, Any]:
    if answer.error:
        return {"video": answer.name, "error": answer.error}
    found = [{"class": classes[label], "probability": round(share, 6)} for label, share in answer.top(top)]
    return {"video": answer.name, "frames": answer.frames, "classes": found}


def _csv(answers: list[Answer], classes: tuple[str, ...], top: int) -> str:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("video", "rank", "class", "probability", "error"))
    for answer in answers:
        if answer.error:
            writer.writerow((answer.name, "", "", "", answer.error))
            continue
        for rank, (label, share) in enumerate(answer.top(top), 1):
            writer.writerow((answer.name, rank, classes[label], f"{share:.6f}", ""))
    return table.getvalue()
