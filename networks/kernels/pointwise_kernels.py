"""Kernels of pointwise convolutions with what stands before or behind them, each one function with its own gradient.

The library computes these steps in several passes over memory.

On a CPU the wide maps inside a bottleneck are limited by memory, not by arithmetic.

- `pointwise_norm_act`: mean and variance of a pointwise convolution follow from mean and covariance of its *input*, so
  BatchNorm is folded into the weights before the wide map exists. That map is then made a piece at a time, small
  enough for a core's cache, in both directions; only input and result are kept.
- `gated_pointwise`: the gates of squeeze-excitation scale the weights of a pointwise convolution, a set for each gate.

`gated_pointwise` computes in the dtype of its input, in which the weights may be wider; `pointwise_norm_act`, whose
statistics want more than bfloat16 has, is for one dtype of all.

Shapes: N clips, I/O channels, T frames, H x W map; P = N T H W rows of channels-last memory.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from networks.kernels.activations import Activation
from networks.kernels.layouts import rows, unrows

WIDE_MAP_BYTES = 1 << 20  # of the wide map that are made at a time


def pointwise_norm_act(
    x_NCTHW: Tensor, weight_OI: Tensor, gamma_O: Tensor, beta_O: Tensor, eps: float, activation: Activation
) -> tuple[Tensor, Tensor, Tensor]:
    """Pointwise convolution, BatchNorm by the batch's statistics, activation.

    Args:
        x_NCTHW: input, [N, I, T, H, W].
        weight_OI: of the convolution.
        gamma_O, beta_O: affine part of the BatchNorm.
        eps: added to its variances.
        activation: its row.

    Returns:
        [N, O, T, H, W]; mean and biased variance of the convolution's output, [O], without gradients.
    """
    result, mean, var = _PointwiseNormAct.apply(  # type: ignore[no-untyped-call]  # torch's own
        rows(x_NCTHW), weight_OI, gamma_O, beta_O, eps, activation
    )
    return unrows(result, x_NCTHW), mean, var


def gated_pointwise(x_NCTHW: Tensor, gate: Tensor, weight_OI: Tensor) -> Tensor:
    """Pointwise convolution of a map whose channels are gated: x gate W'.

    Args:
        x_NCTHW: input, [N, I, T, H, W].
        gate: of each clip, [N, I], or of each frame, [N, T, I].
        weight_OI: of the convolution.
    """
    channels = x_NCTHW.shape[1]
    gate = gate.reshape(-1, channels)
    y = _GatedPointwise.apply(  # type: ignore[no-untyped-call]  # torch's own
        rows(x_NCTHW).view(len(gate), -1, channels), gate, weight_OI
    )
    return unrows(y, x_NCTHW)


class _PointwiseNormAct(torch.autograd.Function):
    """x [P, I] -> activation of z [P, O], mean [O] and variance v [O] of x W'.

    With c = x - mean(x), C = mean(c c') and r = 1 / sqrt(v + eps): v = diag(W C W') and z = c (gamma r W)' + beta.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, gamma: Tensor, beta: Tensor, eps: float, activation: Activation
    ) -> tuple[Tensor, Tensor, Tensor]:
        count, outputs = len(x), len(weight)
        height = _height(x, outputs)
        mean = x.mean(0)
        gram = x.new_zeros(x.shape[1], x.shape[1])
        for piece in torch.split(x, height):
            centred = piece - mean
            gram.addmm_(centred.t(), centred)
        spread = weight @ (gram / count)
        var = (spread * weight).sum(1)
        rate = (var + eps).rsqrt()
        folded = weight * (gamma * rate)[:, None]
        result, z = x.new_empty(count, outputs), x.new_empty(min(height, count), outputs)
        for piece, out in zip(torch.split(x, height), torch.split(result, height), strict=True):
            torch.addmm(beta, piece - mean, folded.t(), out=z[: len(piece)])
            activation.into(z[: len(piece)], out)
        ctx.save_for_backward(x, weight, gamma, beta, mean, rate, folded, spread)
        ctx.activation = activation
        batch_mean = weight @ mean
        ctx.mark_non_differentiable(batch_mean, var)
        return result, batch_mean, var

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        x, weight, gamma, beta, mean, rate, folded, spread = ctx.saved_tensors
        count, outputs = len(x), len(weight)
        height = _height(x, outputs)
        grad_x = torch.empty_like(x)
        grad_beta, grad_folded = torch.zeros_like(gamma), torch.zeros_like(spread)
        z, grad_z = (x.new_empty(min(height, count), outputs) for _ in range(2))
        for piece, grad_piece, out in zip(*(torch.split(v, height) for v in (x, grad, grad_x)), strict=True):
            z, grad_z = z[: len(piece)], grad_z[: len(piece)]
            centred = piece - mean
            torch.addmm(beta, centred, folded.t(), out=z)
            ctx.activation.gradient(grad_piece, z, grad_z)
            grad_beta += grad_z.sum(0)
            grad_folded.addmm_(grad_z.t(), centred)
            torch.mm(grad_z, folded, out=out)
        # what is left flows through folded = gamma rate W, rate = (diag(W C W') + eps)^-1/2, C and mean of x
        along = (grad_folded * weight).sum(1)
        grad_var = along * gamma * rate.pow(3) * -0.5
        grad_weight = grad_folded * (gamma * rate)[:, None] + (2.0 * grad_var)[:, None] * spread
        through_covariance = (weight.t() * grad_var) @ weight * (2.0 / count)
        through_mean = grad_beta @ folded / -count
        for piece, out in zip(torch.split(x, height), torch.split(grad_x, height), strict=True):
            out.addmm_(piece - mean, through_covariance).add_(through_mean)
        return grad_x, grad_weight, along * rate, grad_beta, None, None


def _height(x_PI: Tensor, outputs: int) -> int:
    """Rows of a piece: pieces of equal height, of about `WIDE_MAP_BYTES` of the wide map."""
    pieces = max(1, round(len(x_PI) * outputs * x_PI.element_size() / WIDE_MAP_BYTES))
    return -(-len(x_PI) // pieces)


class _GatedPointwise(torch.autograd.Function):
    """x [G, M, I], gate [G, I], weight [O, I] -> [G, M, O], for G gates of M rows."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gate: Tensor, weight: Tensor) -> Tensor:
        gated = (weight * gate[:, None]).to(x.dtype)
        ctx.save_for_backward(x, gate, weight, gated)
        return torch.bmm(x, gated.transpose(1, 2))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, gate, weight, gated = ctx.saved_tensors
        grad_gated = torch.bmm(grad.transpose(1, 2), x).to(weight.dtype)
        grad_gate = (grad_gated * weight).sum(1).to(gate.dtype)
        return torch.bmm(grad, gated), grad_gate, (grad_gated * gate[:, None]).sum(0)
