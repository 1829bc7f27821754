"""Training one network alone, for a fixed number of clips: what ranks architectures independently of a supernet."""

from __future__ import annotations

import dataclasses

import video
from networks import MoViNet
from training.evaluation import evaluate
from training.health import Watch
from training.order import Order
from training.progress import Progress, Silent, Status
from training.recipe import Recipe
from training.scores import Scores
from training.trainer import Trainer, prepare_scratch

SHORT = Recipe.from_dict(
    {
        "schedule": {"warmup_epochs": 0.05, "floor": 0.02},
        "optimizer": {"lr": 0.04, "weight_decay": 5e-4, "clip_all": 5.0},
        "network": {"residual": 0.5},
    },
    "short",
)
"""Of a short training; an epoch is all of it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitConfig:
    """Settings of a short training.

    Attributes:
        clips: training clips seen in all.
        seed: of the order of the clips, dropout and stochastic depth.
        recipe: everything else; its epochs are the whole training.
    """

    clips: int = 8000
    seed: int = 0
    recipe: Recipe = SHORT


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
        ValueError: the loss is not finite in several steps in a row.
    """
    config, progress = config or FitConfig(), progress or Silent()
    order = Order("weights", source.parts["weights"], config.recipe.optimizer.batch, config.seed)
    steps = max(1, config.clips // order.batch)
    prepare_scratch(network, config.recipe)
    trainer = Trainer(network, config.recipe, steps, epoch_steps=steps, seed=config.seed)
    watch = Watch(trainer)
    requests = (video.Request("weights", items, epoch, training=True) for epoch, items in map(order.at, range(steps)))
    mean: float | None = None
    for clips, labels in video.batches(source, requests):
        outcome = trainer.step(clips, labels)
        watch(outcome, clips)
        mean = outcome.loss if mean is None else mean + 0.05 * (outcome.loss - mean)
        progress.status(Status(trainer.done, steps, mean))
    return evaluate(trainer.evaluated.logits, source, part)
