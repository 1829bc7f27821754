"""Networks trained alone for a short fixed time: the truth that data and searches are measured against.

Every result is appended to `benchmarks/results/alone.jsonl` and never computed twice.

    python -m benchmarks.alone spread           # is the built-in data hard, and do architectures of one cost differ?
    python -m benchmarks.alone winner runs/x    # is a search's winner better than random architectures of its cost?
    python -m benchmarks.alone reasons          # which classes want long time, large space, early 3-D kernels?
    python -m benchmarks.alone forms            # what does each part of the causal form cost a short training?
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np

import searchspace
from controller.repair import repair_to
from searchspace import BASE, STREAM, Architecture, Choices, Clip, Form, Kernel, tabulate
from searchspace.stored import read_records
from training.progress import Progress
from training.run.ledger import Ledger
from training.workers import Lost, in_order, open_workers

RESULTS = Path(__file__).parent / "results" / "alone.jsonl"
CLIP = "8x32x32@5"
CLASSES = 18


@dataclasses.dataclass(frozen=True)
class Alone:
    """A training: an architecture with a seed on so many clips of a shape."""

    architecture: Architecture
    seed: int
    clips: int
    clip: str

    @property
    def name(self) -> str:
        """Names it among others."""
        return f"{self.architecture.name}, seed {self.seed}"

    @property
    def key(self) -> tuple[Any, ...]:
        """Of its record in the ledger."""
        return self.architecture.key(), self.seed, self.clips, self.clip


def train(job: Alone, _: Progress) -> dict[str, Any]:
    """Trains one architecture on one thread; returns a record of its result."""
    import time

    import torch

    import networks
    from training.fit import FitConfig, fit
    from video import MotionSource
    from video.motion_classes import MOTION_CLASSES

    torch.set_num_threads(1)
    begin = time.perf_counter()
    torch.manual_seed(job.seed)
    # So short a training needs no regularisation; with it, and with AdamW, seeds differ more than architectures.
    network = networks.create(dataclasses.replace(job.architecture, dropout=0.0, drop_path=0.0))
    source = MotionSource(seed=0, clip=Clip.parse(job.clip))
    config = FitConfig(clips=job.clips, seed=job.seed)
    scores = fit(network, source, config, part="val")
    families = sorted({c.speed for c in MOTION_CLASSES})
    accuracies = scores.accuracies([families.index(c.speed) for c in MOTION_CLASSES])
    return {
        "architecture": job.architecture.key(),
        "seed": job.seed,
        "clips": job.clips,
        "clip": job.clip,
        "recalibrate": config.recalibrating,
        "accuracy": scores.accuracy,
        "loss": scores.loss,
        "families": {family: round(float(value), 4) for family, value in zip(families, accuracies, strict=True)},
        "seconds": round(time.perf_counter() - begin, 1),
    }


def train_all(pairs: list[tuple[Architecture, int]], arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Results of all (architecture, seed), each on one thread; what is in the ledger is not trained again."""
    RESULTS.parent.mkdir(exist_ok=True)
    # Records from before statistics were recalibrated say nothing of it; they are other measurements.
    records = [record for record in read_records(RESULTS) if "recalibrate" in record]
    known = {(r["architecture"], r["seed"], r["clips"], r["clip"]): r for r in records}
    ledger = Ledger(RESULTS)
    jobs = [Alone(architecture, seed, arguments.clips, arguments.clip) for architecture, seed in pairs]
    with open_workers(arguments.workers) as workers:
        for job, record in workers.map(train, in_order([job for job in jobs if job.key not in known])):
            if isinstance(record, Lost):
                print(f"{job.name}: {record.reason}", flush=True)
                continue
            ledger.append_json(record)
            known[job.key] = record
            print(json.dumps(record), flush=True)
    if any(job.key not in known for job in jobs):
        raise SystemExit("some trainings have no result; what has one is kept, run it again")
    return [known[job.key] for job in jobs]


