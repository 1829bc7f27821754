"""The trainer against a bare loop, and the memory of training with stream buffers.

    python -m benchmarks.trainer speed                 # ratio of the steps, and rendering beside
    python -m benchmarks.trainer memory                # peak over T = 16, 64, 256 in sub-clips of 8, and whole clips
    python -m benchmarks.trainer speed --arch runs/search-1/best/arch.json --threads 2
    python -m benchmarks.trainer speed --compile       # the trainer's network through torch.compile, the loop's not

Speed: one process, both loops take turns on the same batches of one loader, each with a network of its own; the ratio
is of the medians. Memory: one process a length; what its resident peak grows by from before the first step, without
the uint8 clips themselves.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import resource
import statistics
import subprocess
import sys
import time

import torch
import torch.nn.functional as F

import networks
import video
from searchspace import Architecture, Clip, load_spec, published
from training.recipe import Recipe
from training.steps.trainer import Trainer, prepare_scratch
from video import MotionSource

CLASSES = 18


def architecture(arguments: argparse.Namespace) -> Architecture:
    """The network to time, without random parts."""
    found = published("a0", stream=arguments.stream) if arguments.arch is None else load_spec(arguments.arch)
    assert isinstance(found, Architecture)
    found = found.streaming() if arguments.stream else found
    return dataclasses.replace(found, classes=CLASSES, dropout=0.0, drop_path=0.0)


def speed(arguments: argparse.Namespace) -> None:
    """Steps of both loops in turn; what a step waits for the loader is timed apart."""
    torch.set_num_threads(arguments.threads)
    clip, batch = Clip.parse(arguments.clip), arguments.batch
    recipe = Recipe.load("demo").changed({"optimizer.batch": batch, "compute.compile": arguments.compile})
    ours, bare = (
        networks.create(architecture(arguments), generator=torch.Generator().manual_seed(0)) for _ in range(2)
    )
    for network in (ours, bare):
        prepare_scratch(network, recipe)
    rounds = arguments.rounds
    trainer = Trainer(ours, recipe, rounds + 2)
    optimizer = torch.optim.SGD(bare.parameters(), 0.04, momentum=0.9, nesterov=True, fused=True)
    bare.train()

    def bare_step(clips: torch.Tensor, labels: torch.Tensor) -> None:
        optimizer.zero_grad()
        loss = F.cross_entropy(bare.logits(video.to_float(clips)), labels, label_smoothing=0.1)
        loss.backward()
        optimizer.step()
        float(loss.detach())

    source = MotionSource(seed=0, clip=clip, sizes={"weights": batch * (rounds + 2)}, cache_bytes=0)
    requests = (video.Request("weights", range(i * batch, (i + 1) * batch)) for i in range(rounds + 2))
    times: dict[str, list[float]] = {"loading": [], "trainer": [], "bare": []}
    begin = time.perf_counter()
    for i, (clips, labels) in enumerate(video.batches(source, requests)):
        loading = time.perf_counter() - begin
        pair = [("trainer", trainer.step), ("bare", bare_step)]
        spent = {}
        for name, step in pair if i % 2 else reversed(pair):
            start = time.perf_counter()
            step(clips, labels)
            spent[name] = time.perf_counter() - start
        if i >= 2:
            times["loading"].append(loading)
            for name, seconds in spent.items():
                times[name].append(seconds)
        begin = time.perf_counter()
    median = {name: statistics.median(values) for name, values in times.items()}
    ratios = [a / b for a, b in zip(times["trainer"], times["bare"], strict=True)]
    print(
        json.dumps(
            {
                "clip": str(clip),
                "batch": batch,
                "threads": arguments.threads,
                "compile": arguments.compile,
                "rounds": rounds,
                **{f"{name}_ms": round(1e3 * value, 2) for name, value in median.items()},
                "trainer_over_bare": round(median["trainer"] / median["bare"], 4),
                "median_of_ratios": round(statistics.median(ratios), 4),
                "loading_over_step": round(median["loading"] / median["trainer"], 4),
            }
        )
    )


def memory(arguments: argparse.Namespace) -> None:
    """Peaks of processes of their own."""
    jobs = [(frames, frames // arguments.subclip) for frames in arguments.frames]
    jobs += [(frames, 1) for frames in arguments.frames if frames <= arguments.whole]
    first: dict[bool, float] = {}
    for frames, pieces in jobs:
        words = [sys.executable, "-m", "benchmarks.trainer", "peak", "--frames", str(frames), "--subclips", str(pieces)]
        words += ["--clip", arguments.clip, "--batch", str(arguments.batch), "--stream"]
        words += ["--arch", arguments.arch] if arguments.arch else []
        record = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
        base = first.setdefault(pieces > 1, record["grown_mb"])
        print(json.dumps({**record, "over_the_first": round(record["grown_mb"] / base, 3)}), flush=True)


def peak(arguments: argparse.Namespace) -> None:
    """One length: three steps, and what the resident peak has grown by."""
    torch.set_num_threads(1)
    clip = Clip.parse(arguments.clip)
    frames = arguments.frames[0]
    recipe = Recipe.load("demo").changed(
        {"optimizer.batch": arguments.batch, "compute.subclips": arguments.subclips, "network.average": 0.0}
    )
    network = networks.create(architecture(arguments))
    prepare_scratch(network, recipe)
    trainer = Trainer(network, recipe, 3)
    pixels = torch.randint(0, 256, (arguments.batch, frames, clip.height, clip.width, 3), dtype=torch.uint8)
    labels = torch.arange(arguments.batch) % CLASSES
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(3):
        trainer.step(pixels.permute(0, 4, 1, 2, 3), labels)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(
        json.dumps(
            {
                "frames": frames,
                "subclips": arguments.subclips,
                "batch": arguments.batch,
                "clip_mb": round(pixels.nbytes / 1e6, 1),
                "grown_mb": round(grown * 1024 / 1e6, 1),
                "peak_without_clips_mb": round(((before + grown) * 1024 - pixels.nbytes) / 1e6, 1),
            }
        )
    )


def main() -> None:
    """Parses and runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for function in (speed, memory, peak):
        command = commands.add_parser(function.__name__, help=function.__doc__)
        command.set_defaults(function=function)
        command.add_argument("--arch", help="an arch.json (default: the published A0)")
        command.add_argument("--stream", action="store_true")
        command.add_argument("--clip", default="8x64x64@5")
        command.add_argument("--batch", type=int, default=16 if function is speed else 4)
        command.add_argument("--threads", type=int, default=1)
        command.add_argument("--compile", action="store_true", help="the trainer's network through torch.compile")
        command.add_argument("--rounds", type=int, default=30)
        command.add_argument("--frames", type=int, nargs="+", default=[16, 64, 256])
        command.add_argument("--subclip", type=int, default=8, help="frames of a sub-clip")
        command.add_argument("--subclips", type=int, default=1)
        command.add_argument("--whole", type=int, default=64, help="longest clip that is trained whole, too")
    arguments = parser.parse_args()
    arguments.function(arguments)


if __name__ == "__main__":
    main()
