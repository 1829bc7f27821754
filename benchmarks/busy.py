"""What other programs on the same cores cost, by how OpenMP's threads wait for one another (`training.machine.openmp`).

    python -m benchmarks.busy                                   # the whole table: about 20 minutes, at most 25
    python -m benchmarks.busy --settings default PASSIVE 10000 --loads 0 1 --turns 1

Rows are settings: the library's default, sleeping at once, spin counts, one thread, and what `nas` chooses by the load
at the start. Columns are a step of a search on an A2-sized network, a step of a retraining, a batch of an evaluation
and a frame of a stream, each beside 0, 1 and 2 endless loops of equal priority. Every setting beside every load is a
process of its own, since the library reads the setting when it is loaded; idle and busy take turns, three times. Shown
are medians over the turns and their ratio to the default on an idle machine; a step that does not end in time is cut
off and shown as "> 10 s". Every measurement is a line of results/busy.jsonl. What is computed must not depend on the
setting: the first step's result is compared bit by bit between all processes of the same number of threads.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime
import hashlib
import json
import os
import queue
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from training.machine import openmp
from training.machine.resources import cores

RESULTS = Path(__file__).parent / "results" / "busy.jsonl"
WORKS = ("search", "retrain", "evaluate", "stream")
UNITS = {"search": "step", "retrain": "step", "evaluate": "batch", "stream": "frame"}
BY_LOAD = "by load"

START_SECONDS = 60.0
"""For a process to import torch and build its networks; a machine on which that takes longer is beyond measuring."""


@dataclasses.dataclass(frozen=True)
class Setting:
    """How threads wait.

    Attributes:
        name: in the table.
        environment: what the process is started with; None for what `nas` sets by the load at the start.
        threads: of torch; None for the cores.
    """

    name: str
    environment: dict[str, str] | None
    threads: int | None = None


SETTINGS = (
    Setting("default", {}),
    Setting("PASSIVE", {"OMP_WAIT_POLICY": "PASSIVE"}),
    *(Setting(str(spins), {"GOMP_SPINCOUNT": str(spins)}) for spins in (1_000, 3_000, 10_000, 30_000, 100_000)),
    Setting("one thread", {}, threads=1),
    Setting(BY_LOAD, None),
)


@dataclasses.dataclass(frozen=True)
class Row:
    """One measurement.

    Attributes:
        setting, load, work, turn: of what.
        threads: of torch.
        seconds: median of a process's steps; None where not one ended in time.
        limit: seconds after which it was cut off.
        repeats: steps that were measured.
        digest: of the first step's result; empty where there is none.
    """

    setting: str
    load: int
    work: str
    turn: int
    threads: int
    seconds: float | None
    limit: float
    repeats: int
    digest: str


# The process that is measured


def build(work: str, tiny: bool) -> Callable[[], Any]:
    """A step of a work, which gives a tensor; `tiny` builds the smallest networks, for tests."""
    import torch

    import networks
    import searchspace
    from benchmarks.supernet_step import CLASSES, architectures, shared
    from supernet import Supernet
    from training.evaluation.predictions import for_inference
    from training.recipe import Recipe
    from training.steps.trainer import Trainer, prepare_scratch

    torch.manual_seed(0)
    side, count = (16, 2) if tiny else (32, 16)
    if work == "search":
        space = searchspace.load("movinet")
        architecture = architectures(space)["nearest to A2"]
        net = Supernet(space, CLASSES)
        clips = torch.rand(count, 3, 8, side, side).contiguous(memory_format=torch.channels_last_3d)
        step = shared(net, architecture, clips, torch.arange(count) % CLASSES)

        def search() -> Any:
            step()
            return net.flat_weights.detach()

        return search
    name = "t0" if tiny else "a2"
    if work == "retrain":
        plain = dataclasses.replace(searchspace.published(name), classes=CLASSES, dropout=0.0, drop_path=0.0)
        network = networks.create(plain, generator=torch.Generator().manual_seed(0))
        recipe = Recipe.load("demo").changed({"optimizer.batch": count})
        prepare_scratch(network, recipe)
        trainer = Trainer(network, recipe, 1_000_000)
        pixels = torch.randint(0, 256, (count, 3, 8, 2 * side, 2 * side), dtype=torch.uint8)

        def retrain() -> Any:
            trainer.step(pixels.contiguous(memory_format=torch.channels_last_3d), torch.arange(count) % CLASSES)
            return network.classifier.weight.detach()

        return retrain
    if work == "evaluate":
        network = networks.create(name, generator=torch.Generator().manual_seed(0)).eval()
        answering, clips = for_inference(network), torch.rand(max(1, count // 2), 3, 8, 4 * side, 4 * side)

        def evaluate() -> Any:
            with torch.no_grad():
                return answering.logits(clips)

        return evaluate
    causal = networks.create("t0" if tiny else "a0", stream=True, generator=torch.Generator().manual_seed(0)).eval()
    with torch.no_grad():
        for layer in causal.bottlenecks():
            layer.scale.fill_(0.5)  # fresh weights would warn
    stream, frame = networks.Stream(causal.fuse()), torch.rand(3, 172, 172)
    return lambda: stream.push(frame)


def measure(works: Sequence[str], threads: int, seconds: float, tiny: bool) -> None:
    """Measures works one after the other, and prints a line of JSON when one begins and when it ends."""
    import torch

    torch.set_num_threads(threads)
    for work in works:
        step = build(work, tiny)
        print(json.dumps({"begins": work}), flush=True)
        times: list[float] = []
        digest, begin = "", time.perf_counter()
        while not times or time.perf_counter() - begin < seconds:
            start = time.perf_counter()
            result = step()
            times.append(time.perf_counter() - start)
            digest = digest or hashlib.sha256(result.contiguous().numpy().tobytes()).hexdigest()[:16]
        # The first warms up, but where it took all the time there is no other.
        told = times[1:] or times
        print(
            json.dumps({"work": work, "seconds": statistics.median(told), "repeats": len(told), "digest": digest}),
            flush=True,
        )


# The process that measures


@contextlib.contextmanager
def loops(count: int) -> Iterator[None]:
    """Endless loops of equal priority beside the block; they end with it, and with this process."""
    code = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n    for _ in range(1_000_000): pass"
    running = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(count)]
    try:
        if running:
            time.sleep(0.5)  # until they run
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


class Measured:
    """A process of `measure`, whose lines come with a time limit."""

    def __init__(self, setting: Setting, works: Sequence[str], seconds: float, tiny: bool) -> None:
        words = ["--measure", *works, "--setting", setting.name, "--seconds", str(seconds)] + ["--tiny"] * tiny
        words += ["--threads", str(setting.threads or cores())]
        environment = {name: text for name, text in os.environ.items() if name not in openmp.VARIABLES}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.busy", *words],
            env={**environment, **(setting.environment or {})},
            stdout=subprocess.PIPE,
            text=True,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def line(self, seconds: float) -> dict[str, Any] | None:
        """The next line; None where none comes in time.

        Raises:
            SystemExit: the process failed; its words are on standard error.
        """
        try:
            line = self._lines.get(timeout=seconds)
        except queue.Empty:
            return None
        if line is None:
            raise SystemExit(f"a process that was measured ended with {self._process.wait()}")
        found: dict[str, Any] = json.loads(line)
        return found

    def end(self) -> None:
        """Ends it, whatever it does."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()


