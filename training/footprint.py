"""Memory, disk and batches of training by closed form; light, so that the command line can tell them at once."""

from __future__ import annotations

from collections.abc import Sequence

from searchspace import Architecture, Clip, ClipLike, cost
from searchspace.cost import FLOAT_BYTES, halve
from training.names import OPTIMIZERS
from training.recipe import Recipe

KEPT = 2
"""Checkpoints of a run that are kept unless asked otherwise, the last ones."""

LIBRARIES = 450_000_000
"""Bytes of a process with torch and its thread pools loaded, about."""


def saved_bytes(architecture: Architecture, clip: ClipLike) -> int:
    """Activations of one clip that a training step keeps for its backward pass, float32, about.

    Of a bottleneck its input; the expanded tensor before BatchNorm, before and after the activation; the same three
    behind the depthwise convolution, and one more with squeeze-excitation; and the projection's output twice.
    """
    clip = Clip.of(clip)
    height, width = halve(clip.height, 2), halve(clip.width, 2)
    total = 3 * architecture.stem.width * height * width
    for position in architecture.layers():
        layer, before = position.layer, height * width
        height, width = halve(height, layer.stride), halve(width, layer.stride)
        after = height * width
        total += (position.in_width + 3 * layer.expand) * before
        total += ((4 if layer.squeeze else 3) * layer.expand + 2 * position.width) * after
    total += 3 * architecture.head.width * height * width
    return FLOAT_BYTES * clip.frames * total


def weight_bytes(architecture: Architecture) -> int:
    """Weights and BatchNorm's moving statistics of a network, float32."""
    channels = architecture.stem.width + architecture.head.width
    for position in architecture.layers():
        _, temporal = architecture.form.parts(position.layer.kernel)
        channels += position.layer.expand * (2 if temporal is None else 3)
        channels += position.width * (2 if position.has_projection else 1)
    return FLOAT_BYTES * (cost(architecture).params + 2 * channels)


def checkpoint_bytes(members: Sequence[Architecture], recipe: Recipe, keep: int = KEPT) -> int:
    """Disk that the checkpoints of a retraining take at most, but for kilobytes.

    Of every network those to go on from, the best and the last one; of an ensemble its own best and last; and beside
    these what is being written, before it takes the place of another.

    Args:
        members: the networks, one or those of an ensemble.
        recipe: how they are trained.
        keep: checkpoints to go on from that are kept.
    """
    weights = [weight_bytes(member) for member in members]
    states = 1 + OPTIMIZERS[recipe.optimizer.name] + bool(recipe.network.average)
    trained = 2 * sum(weights) * (2 if len(members) > 1 else 1)
    written = max(max(weights) * states, sum(weights))
    return keep * states * sum(weights) + trained + written


def check_batch(architecture: Architecture, recipe: Recipe, clips: int) -> None:
    """Refuses batches of which some BatchNorm would see a single value a channel, which has no variance.

    Args:
        architecture: at the clip that it is trained on.
        recipe: how.
        clips: of a batch.

    Raises:
        ValueError: says what is too small.
    """
    compute, clip = recipe.compute, recipe.augmentation.clip_of(architecture.clip)
    height, width = halve(clip.height, 2), halve(clip.width, 2)
    for position in architecture.layers():
        height, width = halve(height, position.layer.stride), halve(width, position.layer.stride)
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
