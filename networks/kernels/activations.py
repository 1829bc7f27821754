"""Activations and gates by the names that an architecture gives them: one row each, with every form of it.

The names themselves are data, `searchspace.form.WORDS`; a test holds the two to each other.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

_aten = torch.ops.aten


@dataclasses.dataclass(frozen=True, slots=True)
class Activation:
    """An activation.

    Attributes:
        apply: (x): the activation of x, with a gradient.
        in_place: (x): overwrites x, and returns it; for inference.
        into: (z, out): writes the activation of z into other memory.
        gradient: (grad, z, out): writes the gradient of z into other memory.
        onednn: its name in oneDNN, and the numbers that it takes there.
    """

    apply: Callable[[Tensor], Tensor]
    in_place: Callable[[Tensor], Tensor]
    into: Callable[[Tensor, Tensor], object]
    gradient: Callable[[Tensor, Tensor, Tensor], object]
    onednn: tuple[str, list[float]]


@dataclasses.dataclass(frozen=True, slots=True)
class Gate:
    """The last function of squeeze-excitation.

    Attributes:
        apply: (x): the gate, with a gradient.
        clamp: (factor, summand, bound) of a hard gate, which is clamp(factor * x + summand, 0, bound); None for others.
    """

    apply: Callable[[Tensor], Tensor]
    clamp: tuple[float, float, float] | None = None


def _hard_sigmoid(x: Tensor) -> Tensor:
    return F.relu6(x + 3.0) * 0.16667  # the reference's own digits: a sixth is off by 5e-5 at the logits of A0


def _hard_sigmoid_2021(x: Tensor) -> Tensor:
    return torch.clamp(torch.add(0.5, x, alpha=0.2), 0.0, 1.0)


# swish: x * sigmoid(x); hard_swish: x * relu6(x + 3) / 6; relu6: clip(x, 0, 6).
ACTIVATIONS: Mapping[str, Activation] = {
    "swish": Activation(
        apply=F.silu,
        in_place=lambda x: F.silu(x, inplace=True),
        into=lambda z, out: _aten.silu.out(z, out=out),
        gradient=lambda grad, z, out: _aten.silu_backward.grad_input(grad, z, grad_input=out),
        onednn=("swish", []),
    ),
    "hard_swish": Activation(
        apply=F.hardswish,
        in_place=lambda x: F.hardswish(x, inplace=True),
        into=lambda z, out: _aten.hardswish.out(z, out=out),
        gradient=lambda grad, z, out: _aten.hardswish_backward.out(grad, z, out=out),
        onednn=("hardswish", []),
    ),
    "relu6": Activation(
        apply=F.relu6,
        in_place=lambda x: x.clamp_(0.0, 6.0),
        into=lambda z, out: _aten.clamp.out(z, 0.0, 6.0, out=out),
        gradient=lambda grad, z, out: _aten.hardtanh_backward.grad_input(grad, z, 0.0, 6.0, grad_input=out),
        onednn=("hardtanh", [0.0, 6.0]),
    ),
}
# hard_sigmoid: relu6(x + 3) / 6; hard_sigmoid_2021: clip(0.2 x + 0.5, 0, 1), Keras' own of that year.
GATES: Mapping[str, Gate] = {
    "sigmoid": Gate(torch.sigmoid),
    "hard_sigmoid": Gate(_hard_sigmoid, clamp=(0.16667, 3 * 0.16667, 6 * 0.16667)),
    "hard_sigmoid_2021": Gate(_hard_sigmoid_2021, clamp=(0.2, 0.5, 1.0)),
}
