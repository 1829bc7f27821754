"""Activations and gates by the names that an architecture gives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


def _hard_sigmoid(x: Tensor) -> Tensor:
    return F.relu6(x + 3.0) * 0.16667  # the reference's own digits: a sixth is off by 5e-5 at the logits of A0


def _hard_sigmoid_2021(x: Tensor) -> Tensor:
    return torch.clamp(torch.add(0.5, x, alpha=0.2), 0.0, 1.0)


# swish: x * sigmoid(x); hard_swish: x * relu6(x + 3) / 6; relu6: clip(x, 0, 6).
ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "swish": F.silu,
    "hard_swish": F.hardswish,
    "relu6": F.relu6,
}
# hard_sigmoid: relu6(x + 3) / 6; hard_sigmoid_2021: clip(0.2 x + 0.5, 0, 1), Keras' own of that year.
GATES: Mapping[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "hard_sigmoid": _hard_sigmoid,
    "hard_sigmoid_2021": _hard_sigmoid_2021,
}


class InPlace(NamedTuple):
    """An activation that writes into memory of the caller's.

    Attributes:
        forward: (z, out): the activation of z.
        backward: (grad, z, out): the gradient of z.
    """

    forward: Callable[[Tensor, Tensor], object]
    backward: Callable[[Tensor, Tensor, Tensor], object]


_aten = torch.ops.aten
IN_PLACE: Mapping[str, InPlace] = {
    "swish": InPlace(
        lambda z, out: _aten.silu.out(z, out=out),
        lambda grad, z, out: _aten.silu_backward.grad_input(grad, z, grad_input=out),
    ),
    "hard_swish": InPlace(
        lambda z, out: _aten.hardswish.out(z, out=out),
        lambda grad, z, out: _aten.hardswish_backward.out(grad, z, out=out),
    ),
    "relu6": InPlace(
        lambda z, out: _aten.clamp.out(z, 0.0, 6.0, out=out),
        lambda grad, z, out: _aten.hardtanh_backward.grad_input(grad, z, 0.0, 6.0, grad_input=out),
    ),
}
