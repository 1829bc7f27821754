"""The learning rate as a function of the step."""

from __future__ import annotations

import math


def learning_rate(step: int, steps: int, peak: float, warmup: int = 0, floor: float = 0.0) -> float:
    """Linear warm-up, then cosine.

    The cosine is evaluated from step 0 and the warm-up overrides its first part, as in the reference's recipes for
    MoViNets.

    Args:
        step: 0-based, below `steps`.
        steps: in all.
        peak: rate that the cosine starts from.
        warmup: steps of the linear rise; its first step already has 1 / warmup of the peak.
        floor: where the cosine ends, as a share of the peak.
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * step / steps)))
