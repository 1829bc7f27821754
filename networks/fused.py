"""Layers that the library computes in several passes over memory, as single functions with a gradient of their own.

On a CPU the wide maps inside a bottleneck are limited by memory, not by arithmetic: convolution, BatchNorm and
activation one after the other read and write each of them a dozen times in a step. Here they are made a piece at a
time, small enough to stay in a core's cache, and what the backward pass needs is computed again from what is narrow:

- `pointwise_norm_act`: from the covariance of the *input* follow mean and variance of the output (both are linear in
  it), so BatchNorm is folded into the weights before the wide map exists. Only input and result are kept.
- `norm_act`: BatchNorm and activation; only the input is kept. Sums over each frame's map come along for
  squeeze-excitation.
- `gated_pointwise`: the gates of squeeze-excitation scale the weights of a pointwise convolution, a set for each clip.

All use the statistics of the batch. In lower precision the maps and matrix products have the dtype of the input;
statistics, affine parts and all gradients of weights are float32.

Shapes: N clips, C/I/O channels, T frames, H x W map; P = N T H W rows in channels-last memory.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from networks.activations import DERIVATIVES
from networks.formulations import channels_last

PIECE = 1 << 18  # bytes of a piece of the widest map, so that several of them fit a core's second-level cache


def rows(x_NCTHW: Tensor) -> Tensor:
    """[P, C]; a view of channels-last memory."""
    return channels_last(x_NCTHW).permute(0, 2, 3, 4, 1).reshape(-1, x_NCTHW.shape[1])


def unrows(x_PC: Tensor, like_NCTHW: Tensor) -> Tensor:
    """Undoes `rows`: [N, C, T, H, W] with the other lengths of `like_NCTHW`."""
    n, _, t, h, w = like_NCTHW.shape
    return x_PC.view(n, t, h, w, -1).permute(0, 4, 1, 2, 3)


def _height(count: int, channels: int, of: int = 1) -> int:
    """Rows of a piece, a multiple of `of`."""
    pieces = max(1, round(count * channels * 4 / PIECE))
    return -(-count // (pieces * of)) * of


class _PointwiseNormAct(torch.autograd.Function):
    """x [P, I], weight [O, I], affine [O] -> result [P, O], batch mean [O], batch variance [O].

    With c = x - mean(x), C = mean(c c'), v = diag(W C W') and r = 1 / sqrt(v + eps): z = c (gamma r W)' + beta.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, gamma: Tensor, beta: Tensor, eps: float, activation: str
    ) -> tuple[Tensor, Tensor, Tensor]:
        count, wide = len(x), torch.promote_types(x.dtype, torch.float32)
        height = _height(count, len(weight))
        mean = x.sum(0, dtype=wide) / count
        gram = x.new_zeros(x.shape[1], x.shape[1], dtype=wide)
        for piece in x.split(height):
            centred = piece - mean
            gram.addmm_(centred.t(), centred)
        covariance = gram / count
        product = weight @ covariance
        var = (product * weight).sum(1)
        rate = (var + eps).rsqrt()
        folded = (weight * (gamma * rate)[:, None]).to(x.dtype)
        result = x.new_empty(count, len(weight))
        act, shift, offset = DERIVATIVES[activation], beta.to(x.dtype), mean.to(x.dtype)
        z = x.new_empty(height, len(weight))
        for piece, out in zip(x.split(height), result.split(height), strict=True):
            act.forward(torch.addmm(shift, piece - offset, folded.t(), out=z[: len(piece)]), out)
        ctx.save_for_backward(x, weight, gamma, beta, mean, rate, folded, product)
        ctx.activation = activation
        batch_mean = weight @ mean
        ctx.mark_non_differentiable(batch_mean, var)
        return result, batch_mean, var

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        x, weight, gamma, beta, mean, rate, folded, product = ctx.saved_tensors
        count, wide = len(x), weight.dtype
        height = _height(count, len(weight))
        act, shift, offset = DERIVATIVES[ctx.activation], beta.to(x.dtype), mean.to(x.dtype)
        grad_x = torch.empty_like(x)
        grad_sum, grad_folded = torch.zeros_like(gamma), torch.zeros_like(weight)
        z, grad_z = (x.new_empty(height, len(weight)) for _ in range(2))
        for piece, grad_piece, out in zip(x.split(height), grad.split(height), grad_x.split(height), strict=True):
            z_piece, grad_z_piece = z[: len(piece)], grad_z[: len(piece)]
            centred = piece - offset
            torch.addmm(shift, centred, folded.t(), out=z_piece)
            act.backward(grad_piece, z_piece, grad_z_piece)
            grad_sum += grad_z_piece.sum(0)
            if wide == x.dtype:
                grad_folded.addmm_(grad_z_piece.t(), centred)
            else:
                grad_folded += grad_z_piece.t() @ centred
            torch.mm(grad_z_piece, folded, out=out)
        # z = c folded' + beta, folded = gamma rate W, rate = (diag(W C W') + eps)^-1/2, and c and C of x
        along = (grad_folded * weight).sum(1)
        grad_gamma, grad_var = along * rate, along * gamma * rate.pow(3) * -0.5
        grad_weight = grad_folded * (gamma * rate)[:, None] + (2.0 * grad_var)[:, None] * product
        back = (weight.t() * grad_var) @ weight * (2.0 / count)
        constant = -(grad_sum @ folded.to(wide)) / count
        back, constant = back.to(x.dtype), constant.to(x.dtype)
        for piece, out in zip(x.split(height), grad_x.split(height), strict=True):
            out.addmm_(piece - offset, back).add_(constant)
        return grad_x, grad_weight, grad_gamma, grad_sum, None, None