def random_choices(target: float, count: int) -> Choices:
    """Uniform samples repaired to a cost at the space's own clip, the same for every caller, [count, D]."""
    space = searchspace.load("movinet").with_classes(CLASSES)
    rows = np.concatenate([space.decisions.sample(np.random.default_rng([2026, i]), 1) for i in range(count)])
    repaired = repair_to(space.decisions, rows, "macs", tabulate(space).macs, np.full(count, target), within=0.01)
    assert repaired.inside.all()
    return repaired.choices


def random_architectures(target: float, count: int) -> list[Architecture]:
    """The same as architectures."""
    space = searchspace.load("movinet").with_classes(CLASSES)
    return [space.architecture(row, f"random-{i}") for i, row in enumerate(random_choices(target, count))]


def spread(arguments: argparse.Namespace) -> None:
    """Random architectures of one cost, two seeds each."""
    architectures = random_architectures(arguments.target * 1e6, arguments.count)
    jobs = [(architecture, seed) for architecture in architectures for seed in range(arguments.seeds)]
    results = train_all(jobs, arguments)
    table = np.array([r["accuracy"] for r in results]).reshape(arguments.count, arguments.seeds)
    between_seeds = float(np.sqrt(table.var(axis=1, ddof=1).mean())) if arguments.seeds > 1 else float("nan")
    print(f"{arguments.count} random networks at {arguments.target:g} M, {arguments.clips} clips of {arguments.clip}")
    for architecture, row in zip(architectures, table, strict=True):
        print(f"  {architecture.name:10} depth {architecture.depth:2}  " + "  ".join(f"{a:.3f}" for a in row))
    print(f"mean {table.mean():.3f}, best {table.mean(axis=1).max():.3f}, worst {table.mean(axis=1).min():.3f}")
    print(f"standard deviation: between architectures {table.mean(axis=1).std(ddof=1):.3f}, seeds {between_seeds:.3f}")


def winner(arguments: argparse.Namespace) -> None:
    """A search's winner against random architectures of its cost."""
    best = Architecture.load(Path(arguments.run) / "best" / "arch.json")
    random = random_architectures(arguments.target * 1e6, arguments.count)
    ratio = best.provenance["macs"] / (arguments.target * 1e6)
    assert 0.96 < ratio < 1.02, f"the winner costs {ratio:.2f} times the random ones"
    jobs = [(best, seed) for seed in range(arguments.seeds)]
    jobs += [(architecture, seed) for architecture in random for seed in range(arguments.random_seeds)]
    results = train_all(jobs, arguments)
    ours = [r["accuracy"] for r in results[: arguments.seeds]]
    table = np.array([r["accuracy"] for r in results[arguments.seeds :]]).reshape(arguments.count, -1)
    means = table.mean(axis=1)
    error = float(means.std(ddof=1) / np.sqrt(len(means)))
    print(f"winner of {arguments.run}: {statistics.fmean(ours):.3f} ({', '.join(f'{a:.3f}' for a in ours)})")
    print(f"{arguments.count} random ones of its cost: mean {means.mean():.3f} +- {error:.3f}, best {means.max():.3f}")
    print(f"winner above the mean by {statistics.fmean(ours) - means.mean():+.3f}")


# Kernels by (block, layer) of two layers a block; whatever is not named here is 3x3x3.
PLACES = [(block, layer) for block in range(5) for layer in range(2)]
REASONS: dict[str, dict[tuple[int, int], str]] = {
    "all 3x3x3": {},
    "one temporal kernel": {place: "1x3x3" for place in PLACES if place != (0, 1)},
    "temporal kernels early only": {place: "1x3x3" for place in PLACES if place[0] > 1},
    "temporal kernels late only": {place: "1x3x3" for place in PLACES if place[0] < 2},
    "first kernel 1x3x3": {(0, 0): "1x3x3"},
    "first kernel 1x7x7": {(0, 0): "1x7x7"},
}


