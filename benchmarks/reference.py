"""Are our networks the authors'? Random weights of their TensorFlow code, through our importer, to equal logits.

The reference wants an environment of its own (about 2 GB; its package asks for far more than its networks import):

    python -m venv /tmp/tf && /tmp/tf/bin/pip install tensorflow-cpu tf-keras pyyaml gin-config etils scipy \
        immutabledict pycocotools pillow opencv-python-headless matplotlib toml
    /tmp/tf/bin/pip install --no-deps tf-models-official tensorflow-datasets

Run: python -m benchmarks.reference --python /tmp/tf/bin/python [a0 a1 ...] [--folder DIR]

For each network, base and stream: checkpoint and logits by `benchmarks/reference_tensorflow.py`; import; our logits of
the whole clip and, for stream networks, one frame after the other. With --folder what is there already is used again.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import networks

THEIRS = Path(__file__).with_name("reference_tensorflow.py")
FRAMES, SIZE = 8, 64


def reference(python: Path, folder: Path, name: str, kind: str) -> np.ndarray:
    """Their logits [2, 600]; leaves the checkpoint `ckpt` in the folder."""
    if not (folder / "logits.npz").exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = [python, THEIRS, folder, name, kind, str(FRAMES), str(SIZE)]
        with open(folder / "log.txt", "w") as log:
            code = subprocess.run(command, stdout=log, stderr=log).returncode
        if code:
            raise SystemExit(f"the reference failed on {name} {kind}; see {folder / 'log.txt'}")
    logits: np.ndarray = np.load(folder / "logits.npz")["logits"]
    return logits


@torch.no_grad()
def ours(network: networks.MoViNet, clip: Tensor) -> list[Tensor]:
    """Logits of the whole clip, and of a stream network also those of its last frame, fed alone."""
    if not network.streams:
        return [network(clip)]
    state = network.initial_state(len(clip), SIZE, SIZE)
    for frame in clip.split(1, 2):
        logits, state = network(frame, state)
    return [network(clip)[0], logits]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=networks.list(), help="networks (default: all)")
    parser.add_argument("--python", type=Path, required=True, help="of the environment that has the reference")
    parser.add_argument("--folder", type=Path, help="where checkpoints stay (default: nowhere)")
    args = parser.parse_args()
    clip_NTHWC = np.random.default_rng(0).random((2, FRAMES, SIZE, SIZE, 3), dtype=np.float32)
    clip = torch.from_numpy(clip_NTHWC).permute(0, 4, 1, 2, 3)
    print(
        f"largest |ours - reference| of logits, clips 2x{FRAMES}x{SIZE}x{SIZE}, float32; spread: std of the reference's"
    )
    print("network     tensors   import s   whole clip   by frame   spread")
    worst = 0.0
    with tempfile.TemporaryDirectory() as temporary:
        for name in args.names:
            for kind in ("base", "stream"):
                folder = (args.folder or Path(temporary)) / f"{name}-{kind}"
                theirs = reference(args.python, folder, name, kind)
                begin = time.perf_counter()
                gate = "hard_sigmoid" if kind == "stream" else None  # today's reference, not the released weights'
                found = networks.import_weights(folder / "ckpt", name, stream=kind == "stream", gate=gate)
                took = time.perf_counter() - begin
                apart = [float(np.abs(logits.numpy() - theirs).max()) for logits in ours(found.network, clip)]
                worst = max(worst, *(value / theirs.std() for value in apart))
                columns = "".join(f"{value:11.1e}" for value in apart) + " " * 11 * (2 - len(apart))
                tensors = len(found.file.tensors)
                print(f"{name:3} {kind:6} {tensors:8,} {took:10.1f}  {columns} {theirs.std():8.2f}", flush=True)
    print(f"largest difference over spread: {worst:.1e}")


if __name__ == "__main__":
    main()