def measured(
    setting: Setting, load: int, turn: int, works: Sequence[str], seconds: float, limit: float, tiny: bool = False
) -> list[Row]:
    """One setting beside one load: works that end in time, and those that were cut off; others go on without these."""
    rows: list[Row] = []
    threads = setting.threads or cores()
    with loops(load):
        left = list(works)
        while left:
            process = Measured(setting, tuple(left), seconds, tiny)
            try:
                while left:
                    if process.line(START_SECONDS) is None:
                        raise SystemExit(f"torch did not start within {START_SECONDS:.0f} s beside {load} loops")
                    found, work = process.line(limit), left.pop(0)
                    if found is None:
                        rows.append(Row(setting.name, load, work, turn, threads, None, limit, 0, ""))
                        break
                    given = (found["seconds"], limit, found["repeats"], found["digest"])
                    rows.append(Row(setting.name, load, work, turn, threads, *given))
            finally:
                process.end()
    return rows


def check_digests(rows: Sequence[Row]) -> None:
    """Raises SystemExit where the same work of as many threads computed something else."""
    first: dict[tuple[str, int], Row] = {}
    for row in rows:
        if row.digest:
            other = first.setdefault((row.work, row.threads), row)
            if other.digest != row.digest:
                raise SystemExit(
                    f"{row.work} on {row.threads} threads: {row.setting!r} beside {row.load} loops computes something "
                    f"else than {other.setting!r} beside {other.load}"
                )


