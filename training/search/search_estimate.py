"""What a search will take: memory by closed form, time by a few measured steps. Nothing is written."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import torch

from controller.repair import try_repair
from searchspace import Architecture
from searchspace.cost import FLOAT_BYTES, RGB
from searchspace.spec import cost
from training.evaluation.predictions import to_clips
from training.names import OPTIMIZERS
from training.retrain.footprint import LIBRARIES
from training.search.rescoring import sizes
from training.search.search_problem import Problem
from training.search.search_task import WARMUP_LOOK_EVERY
from training.search.supernet_steps import SupernetSteps
from training.seeds import generator


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What a search will take, roughly.

    Attributes:
        memory_bytes: peak of the process, at the dearest step.
        checkpoint_bytes: of the two checkpoints that are kept, and one being written.
        training_seconds: on this machine, from a few measured steps at the budget's cost.
        rescoring_seconds: of the last phase.
    """

    memory_bytes: int
    checkpoint_bytes: int
    training_seconds: float
    rescoring_seconds: float


def estimate(problem: Problem, rescoring_clips: int = 2048) -> Estimate:
    """Builds the supernet in memory and measures a few steps.

    Args:
        problem: the search.
        rescoring_clips: clips that there are to re-score on.
    """
    config, clip = problem.config, problem.train_clip
    torch.set_num_threads(config.threads)
    steps = SupernetSteps(problem)
    shared = FLOAT_BYTES * steps.supernet.flat_weights.numel()
    dearest = problem.space.architecture(problem.costs.extreme("activation_bytes", True))
    training = config.micro_batch * dearest.saved_bytes(clip)
    looking = config.look_clips * cost(dearest, clip).activation_bytes
    clips = 6 * 64 * RGB * clip.frames * clip.height * clip.width
    memory = LIBRARIES + shared * (2 + OPTIMIZERS[config.optimizer]) + max(training, looking) + clips
    memory += (0 if config.data else 12_288 + 2048) * RGB * clip.frames * clip.height * clip.width  # cached, uint8
    rows = problem.space.decisions.sample(generator(config.seed, "estimate"), 3, problem.start)
    architectures = [
        problem.space.architecture(row) for row in try_repair(problem.space.decisions, rows, problem.window()).choices
    ]
    train = _seconds(problem, steps, architectures, config.micro_batch, look=False)
    look = _seconds(problem, steps, architectures, config.look_clips, look=True)
    delay = round(config.delay * config.steps)
    looks = config.steps - delay + delay // WARMUP_LOOK_EVERY
    return Estimate(
        memory_bytes=memory,
        checkpoint_bytes=3 * shared * (1 + OPTIMIZERS[config.optimizer]),
        training_seconds=config.paths * (config.steps * train + looks * look),
        rescoring_seconds=sizes(problem, rescoring_clips).clips() * look / config.look_clips,
    )


def _seconds(
    problem: Problem, steps: SupernetSteps, architectures: list[Architecture], clips: int, look: bool
) -> float:
    """Least time of a training micro-batch or a look at the budget's cost."""
    from supernet import Path

    shape, rng = problem.train_clip, np.random.default_rng(0)
    frames = rng.integers(0, 256, (clips, shape.frames, shape.height, shape.width, RGB), dtype=np.uint8)
    batch = to_clips(frames)
    labels = torch.from_numpy(rng.integers(0, problem.space.classes, clips))
    best = float("inf")
    for architecture in architectures:
        begin = time.perf_counter()
        if look:
            steps.look(architecture, batch, labels)
        else:
            steps.train([Path(architecture)], [(batch, labels)], 0)
        best = min(best, time.perf_counter() - begin)
    return best
