"""Slices of shared parameters that are leaves of the autograd graph, and gradients that find their way home.

Slicing a parameter inside the graph would make its backward pass write a zero tensor of full size for every slice.
Here a slice is a leaf of its own, and once its gradient is there, a hook adds it to the same slice of the parameter's
preallocated gradient: what is not used is not touched, and stays zero.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn

from networks.layers import ConvWeights, LinearWeights, NormWeights

Statistics: TypeAlias = dict[str, tuple[Tensor, Tensor]]
"""Mean and variance [C] of every BatchNorm of a path, by the name that it has in the stand-alone network."""

Observe: TypeAlias = Callable[[str, Tensor], None]


class SharedNorm(nn.Module):
    """Affine part of a BatchNorm over the most channels; statistics are always those of the batch."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))


class Slicer:
    """Takes the slices of one path.

    Args:
        touched: where parameters that got a gradient are noted.
        grad: whether to make leaves; otherwise plain views.
        weight_decay: times the slice is added to its gradient, for kernels; the L2 term of what is active alone.
        statistics: for BatchNorm, or None for those of the batch.
        observe: called with the name and the input of every BatchNorm.
    """

    def __init__(
        self,
        touched: dict[nn.Parameter, None],
        grad: bool,
        weight_decay: float,
        statistics: Statistics | None,
        observe: Observe | None,
    ) -> None:
        self._touched, self._grad, self._decay = touched, grad, weight_decay
        self._statistics, self._observe = statistics, observe

    def take(self, parameter: nn.Parameter, *lengths: int, decay: bool = False) -> Tensor:
        """The leading `lengths` of a parameter's first axes.

        Args:
            parameter: shared.
            lengths: one an axis, from the first; the other axes are whole.
            decay: whether weight decay acts on it.
        """
        index = tuple(slice(length) for length in lengths)
        view = parameter.detach()[index]
        if self._grad:
            view.requires_grad_()
            self._send_home(view, parameter, index, self._decay if decay else 0.0)
        return view

    def _send_home(self, leaf: Tensor, parameter: nn.Parameter, index: tuple[slice, ...], decay: float) -> None:
        def hook(leaf: Tensor) -> None:
            assert leaf.grad is not None
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            home = parameter.grad[index]
            home.add_(leaf.grad)
            if decay:
                home.add_(leaf.detach(), alpha=decay)
            leaf.grad = None
            self._touched[parameter] = None

        leaf.register_post_accumulate_grad_hook(hook)  # type: ignore[no-untyped-call]  # torch's own

    def norm(self, name: str, norm: SharedNorm, channels: int) -> NormWeights:
        """The leading channels of a BatchNorm."""
        mean, var = (None, None) if self._statistics is None else self._statistics[name]
        observe = self._observe
        return NormWeights(
            self.take(norm.weight, channels),
            self.take(norm.bias, channels),
            mean,
            var,
            None if observe is None else lambda x: observe(name, x),
        )

    def conv(self, name: str, weight: nn.Parameter, norm: SharedNorm, outputs: int, inputs: int) -> ConvWeights:
        """A pointwise convolution [outputs, inputs] with its BatchNorm."""
        return ConvWeights(self.take(weight, outputs, inputs, decay=True), self.norm(f"{name}.norm", norm, outputs))

    def linear(self, weight: nn.Parameter, bias: nn.Parameter, outputs: int, inputs: int, decay: bool) -> LinearWeights:
        """A linear layer [outputs, inputs] with bias."""
        return LinearWeights(self.take(weight, outputs, inputs, decay=decay), self.take(bias, outputs))