def cell(rows: Sequence[Row], base: float | None) -> str:
    """Median over turns, and its ratio to the default on an idle machine; where most were cut off, that."""
    if not rows:
        return "-"
    values = sorted(float("inf") if row.seconds is None else row.seconds for row in rows)
    middle = values[(len(values) - 1) // 2]
    if middle == float("inf"):
        return f"> {rows[0].limit:g} s"
    cut = sum(row.seconds is None for row in rows)
    text = f"{1e3 * middle:,.0f} ms" if middle >= 0.1 else f"{1e3 * middle:.1f} ms"
    ratio = "" if base is None else f" ({middle / base:.2f})"
    return text + ratio + (f", {cut} of {len(rows)} cut off" if cut else "")


def table(rows: Sequence[Row], settings: Sequence[Setting], loads: Sequence[int], works: Sequence[str]) -> list[str]:
    """Lines of a table in Markdown."""

    def of(setting: str, load: int, work: str) -> list[Row]:
        return [row for row in rows if (row.setting, row.load, row.work) == (setting, load, work)]

    lines = []
    for work in works:
        idle = [row.seconds for row in of("default", 0, work) if row.seconds is not None]
        base = statistics.median(idle) if idle else None
        heads = [f"{UNITS[work]} beside {load}" for load in loads]
        lines += ["", f"| {work} | " + " | ".join(heads) + " |", "|---" * (1 + len(loads)) + "|"]
        for setting in settings:
            cells = [cell(of(setting.name, load, work), base) for load in loads]
            lines.append(f"| {setting.name} | " + " | ".join(cells) + " |")
    return lines


def run(arguments: argparse.Namespace) -> list[Row]:
    """Measures turn by turn, keeps every row, and stops when the time is over."""
    chosen = [setting for setting in SETTINGS if setting.name in arguments.settings]
    date, begin = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), time.monotonic()
    rows: list[Row] = []
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    for turn in range(arguments.turns):
        for setting in chosen:
            for load in arguments.loads:
                if time.monotonic() - begin > 60 * arguments.minutes:
                    print(f"stopped after {arguments.minutes:g} minutes, in turn {turn + 1} of {arguments.turns}")
                    return rows
                more = measured(
                    setting, load, turn, arguments.works, arguments.seconds, arguments.limit, arguments.tiny
                )
                rows += more
                with open(arguments.results, "a", encoding="utf-8") as file:
                    for row in more:
                        file.write(json.dumps({"date": date, "cores": cores(), **dataclasses.asdict(row)}) + "\n")
                told = ", ".join(f"{row.work} {cell([row], None)}" for row in more)
                print(f"turn {turn + 1}, {setting.name}, beside {load}: {told}", file=sys.stderr, flush=True)
                check_digests(rows)
    return rows


def main(words: list[str] | None = None) -> None:
    """Prints the table."""
    names = [setting.name for setting in SETTINGS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--loads", nargs="+", type=int, default=[0, 1, 2], help="endless loops beside (default 0 1 2)")
    parser.add_argument("--works", nargs="+", choices=WORKS, default=list(WORKS), help=f"default {' '.join(WORKS)}")
    parser.add_argument("--turns", type=int, default=3, help="default 3")
    parser.add_argument("--seconds", type=float, default=1.5, help="to measure each work in each process (default 1.5)")
    parser.add_argument("--limit", type=float, default=10.0, help="seconds until a work is cut off (default 10)")
    parser.add_argument("--minutes", type=float, default=24.0, help="after which no process begins (default 24)")
    parser.add_argument(
        "--results", type=Path, default=RESULTS, help="JSON lines, appended (default results/busy.jsonl)"
    )
    parser.add_argument("--tiny", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--measure", nargs="+", choices=WORKS, help=argparse.SUPPRESS)
    parser.add_argument("--setting", choices=names, help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args(words)
    if arguments.limit <= arguments.seconds:
        parser.error(f"--limit {arguments.limit:g} must be above --seconds {arguments.seconds:g}")
    if arguments.measure:
        if arguments.setting == BY_LOAD:
            os.environ.update(openmp.ours(openmp.is_busy()))
        measure(arguments.measure, arguments.threads, arguments.seconds, arguments.tiny)
        return
    rows = run(arguments)
    chosen = [setting for setting in SETTINGS if setting.name in arguments.settings]
    print("\n".join(table(rows, chosen, arguments.loads, arguments.works)))


if __name__ == "__main__":
    main()
