"""Our networks against the design of the open PyTorch port: clips, streamed frames, training steps.

Both sides run in one process and alternate; printed are the medians, how many times as fast ours is, and the peak
memory of each, which a process of its own measures: its resident high-water mark in three runs, minus what was resident
before the network was made; weights and input count, what making it took for a moment does not. Of streamed frames,
which hold little, it is the median over five processes: one differs from the next by several MB. Before anything is
timed the outputs are compared.

Each row is measured with the system's memory allocator as it is found, and, in another process, with freed pages kept
as `nas` keeps them (`experiments.allocator`). Peaks are those of the first allocator asked for.

The port's side always computes in float32, as its users run it; a row in bfloat16 compares ours in bfloat16 with that.

Run: python -m benchmarks.port [clip-a0 frame-a2 ...] [--threads 1 2] [--allocators system kept]
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

import networks
import searchspace
from benchmarks.port_network import Port
from experiments import allocator
from searchspace import Architecture, Clip
from training.machine.resources import cores

SIDES = ("port", "ours")
SYSTEM, KEPT = ALLOCATORS = ("system", "kept")
RUNS_OF_A_PEAK = 3
PROCESSES_OF_A_FRAME = 5
# Largest difference of logits, in standard deviations of the port's, before anything is timed.
BOUNDS = {torch.float32: 1e-3, torch.bfloat16: 0.15}


@dataclasses.dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        kind: "clip" (inference), "frame" (inference with the state of 16 frames before) or "train" (a step).
        network: published name.
        size: of the clips, or of one frame.
        clips: in a batch.
        dtype: of our side.
    """

    kind: str
    network: str
    size: Clip
    clips: int = 1
    dtype: torch.dtype = torch.float32

    @property
    def name(self) -> str:
        """As the command line takes it, such as "train-a0-64-bf16"."""
        size = f"-{self.size.height}" if self.kind == "train" else ""
        return f"{self.kind}-{self.network}{size}" + ("-bf16" if self.dtype is torch.bfloat16 else "")

    def __str__(self) -> str:
        size = f"{self.size.height}x{self.size.width}"
        what = {
            "clip": f"clip {self.size.frames}x{size}",
            "frame": f"streamed frame {size}",
            "train": f"training step, {self.clips} clips {self.size.frames}x{size}",
        }[self.kind]
        return f"{self.network.upper()} {what}, {'bfloat16' if self.dtype is torch.bfloat16 else 'float32'}"


def rows() -> list[Row]:
    """All rows of the table."""
    result = []
    for dtype in (torch.float32, torch.bfloat16):
        result += [Row("clip", name, searchspace.published(name).clip, 1, dtype) for name in ("a0", "a2")]
    for name in ("a0", "a1", "a2"):
        size = searchspace.published(name).clip
        result.append(Row("frame", name, dataclasses.replace(size, frames=1)))
    for dtype in (torch.float32, torch.bfloat16):
        for side in (128, 64):
            result += [Row("train", name, Clip(8, side, side), 8, dtype) for name in ("a0", "a2")]
    return result


def live(architecture: Architecture) -> networks.MoViNet:
    """A network with weights that all matter: residual scalars of 0.5, random affine parts and statistics."""
    generator = torch.Generator().manual_seed(0)
    network = networks.create(architecture, generator=generator)
    with torch.no_grad():
        for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
            noise = 0.1 * torch.randn(tensor.shape, generator=generator)
            if name.endswith("scale"):
                tensor.fill_(0.5)
            elif name.endswith(("running_var", "norm.weight")):
                tensor.copy_(noise.exp())
            elif name.endswith(("running_mean", "bias")):
                tensor.copy_(noise)
    return network


def side(row: Row, name: str) -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
    """What is compared, which returns logits, and what is timed, of one side of a row."""
    return runs(row, network(row, name), row.dtype if name == "ours" else torch.float32)


def network(row: Row, name: str) -> torch.nn.Module:
    """The network of one side of a row, fused if it is ours and not trained."""
    architecture = searchspace.published(row.network, stream=row.kind == "frame")
    if row.kind == "train":  # without dropout and stochastic depth: both sides then compute the same
        architecture = dataclasses.replace(architecture, dropout=0.0, drop_path=0.0)
    ours = live(architecture)
    if name == "port":
        port = Port(architecture)
        port.load_ours(ours)
        return port.train(row.kind == "train")
    return ours if row.kind == "train" else ours.eval().fuse(row.dtype)


def runs(row: Row, network: torch.nn.Module, dtype: torch.dtype) -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
    """What is compared and what is timed of a network on random clips, trained in `dtype`."""
    generator = torch.Generator().manual_seed(1)
    frames = 17 if row.kind == "frame" else row.size.frames
    clip = torch.rand(row.clips, 3, frames, row.size.height, row.size.width, generator=generator)
    if row.kind == "train":
        return _training(network, clip, dtype)
    return _clip(network, clip) if row.kind == "clip" else _stream(network, clip)


def _clip(network: torch.nn.Module, clip: Tensor) -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
    def run() -> Tensor:
        with torch.inference_mode():
            logits: Tensor = network(clip)
        return logits

    return run, run


def _stream(network: torch.nn.Module, clip: Tensor) -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
    frames = torch.split(clip, 1, 2)
    if isinstance(network, Port):
        port = network

        def push(frame: Tensor) -> Tensor:
            with torch.inference_mode():
                logits: Tensor = port(frame)
            return logits
    else:
        state = network.initial_state(1, *clip.shape[3:])

        def push(frame: Tensor) -> Tensor:
            nonlocal state
            with torch.inference_mode():
                logits, state = network(frame, state, donate=True)
            return logits

    for frame in frames[:-1]:
        push(frame)
    return lambda: push(frames[-1]), lambda: push(frames[-1])


