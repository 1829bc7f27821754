"""Which coefficients a trial tries: proportions of depth, width, resolution and frame rate.

A proposal is a function of (seed, trial, results before its batch), so that no sampler's state is ever saved and the
order in which a batch's trials end makes no difference.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

from scaling.coefficients import DIMENSIONS
from training.seeds import generator

SAMPLERS = ("random", "tpe", "nsga2")
LEAST_WEIGHT = 0.05


class Observation(NamedTuple):
    """A finished trial: its weights, and its accuracy at each exponent, in [0, 1]."""

    weights: tuple[float, ...]
    accuracies: tuple[float, ...]


def batch_size(sampler: str, trials: int) -> int:
    """Trials that are proposed on the same results: all by random, a quarter by samplers that learn."""
    return trials if sampler == "random" else max(4, -(-trials // 4))


def propose(sampler: str, seed: int, trial: int, history: Sequence[Observation]) -> tuple[float, ...]:
    """Weights of the four dimensions, from 0.05 to 1; only their proportions count.

    Args:
        sampler: `random`; `tpe` on the mean accuracy or `nsga2` on the accuracies of both spaces, by Optuna.
        seed: of the search.
        trial: number of the trial.
        history: of earlier trials, in their order.
    """
    rng = generator(seed, "coefficients", trial)
    if sampler == "random":
        return tuple(rng.uniform(LEAST_WEIGHT, 1, len(DIMENSIONS)).tolist())
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    number = int(rng.integers(2**31))
    chosen: optuna.samplers.BaseSampler
    if sampler == "tpe":
        chosen = optuna.samplers.TPESampler(seed=number, n_startup_trials=4)
        values = [[sum(seen.accuracies) / len(seen.accuracies)] for seen in history]
    else:
        chosen = optuna.samplers.NSGAIISampler(seed=number, population_size=max(4, len(history) // 2))
        values = [list(seen.accuracies) for seen in history]
    domain: dict[str, optuna.distributions.BaseDistribution] = {
        name: optuna.distributions.FloatDistribution(LEAST_WEIGHT, 1) for name in DIMENSIONS
    }
    directions = [optuna.study.StudyDirection.MAXIMIZE] * (len(values[0]) if values else 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = optuna.create_study(sampler=chosen, directions=directions)
        for seen, value in zip(history, values, strict=True):
            params = dict(zip(DIMENSIONS, seen.weights, strict=True))
            study.add_trial(optuna.trial.create_trial(params=params, distributions=domain, values=value))
        asked = study.ask(domain)
    return tuple(float(asked.params[name]) for name in DIMENSIONS)
