"""Memory, disk and batches of training by closed form; light, so that the command line can tell them at once."""

from __future__ import annotations

from collections.abc import Sequence

from searchspace import NetworkSpec
from training.names import OPTIMIZERS
from training.recipe import Recipe

KEPT = 2
"""Checkpoints of a run that are kept unless asked otherwise, the last ones."""

LIBRARIES = 450_000_000
"""Bytes of a process with torch and its thread pools loaded, about."""


def checkpoint_bytes(members: Sequence[NetworkSpec], recipe: Recipe, keep: int = KEPT) -> int:
    """Disk that the checkpoints of a retraining take at most, but for kilobytes.

    Of every network those to go on from, the best and the last one; of an ensemble its own best and last; and beside
    these what is being written, before it takes the place of another.

    Args:
        members: the networks, one or those of an ensemble.
        recipe: how they are trained.
        keep: checkpoints to go on from that are kept.
    """
    weights = [member.weight_bytes() for member in members]
    states = 1 + OPTIMIZERS[recipe.optimizer.name] + bool(recipe.network.average)
    trained = 2 * sum(weights) * (2 if len(members) > 1 else 1)
    written = max(max(weights) * states, sum(weights))
    return keep * states * sum(weights) + trained + written


def check_batch(architecture: NetworkSpec, recipe: Recipe, clips: int) -> None:
    """Refuses batches of which some BatchNorm would see a single value a channel, which has no variance.

    Args:
        architecture: at the clip that it is trained on.
        recipe: how.
        clips: of a batch.

    Raises:
        ValueError: says what is too small.
    """
    compute, clip = recipe.compute, recipe.augmentation.clip_of(architecture.clip)
    height, width = architecture.last_map(clip)
    frames = clip.frames // compute.subclips
    piece = -(-clips // compute.accumulate)
    least = {
        f"a batch of {clips}" + (f" in {compute.accumulate} pieces" if compute.accumulate > 1 else ""): (clips - 1)
        % piece
        + 1,
        f"network.recalibrate = {recipe.network.recalibrate}": min(recipe.network.recalibrate, clips) or clips,
    }
    for what, count in least.items():
        if count * frames * height * width == 1:
            raise ValueError(
                f"{what}: BatchNorm of {architecture.name!r} would see one clip of one frame whose last map is one "
                f"pixel at {clip}, a single value; give more clips at once (--batch), longer clips or larger ones"
            )