def _training(
    network: torch.nn.Module, clips: Tensor, dtype: torch.dtype
) -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
    network.train()
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9, nesterov=True)
    labels = torch.arange(len(clips))

    def forward() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
            logits: Tensor = network(clips)
        return logits.float()

    def step() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(forward(), labels)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return forward, step


def difference(row: Row) -> float:
    """Largest difference of the two sides' logits, in standard deviations of the port's.

    Raises:
        SystemExit: above `BOUNDS`.
    """
    with torch.no_grad():
        theirs, ours = (side(row, name)[0]().float() for name in SIDES)
    found = float((ours - theirs).abs().max() / theirs.std())
    if not found <= BOUNDS[row.dtype]:
        raise SystemExit(f"{row.name}: the two sides differ by {found:.3g} standard deviations of the logits")
    return found


def medians(row: Row, repeats: int) -> list[float]:
    """Median milliseconds of each side, measured in turn after one run of each that does not count."""
    runs = [side(row, name)[1] for name in SIDES]
    times: list[list[float]] = [[] for _ in runs]
    for round_ in range(repeats + 1):
        for run, measured in zip(runs, times, strict=True):
            start = time.perf_counter()
            run()
            if round_:
                measured.append(1e3 * (time.perf_counter() - start))
    return [statistics.median(measured) for measured in times]


def measured(row: Row, threads: int, repeats: int, pages: str) -> dict[str, float]:
    """Milliseconds of each side and their difference, in a process of its own: allocators do not forget."""
    flags = ["--measure", "--repeats", str(repeats)]
    return _elsewhere(row, threads, pages, flags)


def peak(row: Row, name: str, threads: int, pages: str) -> float:
    """Peak memory of one side in MB, in processes of its own."""
    processes = PROCESSES_OF_A_FRAME if row.kind == "frame" else 1
    return statistics.median(_elsewhere(row, threads, pages, ["--peak", name])["peak"] for _ in range(processes)) / 1e6


def _elsewhere(row: Row, threads: int, pages: str, flags: list[str]) -> dict[str, float]:
    """What this program prints in another process.

    Raises:
        SystemExit: it failed; with its last words.
    """
    command = [sys.executable, "-m", "benchmarks.port", row.name, "--threads", str(threads), "--allocators", pages]
    done = subprocess.run([*command, *flags], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr.strip() or f"{' '.join(command)} ended with {done.returncode}")
    result: dict[str, float] = json.loads(done.stdout)
    return result


def own_peak(row: Row, name: str) -> int:
    """Bytes of resident memory that building one side and running it takes at most in this process."""
    before = resident("VmRSS")
    run = side(row, name)[1]
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again
    for _ in range(RUNS_OF_A_PEAK):
        run()
    return resident("VmHWM") - before


def resident(key: str) -> int:
    """Bytes of this process in memory: "VmRSS" now, "VmHWM" at most."""
    # not getrusage: its peak begins with that of the process that started this one
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return 1024 * int(line.split()[1])


def machine() -> str:
    """Processor, cores, torch and allocator settings in a line."""
    processor = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            processor = line.split(":")[1].strip()
            break
    tunables = os.environ.get("GLIBC_TUNABLES") or "none"
    load = os.getloadavg()[0]
    return f"{processor}, {cores()} cores, torch {torch.__version__}, GLIBC_TUNABLES {tunables}, load {load:.1f}"


def main() -> None:
    """Prints the table line by line."""
    known = {row.name: row for row in rows()}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", help=f"by default all: {' '.join(known)}")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="default 1 2")
    parser.add_argument("--repeats", type=int, default=7, help="runs of each side, 8 times as many frames (default 7)")
    parser.add_argument("--allocators", nargs="+", choices=ALLOCATORS, default=list(ALLOCATORS), help="default both")
    parser.add_argument("--peak", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if unknown := set(arguments.rows) - set(known):
        parser.error(f"rows {', '.join(sorted(unknown))} are not known; allowed: {', '.join(known)}")
    chosen = [known[name] for name in arguments.rows or known]
    if arguments.peak or arguments.measure:
        row = chosen[0]
        torch.set_num_threads(arguments.threads[0])
        if arguments.allocators == [KEPT]:
            allocator.keep_pages()
        if arguments.peak:
            print(json.dumps({"peak": own_peak(row, arguments.peak)}))
            return
        found = difference(row)
        times = medians(row, arguments.repeats * (8 if row.kind == "frame" else 1))
        print(json.dumps({"difference": found, **dict(zip(SIDES, times, strict=True))}))
        return
    print(machine() + "\n")
    if KEPT in arguments.allocators and (not allocator.is_glibc() or allocator.chosen()):
        arguments.allocators = [SYSTEM]
        print(f"pages are not kept: {allocator.described()}\n")
    print("| | threads | allocator | port ms | ours ms | times as fast | port MB | ours MB | difference |")
    print("|---|---|---|---|---|---|---|---|---|")
    for row in chosen:
        for threads in arguments.threads:
            for i, name in enumerate(arguments.allocators):
                result = measured(row, threads, arguments.repeats, name)
                theirs, ours = (result[side] for side in SIDES)
                cells = [str(row), str(threads), name, f"{theirs:.1f}", f"{ours:.1f}", f"{theirs / ours:.2f}"]
                cells += ["" if i else f"{peak(row, side, threads, name):.0f}" for side in SIDES]
                print("| " + " | ".join([*cells, f"{result['difference']:.1e}"]) + " |", flush=True)


if __name__ == "__main__":
    main()
