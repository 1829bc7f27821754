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
from searchspace import Architecture, Clip, cost
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
    each = seconds_per_mac(base.architecture, clip, config.threads, config.batch)
    return Estimate(jobs_planned(config), work_planned(config, macs) * each / workers)


def seconds_per_mac(architecture: Architecture, clip: Clip, threads: int, batch: int) -> float:
    """Of training on the built-in data, in the unit of `jobs.training_work`: a few steps measured, twice.

    Args:
        architecture: whose steps are measured.
        clip: that it trains on.
        threads: of torch, given back afterwards.
        batch: clips a step.
    """
    clips = MEASURED_STEPS * batch
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        source = video.MotionSource(0, clip, sizes={PART: batch})
        architecture = dataclasses.replace(architecture, classes=len(source.classes))
        source.batch("weights", range(2 * clips))
        recipe, least = SHORT.changed({"optimizer.batch": batch, "network.recalibrate": 0}), float("inf")
        for _ in range(2):
            network = networks.MoViNet(architecture, torch.Generator().manual_seed(0))
            begin = time.perf_counter()
            fit(network, source, FitConfig(clips=clips, recipe=recipe), part=PART)
            least = min(least, time.perf_counter() - begin)
    finally:
        torch.set_num_threads(before)
    return least / (cost(architecture, clip).macs * (3 * clips + batch))
