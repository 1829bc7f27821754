"""How long a search over coefficients will take: a few steps measured, the rest by multiply-accumulates."""

from __future__ import annotations

import dataclasses
import math
import time

import numpy as np
import torch

import networks
import video
from scaling.coefficients import DIMENSIONS, Coefficients
from scaling.family_base import Base
from scaling.members import bring, members
from scaling.scale_config import TRIAL_EXPONENTS, ScaleConfig
from scaling.trial import PART, training_work
from scaling.trial_ledger import jobs_planned, planned, proxy_clip
from searchspace import ClipLike, NetworkSpec, cost
from training.fit import TRIAL, FitConfig, fit

MEASURED_STEPS = 4


@dataclasses.dataclass(frozen=True)
class TimeEstimate:
    """What a search will take, roughly.

    Attributes:
        trainings: how many.
        seconds: on this machine, with every worker as fast as this process alone.
    """

    trainings: int
    seconds: float


def estimate_time(config: ScaleConfig, base: Base, workers: int) -> TimeEstimate:
    """Measures steps of the base scaled up and down by equal shares, each at its proxy clip.

    Multiply-accumulates alone would promise too little: small maps of odd sides are slow, and rounding adds to them.

    Args:
        config: of the search.
        base: what is scaled.
        workers: trainings at a time.
    """
    side, ratio = base.proxy_side(config.search_resolution), config.target_ratio or 2.0
    coefficients = Coefficients.shared_out([1] * len(DIMENSIONS), ratio)
    targets = [base.macs * ratio**exponent for exponent in TRIAL_EXPONENTS]
    logarithms = []
    for member in members(base.space, coefficients, TRIAL_EXPONENTS, targets):
        row = bring(base.choices[None], base.space, 0, member, coefficients).choices[0]
        architecture, clip = member.space.architecture(row), proxy_clip(member, base, side)
        each = seconds_per_mac(architecture, clip, config.threads, config.batch)
        logarithms.append(math.log(each * cost(architecture, clip).macs))
    slope, middle = np.polyfit(TRIAL_EXPONENTS, logarithms, 1)
    seconds = math.fsum(
        count * training_work(1, clips) * math.fsum(math.exp(middle + slope * exponent) for exponent in exponents)
        for count, clips, exponents in planned(config)
    )
    return TimeEstimate(jobs_planned(config), config.architectures * seconds / workers)


def seconds_per_mac(architecture: NetworkSpec, clip: ClipLike, threads: int, batch: int) -> float:
    """Of training on the built-in data, in the unit of `trial.training_work`: a few steps measured, twice.

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
        architecture = architecture.with_classes(len(source.classes))
        source.batch("weights", range(2 * clips))
        recipe, least = TRIAL.changed({"optimizer.batch": batch, "network.recalibrate": 0}), float("inf")
        for _ in range(2):
            network = networks.build(architecture, torch.Generator().manual_seed(0))
            begin = time.perf_counter()
            fit(network, source, FitConfig(clips=clips, recipe=recipe), part=PART)
            least = min(least, time.perf_counter() - begin)
    finally:
        torch.set_num_threads(before)
    return least / (cost(architecture, clip).macs * (3 * clips + batch))
