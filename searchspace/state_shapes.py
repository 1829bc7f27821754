"""Names and shapes of what a causal network carries from frame to frame, without any tensor.

Names are those of the reference code without its prefix: `block1_layer0_stream_buffer`, `head_pool_buffer`. What each
holds stands in `networks.temporal` and `networks.states`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from searchspace.cost import halve
from searchspace.form import Form
from searchspace.layer_specs import Position

BUFFER, POOL, POOL_COUNT, POSITION = "stream_buffer", "pool_buffer", "pool_frame_count", "pos_enc_frame_count"
HEAD, FRAME_COUNT, LOGITS = "head", "frame_count", "logits"
T = TypeVar("T")


def member_name(index: int) -> str:
    """What the names of a member's tensors begin with."""
    return f"member{index}"


def layer_name(position: Position) -> str:
    """What the names of a bottleneck's tensors begin with."""
    return f"block{position.block}_layer{position.index}"


def named(values: Mapping[str, T], name: str) -> dict[str, T]:
    """The same values under the names of a layer or a member."""
    return {f"{name}_{key}": value for key, value in values.items()}


def state_shapes(
    form: Form, positions: Sequence[Position], head: int, height: int, width: int
) -> dict[str, tuple[int, ...]]:
    """Shape of each tensor of one stream of a causal MoViNet, without the batch; counters are ().

    Args:
        form: how it computes.
        positions: its layers.
        head: channels that its head pools.
        height, width: of the frames, in pixels.
    """
    result: dict[str, tuple[int, ...]] = {}
    height, width = halve(height, 2), halve(width, 2)
    for position in positions:
        name, layer = layer_name(position), position.layer
        before = (height, width)
        height, width = halve(height, layer.stride), halve(width, layer.stride)
        if shifted := layer.kernel.shifted(layer.expand):
            result[f"{name}_{BUFFER}"] = (shifted, 1, *before)
        if layer.kernel.t > 1:
            split = form.parts(layer.kernel)[1] is not None
            size = (height, width) if split else before
            result[f"{name}_{BUFFER}"] = (layer.expand, layer.kernel.t - 1, *size)
        if layer.squeeze and form.squeeze_kind != "2d":
            result |= {f"{name}_{POOL}": (layer.expand,), f"{name}_{POOL_COUNT}": ()}
        if layer.squeeze and form.position_encoding:
            result[f"{name}_{POSITION}"] = ()
    if form.answers_clips:
        result |= {f"{HEAD}_{POOL}": (head,), f"{HEAD}_{POOL_COUNT}": ()}
    return result
