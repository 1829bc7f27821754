"""One training of a trial: a network trained briefly and scored, the same wherever it runs."""

from __future__ import annotations

import dataclasses
import math
import os
import socket
import time
from typing import Any

import video
from scaling.scale_config import ScaleConfig
from searchspace import Architecture, Clip, ClipLike
from training.progress import Progress

PART = "rescoring"
HELD_OUT = 512
"""Clips of the built-in data that a network is scored on."""


@dataclasses.dataclass(frozen=True)
class TrialJob:
    """One short training, as plain data.

    Attributes:
        kind, number, clips, seed: of its task; see `trial_schedule.TrialTask`.
        exponent: of the space that the network is from.
        network: index among the networks that a trial takes from each space.
        clip: shape that it trains on.
        macs: multiply-accumulates at that shape.
        cost: at the member's own clip: `macs`, `params`, `state_bytes`.
        architecture: content of its arch.json.
    """

    kind: str
    number: int
    clips: int
    seed: int
    exponent: int
    network: int
    clip: str
    macs: int
    cost: dict[str, int]
    architecture: dict[str, Any]

    @property
    def name(self) -> str:
        """Names the job in the ledger."""
        parts = ("exponent", self.exponent, "network", self.network, "clips", self.clips, "seed", self.seed)
        return " ".join(map(str, (self.kind, self.number, *parts)))

    @property
    def work(self) -> float:
        """Multiply-accumulates, about; see `training_work`."""
        return training_work(self.macs, self.clips)


def training_work(macs: int, clips: int) -> float:
    """Multiply-accumulates of training on so many clips, a backward pass counted twice, and of scoring.

    What recalibrates BatchNorm, 256 clips forward, is left out: below a twentieth.
    """
    return macs * (3.0 * clips + HELD_OUT)


def train(job: TrialJob, _: Progress, *, config: ScaleConfig, scan_cache: str | None) -> dict[str, Any]:
    """Trains and scores a network.

    Args:
        job: which.
        config: how.
        scan_cache: the file that keeps the scan of a folder of videos, or None.

    Returns:
        `accuracy` and `loss` on held-out clips, or `error` where the training failed; and `seconds`, `process` and
        `machine`, which say what it took and where.
    """
    import torch

    torch.set_num_threads(config.threads)
    begin = time.perf_counter()
    try:
        result = _train(job, config, scan_cache)
    except ValueError as error:  # the loss is not finite, or the clip is too small for the network
        result = {"error": str(error)}
    where = {"process": os.getpid(), "machine": socket.gethostname()}
    return {**result, "seconds": round(time.perf_counter() - begin, 3), **where}


def _train(job: TrialJob, config: ScaleConfig, scan_cache: str | None) -> dict[str, Any]:
    import torch

    import networks
    from training.fit import TRIAL, FitConfig, fit

    source = open_data(config, Clip.parse(job.clip), scan_cache)
    # So short a training needs no regularisation.
    architecture = dataclasses.replace(Architecture.from_dict(job.architecture), dropout=0.0, drop_path=0.0)
    seed = config.seed + job.seed
    architecture = dataclasses.replace(architecture, classes=len(source.classes))
    network = networks.build(architecture, torch.Generator().manual_seed(seed))
    chosen = {"optimizer.name": config.optimizer, "optimizer.lr": config.learning_rate, "optimizer.batch": config.batch}
    score = fit(network, source, FitConfig(clips=job.clips, seed=seed, recipe=TRIAL.changed(chosen)), part=PART)
    if not math.isfinite(score.loss):
        raise ValueError(f"the held-out loss is {score.loss}: lower learning_rate")
    return {"accuracy": score.accuracy, "loss": score.loss, "held_out": score.clips}


_sources: dict[tuple[Any, ...], video.Source] = {}


def open_data(config: ScaleConfig, clip: ClipLike, scan_cache: str | None = None) -> video.Source:
    """The data at a clip shape; the last few are kept, with what they have rendered."""
    clip = Clip.of(clip)
    key = (config.data, config.videos, config.group, config.seed, clip)
    if key not in _sources:
        while len(_sources) >= 3:
            del _sources[next(iter(_sources))]
        if config.data is None:
            _sources[key] = video.MotionSource(config.seed, clip, sizes={PART: HELD_OUT}, cache_bytes=1 << 28)
        else:
            _sources[key] = video.FolderSource(
                config.data,
                clip,
                seed=config.seed,
                videos=config.videos,
                group=config.group,
                scan_cache=scan_cache,
            )
    return _sources[key]
