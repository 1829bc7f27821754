"""What a network refuses: clips and states that do not fit, named in one line with what was expected."""

from __future__ import annotations

import functools
import re
import warnings

import torch
from torch import Tensor

from networks import states
from networks.temporal import StateLike
from networks.tensors import check_tensor, check_tensors
from searchspace import NetworkSpec
from searchspace.schema import nearest
from searchspace.state_shapes import HEAD

RGB = 3
_COUNTER = re.compile(r"(member\d+_)?(?:(block\d+_layer\d+|head)_)?([a-z_]+)")
LOW, HIGH = -0.5, 1.5  # filters that sharpen leave [0, 1] a little; other scalings leave it by far


def _can_look(x: Tensor) -> bool:
    """Whether values are there to look at: not on the meta device, nor while a graph is traced."""
    return x.device.type != "meta" and not torch.compiler.is_compiling()


def check_clip(clip: Tensor, dtypes: tuple[torch.dtype, ...], values: bool) -> None:
    """Refuses what is no clip for a network.

    Args:
        clip: should be [N, 3, T, H, W], float RGB in [0, 1].
        dtypes: that the network takes, its own first.
        values: look at the values too: refuses what is not finite, warns of what is not in [0, 1].

    Raises:
        ValueError: rank, channels, an empty axis, dtype or values.
    """
    check_tensor(clip, "clip")
    expected = "expected [clips, 3, frames, height, width], float RGB in [0, 1]"
    shape = list(clip.shape)
    if clip.dim() != 5 or clip.shape[1] != RGB:
        hint = ""
        if clip.dim() == 4:
            hint = "; add a batch axis with clip[None]" if RGB in shape[:1] else "; stack frames on axis 2"
        elif clip.dim() == 5 and clip.shape[4] == RGB:
            hint = "; channels stand last, use clip.permute(0, 4, 1, 2, 3)"
        elif clip.dim() == 5 and clip.shape[2] == RGB:
            hint = "; frames stand before channels, use clip.transpose(1, 2)"
        raise ValueError(f"clip has shape {shape}; {expected}{hint}")
    if 0 in shape:
        raise ValueError(f"clip has shape {shape}, an empty axis; {expected}")
    if not clip.is_floating_point():
        raise ValueError(f"clip of shape {shape} has {clip.dtype}; {expected}: divide bytes by 255")
    if clip.dtype not in dtypes and not torch.is_autocast_enabled(clip.device.type):
        raise ValueError(f"clip of shape {shape} has {clip.dtype}, the network {dtypes[0]}; convert one of them")
    if values and _can_look(clip):
        low, high = (float(value) for value in clip.detach().aminmax())
        if not -float("inf") < low <= high < float("inf"):
            raise ValueError(f"clip of shape {shape} has values that are not finite; {expected}")
        if low < LOW or high > HIGH:
            warnings.warn(
                f"clip of shape {shape} has values from {low:g} to {high:g}; networks expect RGB in [0, 1], without "
                "mean and standard deviation: divide bytes by 255",
                stacklevel=4,
            )


def check_inference(clip: Tensor, name: str) -> None:
    """Refuses what a fused network would do in silence otherwise: calls under autocast or for gradients.

    Raises:
        ValueError: such a call.
    """
    check_tensor(clip, "clip")
    if clip.requires_grad and torch.is_grad_enabled():
        raise ValueError(
            f"clip wants a gradient and network {name!r} is fused, which gives none; call the network it was made of"
        )
    if torch.is_autocast_enabled(clip.device.type):
        raise ValueError(f"network {name!r} is fused and keeps its dtype under autocast; fuse it in the dtype you want")


def check_state(
    state: StateLike,
    architecture: NetworkSpec,
    dtypes: states.Dtypes,
    clip: Tensor | None = None,
    values: bool = False,
) -> None:
    """Refuses a state that is not one of this network, or does not go with a clip.

    Args:
        state: what came in.
        architecture: of the network.
        dtypes: of the network's states.
        clip: whose batch and size the state must have; None where any will do.
        values: look at the counters too.

    Raises:
        ValueError: names the first tensor that does not fit, its shape, dtype or counts, and what was expected.
    """
    check_tensors(state)
    size = clip.shape[3:] if clip is not None else (1, 1)
    expected = states.shapes(architecture, *size)
    remedy = f"give a state of network {architecture.name!r}: network.initial_state(batch, height, width)"
    batch = len(clip) if clip is not None else states.streams(state)
    for name, shape in expected.items():
        if name not in state:
            raise ValueError(f"state tensor {name!r} is missing; {remedy}")
        tensor = state[name]
        wanted = [batch, *shape]
        if list(tensor.shape) != wanted and (clip is not None or list(tensor.shape[:2]) != wanted[:2]):
            raise ValueError(f"state tensor {name!r} has shape {list(tensor.shape)}, expected {wanted}; {remedy}")
        dtype = dtypes.of(name, shape)
        if tensor.dtype != dtype and not (shape and torch.is_autocast_enabled(tensor.device.type)):
            raise ValueError(f"state tensor {name!r} of shape {wanted} has {tensor.dtype}, expected {dtype}; {remedy}")
    for name in state:
        if name not in expected:
            raise ValueError(
                f"state tensor {name!r} belongs to no layer of this network{nearest(name, expected)}; {remedy}"
            )
    counters = {name: state[name] for name, shape in expected.items() if not shape}
    if counters and values and all(_can_look(counter) for counter in counters.values()):
        _check_counters(counters)


def _check_counters(counters: StateLike) -> None:
    """Refuses counts that no stream has: negative ones, and layers that disagree on the frames that they saw.

    The head may have seen fewer, as `MoViNet.features` leaves it. Positions and pools are not compared: a `Stream` with
    a memory bounds them apart.
    """
    seen: dict[str, tuple[str, list[int]]] = {}
    rows: list[list[int]] = torch.stack(list(counters.values())).tolist()  # one look, however many there are
    for name, counts in zip(counters, rows, strict=True):
        if min(counts) < 0:
            raise ValueError(f"state tensor {name!r} holds {min(counts)} frames; allowed: from 0 on; reset the stream")
        member, layer, kind = _counter(name)
        first, expected = seen.setdefault(f"{member}{kind}", (name, counts))
        for row, (count, wanted) in enumerate(zip(counts, expected, strict=True)):
            if count > wanted or (count < wanted and layer != HEAD):
                raise ValueError(
                    f"state tensor {name!r} holds {count} frames of stream {row}, {first!r} {wanted}; allowed: the "
                    "same in all layers; reset the stream"
                )


@functools.cache
def _counter(name: str) -> tuple[str | None, str | None, str]:
    """Member, layer and kind of a counter of ours."""
    found = _COUNTER.fullmatch(name)
    assert found is not None
    return found[1], found[2], found[3]


def check_result(logits: Tensor, state: StateLike) -> None:
    """Blames the state where logits are not finite: that shows without looking through all of a state at every frame.

    Raises:
        ValueError: names the first tensor with values that are not finite.
    """
    if not _can_look(logits) or bool(torch.isfinite(logits).all()):
        return
    for name, tensor in state.items():
        if not bool(torch.isfinite(tensor).all()):
            shape = list(tensor.shape)
            raise ValueError(f"state tensor {name!r} of shape {shape} has values that are not finite; reset the stream")