class _NormAct(torch.autograd.Function):
    """y [N, T, M, C] -> result of its shape, batch mean [C] and variance [C], and where asked sums over M, [N, T, C]."""

    @staticmethod
    def forward(
        ctx: Any, y: Tensor, gamma: Tensor, beta: Tensor, eps: float, activation: str, sums: bool
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        n, t, m, channels = y.shape
        flat = y.view(-1, channels)
        zeros = torch.zeros_like(gamma)
        mean, var = torch.batch_norm_update_stats(flat, zeros, torch.ones_like(gamma), 0.0)
        result = torch.empty_like(flat)
        act = DERIVATIVES[activation]
        height = _height(len(flat), channels, m if sums else 1)
        total = y.new_empty(n * t, channels) if sums else None
        totals = total.split(height // m) if total is not None else [None] * -(-len(flat) // height)
        for piece, out, into in zip(flat.split(height), result.split(height), totals, strict=True):
            act.forward(F.batch_norm(piece, mean, var, gamma, beta, False, 0.0, eps), out)
            if into is not None:
                torch.sum(out.view(-1, m, channels), 1, out=into)
        ctx.save_for_backward(y, gamma, beta, mean, var)
        ctx.eps, ctx.activation = eps, activation
        ctx.mark_non_differentiable(mean, var)
        return result.view(y.shape), mean, var, total.view(n, t, channels) if total is not None else None

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, _mean: Any, _var: Any, grad_sums: Tensor | None) -> tuple[Tensor | None, ...]:
        y, gamma, beta, mean, var = ctx.saved_tensors
        n, t, m, channels = y.shape
        flat, grad = y.view(-1, channels), grad.reshape(-1, channels)
        count = len(flat)
        act, eps = DERIVATIVES[ctx.activation], ctx.eps
        rate = (var + eps).rsqrt()
        height = _height(count, channels, m if grad_sums is not None else 1)
        spread = [None] * -(-count // height) if grad_sums is None else grad_sums.reshape(n * t, 1, channels).split(height // m)
        result = torch.empty_like(flat)
        grad_beta, along = torch.zeros_like(gamma), torch.zeros_like(gamma)
        buffer = flat.new_empty(height, channels)
        for piece, grad_piece, out, add in zip(flat.split(height), grad.split(height), result.split(height), spread, strict=True):
            z = F.batch_norm(piece, mean, var, gamma, beta, False, 0.0, eps)
            if add is not None:
                into = buffer[: len(piece)]
                torch.add(grad_piece.view(-1, m, channels), add, out=into.view(-1, m, channels))
                grad_piece = into
            act.backward(grad_piece, z, out)
            grad_beta += out.sum(0)
            along += torch.mul(out, piece, out=z).sum(0)
        grad_gamma = (along - grad_beta * mean) * rate
        # grad_y = gamma rate (grad_z - mean(grad_z) - xhat mean(grad_z xhat))
        scale = gamma * rate
        slope = -scale * rate * grad_gamma / count
        constant = -scale * grad_beta / count - slope * mean
        ones, zeros = torch.ones_like(mean), torch.zeros_like(mean)
        for piece, out in zip(flat.split(height), result.split(height), strict=True):
            affine = F.batch_norm(piece, zeros, ones, slope, constant, False, 0.0, 0.0)
            if out.dtype == gamma.dtype:
                torch.addcmul(affine, out, scale, out=out)
            else:
                torch.add(affine, F.batch_norm(out, zeros, ones, scale, zeros, False, 0.0, 0.0), out=out)
        return result.view(y.shape), grad_gamma, grad_beta, None, None, None


class _GatedPointwise(torch.autograd.Function):
    """x [N, M, I], gate [N, I], weight [O, I] -> x (weight gate)' [N, M, O]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gate: Tensor, weight: Tensor) -> Tensor:
        gated = (weight * gate[:, None]).to(x.dtype)
        ctx.save_for_backward(x, gate, weight, gated)
        return torch.bmm(x, gated.transpose(1, 2))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, gate, weight, gated = ctx.saved_tensors
        grad_gated = torch.bmm(grad.transpose(1, 2), x).to(weight.dtype)
        return torch.bmm(grad, gated), (grad_gated * weight).sum(1).to(gate.dtype), (grad_gated * gate[:, None]).sum(0)
