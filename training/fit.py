"""Training one network alone, for a fixed number of clips: what ranks architectures independently of a supernet."""

from __future__ import annotations

import dataclasses
import math

import torch
import torch.nn.functional as F
from torch import nn

import video
from networks import MoViNet
from training import optimizers
from training.evaluation import evaluate
from training.order import Order
from training.progress import Progress, Silent, Status
from training.schedule import learning_rate
from training.scores import Scores


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitConfig:
    """Settings of a short training.

    Attributes:
        clips: training clips seen in all.
        batch: clips a step.
        optimizer: `sgd`, `adamw` or `rmsprop`.
        learning_rate: peak; linear warm-up over 5 % of the steps, then cosine to 2 % of it.
        weight_decay: coefficient of the L2 term of convolution kernels.
        clip_norm: largest gradient norm.
        label_smoothing: of the loss.
        residual: starting value of the residual scalars; at their usual 0 a short training barely starts.
        seed: of the order of the clips.
    """

    clips: int = 8000
    batch: int = 16
    optimizer: str = "sgd"
    learning_rate: float = 0.04
    weight_decay: float = 5e-4
    clip_norm: float = 5.0
    label_smoothing: float = 0.1
    residual: float = 0.5
    seed: int = 0


def fit(
    network: MoViNet,
    source: video.Source,
    config: FitConfig | None = None,
    *,
    part: str = "rescoring",
    progress: Progress | None = None,
) -> Scores:
    """Trains a network on the weights' part of a data set and scores it on another.

    Args:
        network: clips [N, C, T, H, W] in [0, 1] -> logits [N, classes]; trained in place, left in evaluation mode.
        source: the data.
        config: settings.
        part: what to score on.
        progress: where to report.

    Returns:
        The scores with the network's own running BatchNorm statistics.

    Raises:
        ValueError: the loss is not finite.
    """
    config, progress = config or FitConfig(), progress or Silent()
    order = Order("weights", source.parts["weights"], config.batch, config.seed)
    steps = max(1, config.clips // order.batch)
    optimizer = optimizers.build(config.optimizer, network.parameters(), config.learning_rate)
    kernels = [p for name, p in network.named_parameters() if p.ndim > 1 and "classifier" not in name]
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith(".scale"):
                parameter.fill_(config.residual)
    network.train()
    batches = map(order.at, range(steps))
    requests = (video.Request("weights", indices, epoch, training=True) for epoch, indices in batches)
    mean = math.nan
    for step, (clips, labels) in enumerate(video.batches(source, requests)):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, steps, config.learning_rate, round(0.05 * steps), 0.02)
        optimizer.zero_grad(set_to_none=False)
        loss = F.cross_entropy(network.logits(video.to_float(clips)), labels, label_smoothing=config.label_smoothing)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise ValueError(f"the training loss is {value} at step {step}: lower learning_rate")
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own
        for kernel in kernels:
            if kernel.grad is not None:
                kernel.grad.add_(kernel.detach(), alpha=config.weight_decay)
        nn.utils.clip_grad_norm_(network.parameters(), config.clip_norm)
        optimizer.step()
        mean = value if math.isnan(mean) else mean + 0.05 * (value - mean)
        progress.status(Status(step + 1, steps, mean, math.nan, math.nan, 1.0, 0.0, 0.0, 0.0, 0.0))
    network.eval()
    return evaluate(network.logits, source, part)
