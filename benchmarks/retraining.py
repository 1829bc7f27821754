"""What `nas retrain` reaches, by seeds: one row a question. Results are lines of `benchmarks/results/retraining.jsonl`
and never computed twice; a run that was interrupted goes on.

    python -m benchmarks.retraining                    # all rows, three seeds, of the network in results/searched.json
    python -m benchmarks.retraining --rows causal      # one of them
    python -m benchmarks.retraining --rows videos --data mex_depth --group '^(s[0-9]+)'
    python -m benchmarks.retraining --arch runs/search-1/best/arch.json
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import searchspace
from searchspace import Architecture, Clip, Kernel
from searchspace.stored import read_records
from training.recipe import Recipe
from training.run.ledger import Ledger

RESULTS = Path(__file__).parent / "results" / "retraining.jsonl"
SEARCHED = RESULTS.with_name("searched.json")
"""The winner of `make search`, seed 0, 603 MMACs, of which the results are."""
CLIP = "8x64x64@5"
SHORT = {"schedule.epochs": 4}
"""Of the rows that compare: 8,192 clips, about four minutes on two cores at 8x64x64."""


@dataclasses.dataclass(frozen=True)
class Row:
    """A question.

    Attributes:
        text: of the table.
        settings: of `training.retrain.run_retrain`.
        architecture: from the searched one.
        extra: what else to measure, from the run's folder.
    """

    text: str
    settings: dict[str, Any]
    architecture: Callable[[Architecture], Architecture] = lambda architecture: architecture
    extra: Callable[[Path], dict[str, float]] = lambda _: {}


def framewise(architecture: Architecture) -> Architecture:
    """The same widths, each kernel replaced by the spatial one of nearest size: frames meet in means only."""
    spatial = {27: Kernel(1, 5, 5), 45: Kernel(1, 7, 7)}

    def flat(kernel: Kernel) -> Kernel:
        if kernel.t == 1:
            return kernel
        return spatial.get(kernel.taps, Kernel(1, 3, 3))

    blocks = tuple(
        dataclasses.replace(
            block, layers=tuple(dataclasses.replace(layer, kernel=flat(layer.kernel)) for layer in block.layers)
        )
        for block in architecture.blocks
    )
    return dataclasses.replace(architecture, name=f"{architecture.name}-framewise"[:200], blocks=blocks)


def streamed(folder: Path) -> dict[str, float]:
    """Accuracy of the best network on the test clips whole, and frame by frame with its state carried."""
    import torch

    import networks
    from training.evaluation.part_scores import evaluate
    from video import MotionSource

    network = networks.load(folder).network
    clip = network.architecture.clip
    source = MotionSource(seed=json.loads((folder / "config.json").read_text())["seed"], clip=clip)

    def by_frame(clips: torch.Tensor) -> torch.Tensor:
        state = network.initial_state(len(clips), clip.height, clip.width)
        for t in range(clips.shape[2]):
            logits, state = network(clips[:, :, t : t + 1], state)
        result: torch.Tensor = logits
        return result

    whole, frames = evaluate(network.logits, source, "val"), evaluate(by_frame, source, "val")
    return {"clip_accuracy": whole.accuracy, "stream_accuracy": frames.accuracy}


def pair(folder: Path) -> dict[str, float]:
    """Two networks at the full rate: this seed's and the next one's, the mean of their logits."""
    import networks
    from training.evaluation.part_scores import evaluate
    from video import MotionSource

    seed = int(folder.name.rpartition("-")[2])
    other = folder.with_name(f"{folder.name.rpartition('-')[0]}-{seed + 1}")
    if not (other / "summary.json").exists():
        return {}
    one, two = (networks.load(run).network for run in (folder, other))
    source = MotionSource(seed=seed, clip=one.architecture.clip)
    score = evaluate(lambda clips: (one.logits(clips) + two.logits(clips)) / 2, source, "val")
    return {"pair_accuracy": score.accuracy}


def member(folder: Path) -> dict[str, float]:
    """The first member of an ensemble alone."""
    summary = json.loads((folder / "summary.json").read_text())
    return {"member_accuracy": summary["members"][0]["best"]["accuracy"]}


ROWS = {
    "searched": Row("searched network, 20,480 clips of 8x64x64", {"clip": CLIP}),
    "own": Row("at its own 8x128x128, 5,120 clips", {"clip": "8x128x128@5", "schedule.epochs": 2.5}),
    "own_longer": Row("at its own 8x128x128, 15,360 clips", {"clip": "8x128x128@5", "schedule.epochs": 7.5}),
    "framewise": Row("frame-wise network of the same widths, 8,192 clips", {"clip": CLIP, **SHORT}, framewise),
    "causal": Row("causal form, 8,192 clips", {"clip": CLIP, "stream": True, **SHORT}, extra=streamed),
    "full": Row("one member at the full rate, 8,192 clips", {"clip": CLIP, **SHORT}),
    "half": Row("two members at half the rate, 8,192 clips each", {"clip": CLIP, "ensemble": 2, **SHORT}, extra=member),
    "videos": Row(
        "real videos",
        {
            "schedule.epochs": 15,
            "augmentation.crop_area": [0.6, 1.0],
            "evaluation.views": 3,
            "network.dropout": 0.3,
        },
    ),
}


def train(name: str, seed: int, architecture: Architecture, arguments: argparse.Namespace) -> dict[str, Any]:
    """One seed of a row; what is in the ledger is not trained again."""
    from training.retrain.run_retrain import retrain

    row = ROWS[name]
    settings = {**row.settings, "seed": seed, "threads": arguments.threads, "recipe": "demo", "data": None}
    if name == "videos":
        settings |= {"data": arguments.data, "group": arguments.group, "clip": arguments.videos_clip}
    if arguments.set:
        settings |= {key: json.loads(value) for key, _, value in (text.partition("=") for text in arguments.set)}
    chosen = row.architecture(architecture)
    recipe = hashlib.sha256(Recipe.load("demo").to_yaml().encode()).hexdigest()[:10]
    written = settings | {"data": Path(settings["data"]).name if settings["data"] else None}  # not where it lies here
    identity = {"row": name, "architecture": chosen.key(), "settings": written, "recipe": recipe}
    for record in read_records(RESULTS):
        if {key: record[key] for key in identity} == identity:
            return record
    runs = Path(arguments.runs)
    result = retrain(chosen, settings, runs=runs, name=f"{name}-{seed}", resume=True, progress=_Lines())
    members = result.summary["members"]
    record = {
        **identity,
        "macs": searchspace.cost(chosen, Clip.parse(result.summary["clip"])).macs,
        "accuracy": result.accuracy,
        "last_accuracy": members[0]["last"]["accuracy"],
        "clips": result.summary["clips"],
        "seconds": round(result.summary["seconds"], 1),
        **row.extra(result.folder),
    }
    Ledger(RESULTS).append_json(record)
    return record


class _Lines:
    def line(self, text: str) -> None:
        print(text, flush=True)

    def status(self, status: object) -> None:
        pass

    def phase(self, title: str, done: int, total: int) -> None:
        pass


def table(rows: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """Mean and standard deviation over the seeds of everything that was measured."""
    for name, records in rows.items():
        yield f"{ROWS[name].text}: {statistics.fmean(r['macs'] for r in records) / 1e6:.0f} M, {len(records)} seeds"
        for key in [key for key in records[0] if key.endswith("accuracy") or key == "seconds"]:
            values = [record[key] for record in records if key in record]
            spread = f" +- {statistics.stdev(values):.4f}" if len(values) > 1 else ""
            yield f"  {key:16} {statistics.fmean(values):.4f}{spread}  ({', '.join(f'{v:.4g}' for v in values)})"


def main() -> None:
    """Parses and runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", default=SEARCHED, help="an arch.json, such as RUN/best/arch.json of a search")
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=[name for name in ROWS if name != "videos"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", default="/tmp/retraining", help="folder of the runs")
    parser.add_argument("--data", help="folder of real videos")
    parser.add_argument("--group", help="regular expression, see nas retrain")
    parser.add_argument("--videos-clip", default="8x64x64@2.5", help="clip of real videos")
    parser.add_argument("--set", action="append", metavar="KEY=JSON", help="change a setting of every row")
    arguments = parser.parse_args()
    if "videos" in arguments.rows and arguments.data is None:
        parser.error("row videos: give a folder with --data")
    architecture = Architecture.load(arguments.arch)
    rows = {
        name: [train(name, seed, architecture, arguments) for seed in range(arguments.seeds)] for name in arguments.rows
    }
    if "full" in rows:  # pairs need both of their networks
        for record, seed in zip(rows["full"], range(arguments.seeds), strict=True):
            record |= pair(Path(arguments.runs) / f"full-{seed}")
    for line in table(rows):
        print(line)


if __name__ == "__main__":
    main()
