"""Initial weights as the reference implementation of MoViNets draws them (Keras' HeNormal; classifier N(0, 0.01))."""

from __future__ import annotations

import math

import torch
from torch import Tensor

CLASSIFIER_STD = 0.01
_TRUNCATED_STD = 0.87962566103423978  # standard deviation of a unit normal cut off at two


@torch.no_grad()
def he_normal_(tensor: Tensor, fan_in: float, generator: torch.Generator | None = None) -> Tensor:
    """Fills with a normal truncated at two standard deviations whose standard deviation is sqrt(2 / fan_in).

    Args:
        tensor: filled in place; on the meta device nothing happens.
        fan_in: inputs of one output; for a depthwise kernel its taps.
        generator: the source of randomness; None for torch's global one.
    """
    if tensor.device.type == "meta":
        return tensor
    tensor.normal_(generator=generator)
    while True:  # draws again what lies outside, some 5 % a round: forty times as fast as torch's trunc_normal_
        outside = (tensor.abs() > 2).nonzero(as_tuple=True)
        if not len(outside[0]):
            return tensor.mul_(math.sqrt(2.0 / fan_in) / _TRUNCATED_STD)
        fresh = torch.empty(len(outside[0]), dtype=tensor.dtype, device=tensor.device)
        tensor[outside] = fresh.normal_(generator=generator)


@torch.no_grad()
def classifier_normal_(tensor: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Fills with N(0, 0.01)."""
    if tensor.device.type == "meta":
        return tensor
    return tensor.normal_(0.0, CLASSIFIER_STD, generator=generator)
