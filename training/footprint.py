"""Memory of training by closed form; light, so that the command line can tell it at once."""

from __future__ import annotations

from searchspace import Architecture, Clip
from searchspace.cost import FLOAT_BYTES, halve

OPTIMIZER_SLOTS = {"sgd": 1, "adamw": 2, "rmsprop": 2}
"""Copies of the weights that an optimiser keeps."""

LIBRARIES = 450_000_000
"""Bytes of a process with torch and its thread pools loaded, about."""


def saved_bytes(architecture: Architecture, clip: Clip) -> int:
    """Activations of one clip that a training step keeps for its backward pass, float32, about.

    Of a bottleneck its input; the expanded tensor before BatchNorm, before and after the activation; the same three
    behind the depthwise convolution, and one more with squeeze-excitation; and the projection's output twice.
    """
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
