"""TensorFlow Lite files that TensorFlow made, and networks that are written as such."""

from __future__ import annotations

import dataclasses
import gzip
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import networks
from networks import MoViNet
from searchspace import STREAM, Architecture
from tests.networks.live_networks import randomise_

ASSETS = Path(__file__).parents[2] / "assets" / "tflite"


HARD = dataclasses.replace(STREAM, gate="hard_sigmoid")


def unpacked(name: str, folder: Path) -> Path:
    file = folder / f"{name}.tflite"
    file.write_bytes(gzip.decompress((ASSETS / f"{name}.tflite.gz").read_bytes()))
    return file


def seeded(frames: int, height: int, width: int) -> Tensor:
    """The frames of `benchmarks/reference_tflite.py`, [1, 3, T, H, W]."""
    clip_NTHWC = np.random.default_rng(0).random((1, frames, height, width, 3), dtype=np.float32)
    return torch.from_numpy(clip_NTHWC).permute(0, 4, 1, 2, 3)


def relative(ours: Tensor, theirs: np.ndarray) -> float:
    """The largest difference, in parts of the largest number; maps of theirs are [N, T, H, W, C]."""
    values = ours.movedim(1, -1) if ours.dim() == 5 else ours
    return float(np.abs(values.numpy().reshape(theirs.shape) - theirs).max() / max(np.abs(theirs).max(), 1e-9))


def live(architecture: Architecture, seed: int = 0) -> MoViNet:
    """Random weights with which every layer matters."""
    network = networks.create(architecture, generator=torch.Generator().manual_seed(seed))
    randomise_(network)
    with torch.no_grad():
        for layer in network.bottlenecks():
            layer.scale.fill_(0.5)
    return network.eval()
