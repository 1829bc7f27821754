"""What decoding costs, and that it gives the frames it gave: today's decoder beside that of an earlier commit.

python -m benchmarks.decode ../videos                      # files below folders, against the first decoder
python -m benchmarks.decode a.mp4 --against HEAD~1

Both sides run in one process, in turns; the cost is processor time, of the fastest of the repeats. Files of which the
two decoders give different frames are named and left out of the ratios: there the earlier one was wrong, or today's is.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import math
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import video

BEFORE = "1f665d9"
"""The last commit whose decoder dropped frames whose stamps ran backwards."""

SHORT_SIDE = 146  # as for clips of 128 x 128
CLIP = [0.2 * k for k in range(8)]  # seconds, as 8 frames at 5 a second


def earlier(commit: str) -> ModuleType:
    """The decoder of a commit, as a module of its own: one file then."""
    source = subprocess.run(
        ["git", "show", f"{commit}:video/decode.py"],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent,
    ).stdout
    folder = Path(tempfile.mkdtemp())
    (folder / "earlier_decode.py").write_text(source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("earlier_decode", folder / "earlier_decode.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


Operation = tuple[Callable[[], Any], Callable[[], Any]]
"""The same work before and now."""


def operations(old: ModuleType, path: Path, info: video.VideoInfo) -> dict[str, Operation]:
    """What the product does with a file: a scan, all frames, and clips as training reads them."""
    starts = np.random.default_rng(0).uniform(0, max(0.0, info.duration - CLIP[-1]), 4)
    clips = [[float(start) + offset for offset in CLIP] for start in starts]
    return {
        "scan": (lambda: old.probe(path).frames, lambda: video.probe(path).frames),
        "all frames": (
            lambda: old.read_frames(path, None, SHORT_SIDE),
            lambda: video.read_frames(path, None, SHORT_SIDE),
        ),
        "4 random clips": (
            lambda: np.stack([old.read_frames(path, times, SHORT_SIDE, seek=not info.broken) for times in clips]),
            lambda: np.stack([video.read_frames(path, times, SHORT_SIDE, info=info) for times in clips]),
        ),
    }


def in_turns(pair: Operation, repeats: int) -> tuple[float, float]:
    """Seconds of processor time of the fastest run of each side."""
    best = [math.inf, math.inf]
    for _, side in itertools.product(range(repeats), (0, 1)):
        begin = time.process_time()
        pair[side]()
        best[side] = min(best[side], time.process_time() - begin)
    return best[0], best[1]


def _files(places: Sequence[Path]) -> list[Path]:
    found = [place for place in places if place.is_file()]
    found += [path for place in places if place.is_dir() for path in sorted(place.rglob("*")) if path.is_file()]
    return [path for path in found if not video.probe(path).error]


def main() -> None:
    """Parses, compares, measures and prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("places", type=Path, nargs="+", metavar="FILE|DIR")
    parser.add_argument("--against", default=BEFORE, metavar="COMMIT", help=f"default: {BEFORE}")
    parser.add_argument("--repeats", type=int, default=7, metavar="N", help="of each side (default: 7)")
    args = parser.parse_args()
    old = earlier(args.against)
    total: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    names: dict[str, int] = defaultdict(int)
    print("| file | operation | ms before | ms now | ratio |\n|---|---|---|---|---|")
    for path in _files(args.places):
        info = video.probe(path)
        for name, pair in operations(old, path, info).items():
            if not np.array_equal(pair[0](), pair[1]()):
                print(f"| {path.name} | {name} | | | other frames |", flush=True)
                continue
            before, now = in_turns(pair, args.repeats)
            total[name][0] += before
            total[name][1] += now
            names[name] += 1
            print(f"| {path.name} | {name} | {1e3 * before:.2f} | {1e3 * now:.2f} | {now / before:.3f} |", flush=True)
    for name, (before, now) in total.items():
        print(f"| all {names[name]} | {name} | {1e3 * before:.0f} | {1e3 * now:.0f} | **{now / before:.3f}** |")


if __name__ == "__main__":
    main()
