"""What training clips cost a process: cropped, augmented, and decoded each time.

python -m benchmarks.augmentation DIR       # a folder of videos, one sub-folder a class
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from searchspace import Clip
from video import Augmentation, FolderSource

CLIPS = ("8x64x64@5", "8x128x128@5", "50x172x172@5")
EPOCHS = 3
ROWS: dict[str, dict[str, object]] = {
    "crop, flip": {},
    "... AutoAugment": {"policy": "autoaugment"},
    "... RandAugment": {"policy": "randaugment"},
    "... colour, erasing": {"color": 0.4, "erase": 0.5},
    "crop, flip, jitter: decoded each time": {"frame_rate_jitter": 1},
}


def milliseconds(source: FolderSource) -> float:
    """Of one training clip, whose video is in memory where it can be kept."""
    indices = range(source.parts["weights"])
    for index in indices:
        source.item("weights", index, training=True)
    begin = time.perf_counter()
    for epoch in range(1, 1 + EPOCHS):
        for index in indices:
            source.item("weights", index, epoch, training=True)
    return 1e3 * (time.perf_counter() - begin) / (EPOCHS * len(indices))


def main() -> None:
    """Parses, measures and prints a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    source = FolderSource(parser.parse_args().folder, Clip.parse(CLIPS[0]))
    sources = [source.at(Clip.parse(clip)) for clip in CLIPS]
    print(f"| ms a clip | {' | '.join(CLIPS)} |\n|---|{'---|' * len(CLIPS)}")
    print(f"| a search's modest crop | {' | '.join(f'{milliseconds(one):.1f}' for one in sources)} |", flush=True)
    for name, fields in ROWS.items():
        how = Augmentation(crop_area=(0.08, 1.0), crop_aspect=(0.5, 2.0), flip=0.5, **fields)  # type: ignore[arg-type]
        cells = " | ".join(f"{milliseconds(one.augmented(how)):.1f}" for one in sources)
        print(f"| {name} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
