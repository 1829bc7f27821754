"""Where the time goes, by kind of layer: training step of A2, clip of A2, streamed frame of A0.

A clock stands on the kind that runs (`benchmarks.probes`), forward and backward; medians of runs. Beside the time stand
the floating-point operations and the bytes that a kind cannot do without, each tensor moved once an operation, and its
share of the roofline: the time that these would take at the speed of a large matrix product or, if that is longer, of a
copy, over the time it took. Both speeds are measured in the same run; the copy of a streamed frame, whose maps stay in
cache, is one in cache.

Prints a table and draws benchmarks/profile.png. Run: python -m benchmarks.profile [train-a2-64 clip-a2 frame-a0]
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from matplotlib.figure import Figure

from benchmarks import port
from benchmarks.port import Row
from benchmarks.probes import KINDS, Clock, Work, probed
from experiments.allocator import keep_pages
from experiments.plots.figure import INK, SOFT, save, tidy
from experiments.plots.front_data import COLOURS

PICTURE = Path(__file__).with_name("profile.png")
ROWS = ("train-a2-64", "clip-a2", "frame-a0")
PRODUCT = 1024  # rows and columns of the matrices whose product is the ceiling
MORE_COLOURS = ("#9aa3ad", "#d08fb0", "#7fb3c8", "#c9ced4")
LARGE, CACHED = 64 << 20, 1 << 20  # bytes of a copy


@dataclasses.dataclass(frozen=True)
class Part:
    """One kind of layer in a run: milliseconds, floating-point operations, bytes, and the roofline's milliseconds."""

    kind: str
    ms: float
    flops: int
    bytes: int
    least: float


@dataclasses.dataclass(frozen=True)
class Profile:
    """Of one row: its parts, and the milliseconds of a run without probes."""

    row: Row
    parts: list[Part]
    ms: float


def best(run: Callable[[], object], repeats: int = 15) -> float:
    """Least seconds of a run."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def product_speed(dtype: torch.dtype) -> float:
    """Floating-point operations a second of a large matrix product."""
    left, right = (torch.rand(PRODUCT, PRODUCT).to(dtype) for _ in range(2))
    return 2 * PRODUCT**3 / best(lambda: torch.mm(left, right))


def copy_speed(size: int) -> float:
    """Bytes a second, read and written, of a copy of so many."""
    source, target = (torch.ones(size // 4) for _ in range(2))
    rounds = max(1, LARGE // size // 8)

    def copy() -> None:
        for _ in range(rounds):
            target.copy_(source)

    return 2 * size * rounds / best(copy)


def profile(row: Row, repeats: int) -> Profile:
    """Runs one row with and without probes."""
    network, training, clock = port.network(row, "ours"), row.kind == "train", Clock()
    flops, bandwidth = product_speed(row.dtype), copy_speed(CACHED if row.kind == "frame" else LARGE)
    _, run = port.runs(row, network, row.dtype)
    run()
    plain, seconds = [], []
    with probed(network, clock):
        work = clock.count(run)
    for _ in range(repeats):
        plain.append(best(run, 1))
        with probed(network, clock):
            seconds.append(clock.time(run))
    parts = []
    for kind in KINDS:
        ms = 1e3 * statistics.median(one.get(kind, 0.0) for one in seconds)
        if ms:
            done = work.get(kind, Work())
            operations, moved = done.flops(training), done.bytes(training)
            parts.append(Part(kind, ms, operations, moved, 1e3 * max(operations / flops, moved / bandwidth)))
    title = f"{row}: {1e3 * statistics.median(plain):.1f} ms, with probes {sum(part.ms for part in parts):.1f}"
    print(f"\n{title}; product {flops / 1e9:.0f} GFLOP/s, copy {bandwidth / 1e9:.0f} GB/s\n")
    return Profile(row, parts, 1e3 * statistics.median(plain))


def table(found: Profile) -> str:
    """Markdown."""
    total = sum(part.ms for part in found.parts)
    lines = ["| | ms | of the time | GFLOP/s | MB | GB/s | of the roofline |", "|---|---|---|---|---|---|---|"]
    for part in found.parts:
        cells = [part.kind, f"{part.ms:.2f}", f"{part.ms / total:.0%}"]
        if part.bytes:
            cells += [f"{part.flops / part.ms / 1e6:.1f}" if part.flops else "", f"{part.bytes / 1e6:.1f}"]
            cells += [f"{part.bytes / part.ms / 1e6:.1f}", f"{part.least / part.ms:.0%}"]
        else:
            cells += [""] * 4
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw(profiles: list[Profile], path: Path) -> None:
    """Stacked bars of shares of the time; the full part of each is what the roofline would take."""
    figure = Figure(figsize=(12, 1.3 * len(profiles) + 1.9), layout="constrained")
    axes = figure.subplots()
    tidy(axes)
    colours = {kind: colour for kind, colour in zip(KINDS, (*COLOURS, *MORE_COLOURS), strict=True)}
    for kind in KINDS:
        axes.barh(0, 0, color=colours[kind], label=kind)  # the legend in the order of the layers
    for y, found in enumerate(profiles):
        left, total = 0.0, sum(part.ms for part in found.parts)
        for part in found.parts:
            share, colour = part.ms / total, colours[part.kind]
            axes.barh(y, share, 0.6, left, color=colour, alpha=0.35, edgecolor="white", linewidth=1.2)
            axes.barh(y, min(part.least / total, share), 0.6, left, color=colour)
            if share > 0.035:
                text = f"{part.ms:.0f}" if part.ms >= 10 else f"{part.ms:.1f}"
                axes.text(left + share / 2, y + 0.34, text, ha="center", va="top", fontsize=8, color=INK)
            left += share
    axes.set_yticks(range(len(profiles)), [f"{found.row}\n{found.ms:.1f} ms" for found in profiles], color=INK)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.grid(False, axis="y")
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f}%")
    axes.set_xlabel("of the time; numbers are ms; full colour: what the roofline would take", color=SOFT)
    figure.legend(loc="outside upper center", ncols=6, fontsize=9, frameon=False)
    save(figure, path)


def main() -> None:
    """Prints a table a row, then draws."""
    known = {row.name: row for row in port.rows()}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", help=f"of {' '.join(known)}; by default {' '.join(ROWS)}")
    parser.add_argument("--threads", type=int, default=1, help="default 1")
    parser.add_argument("--repeats", type=int, default=7, help="runs, 8 times as many frames (default 7)")
    arguments = parser.parse_args()
    if unknown := set(arguments.rows) - set(known):
        parser.error(f"rows {', '.join(sorted(unknown))} are not known; allowed: {', '.join(known)}")
    torch.set_num_threads(arguments.threads)
    keep_pages()
    print(port.machine())
    profiles = []
    for name in arguments.rows or ROWS:
        row = known[name]
        profiles.append(profile(row, arguments.repeats * (8 if row.kind == "frame" else 1)))
        print(table(profiles[-1]), flush=True)
    draw(profiles, PICTURE)
    print(f"\npicture: {PICTURE}")


if __name__ == "__main__":
    main()
