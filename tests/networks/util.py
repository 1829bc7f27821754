"""What tests of networks share."""

import torch
from torch import Tensor, nn


@torch.no_grad()
def randomise_(network: nn.Module, seed: int = 0) -> None:
    """Makes a fresh network live: residual scalars not zero, affine parts and statistics of BatchNorm random."""
    generator = torch.Generator().manual_seed(seed)

    def noise(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator, dtype=like.dtype)

    for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
        last = name.rsplit(".", 1)[-1]
        if last in ("scale", "position_scale"):
            tensor.copy_(0.5 + 0.1 * noise(tensor))
        elif last == "running_var":
            tensor.copy_(torch.exp(0.1 * noise(tensor)))
        elif last in ("running_mean", "bias"):
            tensor.copy_(0.1 * noise(tensor))
        elif last == "weight" and tensor.dim() == 1:
            tensor.copy_(1 + 0.1 * noise(tensor))


def clips(count: int, frames: int, size: int, seed: int = 0) -> Tensor:
    """Random clips [N, 3, T, H, W] in [0, 1]."""
    return torch.rand(count, 3, frames, size, size, generator=torch.Generator().manual_seed(seed))