def reasons(arguments: argparse.Namespace) -> None:
    """Networks that differ in one respect (two layers a block, middle widths): accuracy by family of classes."""
    from supernet.warmup import Centre

    space = searchspace.load("movinet").with_classes(CLASSES)
    centre = space.architecture(Centre().choices(space), "centre")
    architectures = [_with_kernels(centre, name, kernels) for name, kernels in REASONS.items()]
    jobs = [(architecture, seed) for architecture in architectures for seed in range(arguments.seeds)]
    results = train_all(jobs, arguments)
    families = list(results[0]["families"])
    print(f"{'':28}  MMACs    all  " + "  ".join(f"{family:>6}" for family in families))
    for i, architecture in enumerate(architectures):
        rows = results[i * arguments.seeds : (i + 1) * arguments.seeds]
        for row in rows:
            macs = searchspace.cost(architecture, Clip.parse("8x128x128@5")).macs / 1e6
            cells = "  ".join(f"{row['families'][family]:6.3f}" for family in families)
            print(f"{architecture.name:28}  {macs:5.0f}  {row['accuracy']:.3f}  {cells}")


FORMS: dict[str, Form] = {
    "base": BASE,
    "base, causal": dataclasses.replace(BASE, causal=True),
    "base, hard_swish": dataclasses.replace(BASE, activation="hard_swish"),
    "base, 2plus1d": dataclasses.replace(BASE, convolution="2plus1d"),
    "stream": STREAM,
    "stream, 3d": dataclasses.replace(STREAM, convolution="3d"),
    "stream, swish": dataclasses.replace(STREAM, activation="swish"),
}


def forms(arguments: argparse.Namespace) -> None:
    """The central network of boot in the base form, the causal one, and between them."""
    from supernet.warmup import Centre

    space = searchspace.load("movinet").with_classes(CLASSES)
    architectures = []
    for name, form in FORMS.items():
        own = (
            space.streaming() if form.squeeze_kind == STREAM.squeeze_kind else space
        )  # its squeeze-excitation is wider
        centre = own.architecture(Centre().choices(own), name)
        architectures.append(dataclasses.replace(centre, form=form))
    results = train_all([(a, seed) for a in architectures for seed in range(arguments.seeds)], arguments)
    for i, architecture in enumerate(architectures):
        rows = results[i * arguments.seeds : (i + 1) * arguments.seeds]
        print(f"{architecture.name:18}" + "".join(f"  {row['accuracy']:.3f}" for row in rows))


def _with_kernels(architecture: Architecture, name: str, kernels: dict[tuple[int, int], str]) -> Architecture:
    blocks = tuple(
        dataclasses.replace(
            block,
            layers=tuple(
                dataclasses.replace(layer, kernel=Kernel.parse(kernels.get((b, i), "3x3x3")))
                for i, layer in enumerate(block.layers)
            ),
        )
        for b, block in enumerate(architecture.blocks)
    )
    return dataclasses.replace(architecture, name=name, blocks=blocks)


def main() -> None:
    """Parses and runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for function in (spread, winner, reasons, forms):
        command = commands.add_parser(function.__name__, help=function.__doc__)
        command.set_defaults(function=function)
        command.add_argument("--clips", type=int, default=8000, help="training clips each")
        command.add_argument("--clip", default=CLIP)
        command.add_argument("--seeds", type=int, default=2)
        command.add_argument("--count", type=int, default=12 if function is spread else 8)
        command.add_argument("--workers", type=int, default=2, help="trainings at a time")
        command.add_argument("--target", type=float, default=600.0, help="MMACs at 8x128x128 of the random ones")
        if function is winner:
            command.add_argument("--random-seeds", type=int, default=1)
            command.add_argument("run", help="a run folder")
    arguments = parser.parse_args()
    arguments.function(arguments)


if __name__ == "__main__":
    main()
