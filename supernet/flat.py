"""Shared weights in one piece of memory, and views of them that collect gradients in place.

A path uses slices of the shared weights. Were the slicing part of the graph, each slice would cost a zero-filled
gradient of full size. Instead a slice is a leaf of its own, a detached view whose `.grad` is a view of the full
gradient: the backward pass adds to the part in use, and what no path uses keeps its zeros. All weights and all
gradients lie in one flat tensor each, so that an optimiser's step, zeroing, clipping and reducing across devices are
one call, whatever the number of layers.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

_ALIGN = 16  # floats: a cache line


class FlatWeights:
    """Moves the parameters of a module into one flat tensor, and hands out slices.

    Args:
        module: its parameters become views of `weights`; their `.grad` becomes views of the flat gradient.

    Attributes:
        weights: a parameter over all of them, [total]; give this one to an optimiser.
    """

    def __init__(self, module: nn.Module) -> None:
        self._parameters = list(module.parameters())
        sizes = [-(-p.numel() // _ALIGN) * _ALIGN for p in self._parameters]
        first = self._parameters[0]
        data = torch.zeros(sum(sizes), dtype=first.dtype, device=first.device)
        for p, part in zip(self._parameters, data.split(sizes), strict=True):
            view = part[: p.numel()].view(p.shape)
            view.copy_(p.detach())
            p.data = view
        self.weights = nn.Parameter(data)
        self._sizes = sizes
        self._gradients: list[Tensor] | None = None
        self._slices: dict[tuple[int, int | None, tuple[int, ...]], Tensor] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> None:
        """A copied module starts without: it builds its own when it is first used."""
        return None

    def zero_gradients(self) -> None:
        """Sets every gradient to zero, and attaches it to its parameter again where it was taken off."""
        if self._gradients is None:
            gradient = torch.zeros_like(self.weights)
            parts = gradient.split(self._sizes)
            self._gradients = [
                part[: p.numel()].view(p.shape) for p, part in zip(self._parameters, parts, strict=True)
            ]
            self._flat_gradient = gradient
        else:
            self._flat_gradient.zero_()
        self.weights.grad = self._flat_gradient
        for p, gradient in zip(self._parameters, self._gradients, strict=True):
            p.grad = gradient

    def attach_gradients(self) -> None:
        """Makes sure that gradients are attached; those that an optimiser set to None count as zero."""
        if self.weights.grad is None or any(p.grad is None for p in self._parameters):
            self.zero_gradients()

    def slice(self, parameter: Tensor, *sizes: int, row: int | None = None) -> Tensor:
        """The first `sizes` entries along each axis, or of one row, as a leaf that adds to the parameter's gradient.

        Sizes of trailing axes may be left out. With gradients off it is a plain view.
        """
        key = (id(parameter), row, sizes)
        leaf = self._slices.get(key)
        if leaf is None:
            leaf = _prefix(parameter.detach(), row, sizes)
            self._slices[key] = leaf
        if torch.is_grad_enabled():
            leaf.requires_grad_()
            if leaf.grad is None:
                assert parameter.grad is not None, "attach_gradients comes first"
                leaf.grad = _prefix(parameter.grad, row, sizes)
        return leaf


def _prefix(tensor: Tensor, row: int | None, sizes: tuple[int, ...]) -> Tensor:
    if row is not None:
        tensor = tensor[row]
    for axis, size in enumerate(sizes):
        tensor = tensor.narrow(axis, 0, size)
    return tensor
