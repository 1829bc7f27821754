"""How long a search over coefficients will take: a few steps measured, the rest by multiply-accumulates."""

from __future__ import annotations

import dataclasses
import time

import torch

import networks
import video
from scaling.base import Base
from scaling.config import ScaleConfig
from scaling.jobs import PART
from scaling.work import jobs_planned, work_planned
from searchspace import cost
from training.fit import SHORT, FitConfig, fit

MEASURED_STEPS = 4


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What a search will take, roughly.

    Attributes:
        trainings: how many.
        seconds: on this machine, with every worker as fast as this process alone.
    """

    trainings: int
    seconds: float


def estimate(config: ScaleConfig, base: Base, workers: int) -> Estimate:
    """Measures the base's steps at its proxy clip; members' cost follows from the ratio.

    Args:
        config: of the search.
        base: what is scaled.
        workers: trainings at a time.
    """
    clip = base.space.clip.at(base.proxy_side(config.search_resolution))
    macs = cost(base.architecture, clip).macs
    clips = MEASURED_STEPS * config.batch
    before = torch.get_num_threads()
    torch.set_num_threads(config.threads)
    try:
        source = video.MotionSource(config.seed, clip, sizes={PART: config.batch})
        architecture = dataclasses.replace(base.architecture, classes=len(source.classes))
        source.batch("weights", range(2 * clips))
        recipe, least = SHORT.changed({"optimizer.batch": config.batch, "network.recalibrate": 0}), float("inf")
        for _ in range(2):
            network = networks.MoViNet(architecture, torch.Generator().manual_seed(0))
            begin = time.perf_counter()
            fit(network, source, FitConfig(clips=clips, recipe=recipe), part=PART)
            least = min(least, time.perf_counter() - begin)
    finally:
        torch.set_num_threads(before)
    each = least / (macs * (3 * clips + config.batch))
    return Estimate(jobs_planned(config), work_planned(config, macs) * each / workers)
