"""Watching the policy: entropies, preferences, and a warning when it decides too early."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from controller.policy import Policy, activity

COLLAPSED = 0.95
"""A decision is collapsed when its likeliest value has at least this probability."""


@dataclass(frozen=True)
class Summary:
    """The state of a policy, for logs.

    Attributes:
        entropy: expected entropy of the active decisions, nats.
        entropies: of each decision by itself, by path, nats.
        preferred: likeliest value of each decision, by path.
        least_certain, mean_certain: smallest and mean probability of the likeliest values, over decisions that are
            active with probability one half or more and have a choice; 1 where there are none.
        collapsed: part of these decisions whose likeliest value has at least 95 %.
    """

    entropy: float
    entropies: dict[str, float]
    preferred: dict[str, Any]
    least_certain: float
    mean_certain: float
    collapsed: float


def summary(policy: Policy) -> Summary:
    """Reads a policy."""
    decisions, matrix = policy.decisions, policy.matrix()
    certain = matrix.max(axis=1)
    counted = certain[(activity(decisions, matrix) >= 0.5) & (decisions.sizes > 1)]
    counted = counted if len(counted) else np.ones(1)
    return Summary(
        policy.entropy(),
        dict(zip(decisions.paths, policy.entropies().tolist(), strict=True)),
        {
            path: values[i]
            for path, values, i in zip(decisions.paths, decisions.values, matrix.argmax(axis=1), strict=True)
        },
        float(counted.min()),
        float(counted.mean()),
        float((counted >= COLLAPSED).mean()),
    )


def warning(policy: Policy, progress: float) -> str | None:
    """One line for a policy that has collapsed before half time, else None.

    Collapsed means that nine in ten decisions are: what is sampled from then on is one architecture and its like.
    """
    if progress >= 0.5:
        return None
    read = summary(policy)
    if read.collapsed < 0.9:
        return None
    return (
        f"the policy collapsed early: after {progress:.0%} of the search {read.collapsed:.0%} of its decisions are "
        f"{COLLAPSED:.0%} sure; lower the sum of rates or |beta|, or search longer"
    )
