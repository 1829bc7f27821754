"""What one step of a supernet is: K paths on K micro-batches, one update, and looks on held-out clips."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

import video
from networks import MoViNet, formulation
from networks.weights import misfit
from searchspace import Architecture, Choices, Kernel
from supernet import Centre, Path, Supernet, Warmup, extract, recalibrate
from training.evaluation.classification_scores import Score
from training.evaluation.part_scores import evaluate
from training.evaluation.predictions import average, count_right, logits_of
from training.machine.precision import autocast
from training.search.search_problem import Problem
from training.seeds import generator
from training.steps import optimizers
from training.steps.rate_schedule import learning_rate

Batch = tuple[torch.Tensor, torch.Tensor]
RECALIBRATION_BATCHES = 16


@dataclasses.dataclass(frozen=True, slots=True)
class Look:
    """One noisy observation: accuracy in [0, 1] and mean cross-entropy on one held-out micro-batch."""

    accuracy: float
    loss: float


class SupernetSteps:
    """A supernet with its optimiser.

    Attributes:
        supernet: the shared weights.
        optimizer: over all of them.
    """

    def __init__(self, problem: Problem) -> None:
        config = problem.config
        self.problem, self.config = problem, config
        self.supernet = Supernet(
            problem.space,
            problem.space.classes,
            kernels=config.kernels,  # type: ignore[arg-type]  # the configuration has checked it
            scale=config.residual,
            seed=config.seed,
        ).to(config.device)
        self.warmup = Warmup(
            problem.space,
            config.warmup,  # type: ignore[arg-type]  # the configuration has checked it
            config.warmup_fraction,
            Centre(kernel=Kernel.parse(config.boot_kernel), depth=config.boot_depth),
        )
        self.supernet.checkpointing = config.checkpointing
        self.optimizer = optimizers.build(config.optimizer, [self.supernet.flat_weights], config.learning_rate)

    def restore(self, shared: Mapping[str, torch.Tensor]) -> None:
        """Takes over shared weights; raises `ValueError` where they are not those of this supernet."""
        problem = misfit(self.supernet.state_dict(), shared)
        if problem is not None:
            raise ValueError(f"supernet: {problem}")
        self.supernet.load_state_dict(shared)

    def paths(self, choices: Choices, step: int) -> tuple[list[Path], npt.NDArray[np.bool_]]:
        """The paths that train at a step: the sampled architectures with what the warm-up replaces.

        Args:
            choices: sampled, canonical [K, D].
            step: 0-based.

        Returns:
            K paths, and which decisions were replaced, [K, D].
        """
        progress = step / self.config.steps
        return self.warmup(choices, progress, generator(self.config.seed, "warm-up", step))

    def train(self, paths: list[Path], batches: list[Batch], step: int) -> float:
        """One update of the weights, every path on a micro-batch of its own; returns the mean loss."""
        config = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(
                step, config.steps, config.learning_rate, round(config.rate_warmup * config.steps), config.rate_floor
            )
        self.supernet.zero_grad()
        losses = []
        share = 1 / len(paths)
        for path, (clips, labels) in zip(paths, batches, strict=True):
            logits = self._run(video.to_float(clips.to(config.device)), path)
            loss = F.cross_entropy(logits, labels.to(config.device), label_smoothing=config.label_smoothing)
            (loss * share).backward()  # type: ignore[no-untyped-call]  # torch's own
            losses.append(float(loss.detach()))
            if config.weight_decay:
                self.supernet.decay_(path, config.weight_decay * share)
        if config.clip_norm:
            torch.nn.utils.clip_grad_norm_([self.supernet.flat_weights], config.clip_norm)
        self.optimizer.step()
        return math.fsum(losses) / len(losses)

    def look(self, architecture: Architecture, clips: torch.Tensor, labels: torch.Tensor) -> Look:
        """Scores a path on held-out clips (uint8 [N, C, T, H, W]) with the current weights."""
        device = self.config.device
        logits = logits_of(lambda floats: self.logits(floats, architecture), clips, device)
        correct, loss = count_right(average([logits]), labels.to(device))
        return Look(correct / len(labels), loss / len(labels))

    def logits(self, clips: torch.Tensor, architecture: Architecture) -> torch.Tensor:
        """Logits [N, classes] of a path on float clips, BatchNorm by batch statistics."""
        return self._run(clips, Path(architecture))

    def _run(self, clips: torch.Tensor, path: Path) -> torch.Tensor:
        """Logits of a path, float32, its maps in the precision and formulation of the configuration."""
        config = self.config
        with formulation(config.formulation), autocast(config.device, config.precision):
            logits: torch.Tensor = self.supernet(clips, path)
        return logits.float()

    def held_out(self, architecture: Architecture, source: video.Source) -> Score | None:
        """The extracted network, BatchNorm recalibrated on training clips, on the validation part; None without one."""
        if "val" not in source.parts:
            return None
        network = self.extracted(architecture, source, "weights", self.config.seed)
        views = 1 if self.config.data is None else 3
        with formulation(self.config.formulation):
            return evaluate(network.logits, source, "val", views=views, device=self.config.device).score

    def extracted(self, architecture: Architecture, source: video.Source, part: str, seed: int) -> MoViNet:
        """The stand-alone network of an architecture, BatchNorm recalibrated on clips of a part, in evaluation mode."""
        size = source.parts[part]
        order = generator(seed, "recalibration").permutation(size)
        batches = [
            tuple(int(i) for i in order[b : b + 64]) for b in range(0, min(size, 64 * RECALIBRATION_BATCHES), 64)
        ]
        requests = [video.Request(part, indices) for indices in batches if len(indices) > 1]
        clips = (video.to_float(batch.to(self.config.device)) for batch, _ in video.batches(source, requests))
        return extract(self.supernet, architecture, recalibrate(self.supernet, architecture, clips))
