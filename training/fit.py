"""Training one network alone, for a fixed number of clips: what ranks architectures independently of a supernet."""

from __future__ import annotations

import video
from networks import Network
from searchspace.settings import Settings, setting
from training.batch_order import Order
from training.evaluation.classification_scores import Scores
from training.evaluation.part_scores import evaluate
from training.progress import Progress, Silent
from training.recipe import Recipe, check_recipe
from training.retrain.recalibration import recalibrated, training_clips
from training.seeds import generator
from training.steps import loop
from training.steps.network_task import NetworkTask
from training.steps.step_log import StepLog
from training.steps.trainer import Trainer, prepare_scratch

TRIAL = Recipe.load("trial")
"""Of a short training; an epoch is all of it."""

PART = "weights"
"""Of the data, what is trained on."""


class FitConfig(Settings):
    """Settings of a short training.

    Attributes:
        recipe: everything else; its epochs are the whole training.
    """

    clips: int = setting("training clips seen in all", 1, 1_000_000_000, "clips", default=8000)
    seed: int = setting("of the order of the clips, dropout and stochastic depth", 0, 2**32 - 1, default=0)
    recipe: Recipe = TRIAL

    def __post_init__(self) -> None:
        super().__post_init__()
        check_recipe(self.recipe)

    @property
    def recalibrating(self) -> int:
        """Clips that BatchNorm's statistics are taken from at the end, no more than were trained on; see `Recipe`."""
        return min(self.recipe.network.recalibrate, self.clips)


def fit(
    network: Network,
    source: video.Source,
    config: FitConfig | None = None,
    *,
    part: str = "rescoring",
    progress: Progress | None = None,
) -> Scores:
    """Trains a network on the weights' part of a data set and scores it on another.

    Args:
        network: clips [N, C, T, H, W] in [0, 1] -> logits [N, classes]; trained in place, left as it was scored.
        source: the data.
        config: settings.
        part: what to score on.
        progress: where to report.

    Returns:
        The scores with BatchNorm's statistics of training clips, the same for every network of a seed.

    Raises:
        ValueError: the loss is not finite in several steps in a row.
    """
    config, progress = config or FitConfig(), progress or Silent()
    order = Order(PART, source.parts[PART], config.recipe.optimizer.batch, config.seed)
    steps = max(1, config.clips // order.batch)
    prepare_scratch(network, config.recipe)
    trainer = Trainer(network, config.recipe, steps, epoch_steps=steps, seed=config.seed)
    loop.run(NetworkTask(trainer, source, PART, order, StepLog(progress, steps)))
    scored = trainer.evaluated
    if config.recalibrating:
        draw = generator(config.seed, "recalibration")
        scored = recalibrated(scored, training_clips(source, PART, config.recalibrating, order.batch, draw))
    network.load_state_dict(scored.state_dict())
    return evaluate(network.eval().logits, source, part)
