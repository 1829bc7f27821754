"""Shared weights in one piece of memory, and slices of them that add their gradients in place.

A path uses slices of the shared weights. Were each slicing an operation of the graph, each would cost a zero-filled
gradient of full size. Instead all slices of a path leave one node of the graph, whose backward pass adds what arrives
to the slice of the full gradient; what no path uses keeps its zeros. All weights and all gradients lie in one flat
tensor each, so that an optimiser's step, zeroing, clipping and reducing across devices are one call, whatever the
number of layers.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_ALIGN = 16  # floats: a cache line


class FlatWeights:
    """Moves the parameters of a module into one flat tensor.

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
        self._sizes = sizes
        for p, view in zip(self._parameters, self._views(data), strict=True):
            view.copy_(p.detach())
            p.data = view
        self.weights = nn.Parameter(data)
        self._gradient: Tensor | None = None
        self._gradients: list[Tensor] = []

    def _views(self, flat: Tensor) -> list[Tensor]:
        parts = torch.split(flat, self._sizes)
        return [part[: p.numel()].view(p.shape) for p, part in zip(self._parameters, parts, strict=True)]

    def __deepcopy__(self, memo: dict[int, Any]) -> None:
        """A copied module starts without: it builds its own when it is first used."""
        return None

    def zero_gradients(self) -> None:
        """Sets every gradient to zero, and attaches it to its parameter again where it was taken off."""
        if self._gradient is None:
            self._gradient = torch.zeros_like(self.weights.detach())
            self._gradients = self._views(self._gradient)
        else:
            self._gradient.zero_()
        self.weights.grad = self._gradient
        for p, gradient in zip(self._parameters, self._gradients, strict=True):
            p.grad = gradient

    def attach_gradients(self) -> Tensor:
        """Makes sure that gradients are attached; those that an optimiser set to None count as zero.

        Returns:
            The flat gradient, [total].
        """
        if self.weights.grad is None or any(p.grad is None for p in self._parameters):
            self.zero_gradients()
        assert self._gradient is not None
        return self._gradient


@dataclasses.dataclass(slots=True)
class _Sink:
    """Where the gradient of a slice goes: a view of the full gradient, or columns of one for a gathered slice."""

    gradient: Tensor
    columns: Tensor | None = None


class Slicer:
    """Collects the slices of one path; `connect` then makes them outputs of one node of the graph.

    Args:
        flat: whose parameters are sliced.
    """

    def __init__(self, flat: FlatWeights) -> None:
        self._flat = flat
        self._data = flat.weights.detach()
        self._gradient = flat.attach_gradients() if torch.is_grad_enabled() else None
        self._slices: list[Tensor] = []
        self._sinks: list[list[_Sink]] = []
        self._decayed: list[tuple[Tensor, _Sink]] = []

    def slice(self, parameter: Tensor, *sizes: int, row: int | None = None, decay: bool = False) -> Tensor:
        """The first `sizes` entries along each axis, or along each of one row's; trailing sizes may be left out.

        Args:
            parameter: of the flat weights.
            sizes: how many.
            row: the entry of the first axis that is meant, or None.
            decay: whether weight decay shrinks it.
        """
        value, gradient = self._views(parameter, sizes, row)
        if gradient is not None:
            self._add(value, [(value, _Sink(gradient))], decay)
        return value

    def gathered(self, shared: Tensor, columns: Tensor, own: Tensor, size: int) -> Tensor:
        """The first `size` rows of `own`, plus those of some columns of `shared`; weight decay shrinks both.

        Args:
            shared: parameter [rows, all columns].
            columns: which of them, [c].
            own: parameter [rows, ...] with c entries a row.
            size: number of rows.

        Returns:
            [size, ...], as `own`.
        """
        part, part_gradient = self._views(shared, (size,), None)
        difference, own_gradient = self._views(own, (size,), None)
        result = part.index_select(1, columns).view(difference.shape).add_(difference)
        if part_gradient is not None and own_gradient is not None:
            self._add(result, [(part, _Sink(part_gradient, columns)), (difference, _Sink(own_gradient))], True)
        return result

    def _views(self, parameter: Tensor, sizes: tuple[int, ...], row: int | None) -> tuple[Tensor, Tensor | None]:
        """A prefix of a parameter and of its gradient, each one strided view of the flat memory."""
        offset, shape, stride = parameter.storage_offset(), parameter.shape, parameter.stride()
        if row is not None:
            offset, shape, stride = offset + row * stride[0], shape[1:], stride[1:]
        assert all(size <= most for size, most in zip(sizes, shape, strict=False)), (sizes, shape)
        sizes = (*sizes, *shape[len(sizes) :])
        value = self._data.as_strided(sizes, stride, offset)
        return value, self._gradient.as_strided(sizes, stride, offset) if self._gradient is not None else None

    def _add(self, value: Tensor, parts: list[tuple[Tensor, _Sink]], decay: bool) -> None:
        if decay:
            self._decayed += parts
        self._slices.append(value)
        self._sinks.append([sink for _, sink in parts])

    def connect(self) -> None:
        """Turns the collected slices into outputs of one node, in place; with gradients off they stay plain views.

        The slicer lets go of them: the node holds the slicer, and they the node.
        """
        if self._gradient is not None:
            slices = tuple(self._slices)
            outputs = _Collect.apply(self._flat.weights, self)  # type: ignore[no-untyped-call]  # torch's own
            assert all(output is value for output, value in zip(outputs, slices, strict=True))
        self._slices.clear()
        self._decayed.clear()

    @torch.no_grad()
    def add_decay(self, amount: float) -> None:
        """Instead of `connect`: adds `amount` x weight to the gradients of the slices that weight decay shrinks."""
        for weight, sink in self._decayed:
            if sink.columns is None:
                sink.gradient.add_(weight, alpha=amount)
            else:
                sink.gradient.index_add_(1, sink.columns, weight.index_select(1, sink.columns), alpha=amount)

    def accumulate(self, gradients: tuple[Tensor | None, ...]) -> None:
        """Adds the gradient of each slice, in order, to the full gradients."""
        plain: tuple[list[Tensor], list[Tensor]] = ([], [])
        for sinks, gradient in zip(self._sinks, gradients, strict=True):
            for sink in sinks if gradient is not None else ():
                assert gradient is not None
                if sink.columns is None:
                    plain[0].append(sink.gradient)
                    plain[1].append(gradient)
                else:
                    sink.gradient.index_add_(1, sink.columns, gradient.flatten(1))
        torch._foreach_add_(*plain)

    @property
    def values(self) -> tuple[Tensor, ...]:
        """The collected slices in order."""
        return tuple(self._slices)


class _Collect(torch.autograd.Function):
    """The node that all slices of a path leave; the flat weights only mark it as part of the graph."""

    @staticmethod
    def forward(ctx: Any, weights: Tensor, slicer: Slicer) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.slicer = slicer
        return slicer.values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[None, None]:
        ctx.slicer.accumulate(gradients)
        return None, None
