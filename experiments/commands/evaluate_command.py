"""Judge a trained network on labelled videos: one clip, many clips, and the whole video as a stream."""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.arguments import add_flag, add_flags, one_of, read_by, whole
from experiments.text import terminal as tables
from searchspace.commands import command
from training.machine.resources import cores
from training.run import accept
from training.search.search_config import SearchConfig

if TYPE_CHECKING:
    from networks import Trained

EXAMPLE = """  nas evaluate runs/retrain-1
  nas evaluate runs/retrain-1 --data my-videos --protocol stream
  nas evaluate a0.safetensors --data k600/val.csv --videos k600/clips --protocol multiclip --views 10x3"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `nas evaluate`."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a run, the folder of a trained network, a file in it")
    parser.add_argument(
        "--data",
        metavar="DIR|CSV|motion",
        help="folder of videos, one sub-folder a class, of which val/ is taken if there is one; an annotation file in "
        "the form of Kinetics; the built-in data (default: what the network was validated on)",
    )
    add_flag(parser, SearchConfig, "videos")
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
    add_flag(parser, SearchConfig, "workers", default=cores())
    parser.add_argument("--device", default="cpu", help="cpu, or cuda (default: cpu)")
    add_flags(parser, SearchConfig, "threads", "formulation")
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
    accept("evaluate", args.checkpoint)
    import networks
    from experiments import evaluation_pictures
    from experiments.plots.live import Live
    from experiments.torch_device import set_up
    from training.evaluation.judging import evaluate_videos

    trained = networks.load(args.checkpoint)
    protocols = _protocols(args.protocol, trained)
    trained.network.to(set_up(args.device, args.threads))
    with networks.formulation(args.formulation or "fast"), Live() as progress:
        found = evaluate_videos(
            trained,
            lambda _: protocols,
            data=args.data,
            videos=args.videos,
            views=args.views,
            batch=args.batch,
            workers=args.workers,
            device=args.device,
            out=args.out,
            progress=progress,
        )
    folder, record = found.folder, found.record
    evaluation_pictures.draw(folder, trained, found.videos)
    if args.json:
        tables.print_json({"folder": str(folder), **record})
        return 0
    tables.show(comparison(record["protocols"]), title(trained))
    for answer in [answer for answer in found.results[0].answers if answer.error][:5]:
        print(f"no answer: {answer.name} ({answer.error})")
    if importlib.util.find_spec("pyarrow") is None:
        print("note: no Parquet files without pyarrow: pip install 'movinas[parquet]'")
    for file in sorted(folder.iterdir()):
        print(f"wrote {file}")
    print(f"next: {command('predict', args.checkpoint, 'VIDEO')}")
    print(f"      {command('report', args.checkpoint, 'RUN')}")
    return 0


def title(trained: Trained) -> str:
    """Of the table of protocols."""
    return f"{trained.network.architecture.name}, per video: {trained.path}"


def _protocols(asked: str, trained: Trained) -> list[str]:
    from training.evaluation.protocols import PROTOCOLS

    if asked != "all":
        return [asked]
    return [name for name in PROTOCOLS if name != "stream" or trained.network.streams]


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
