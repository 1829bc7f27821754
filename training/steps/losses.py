"""What a step minimises: labels, mixed labels, a teacher's answers, and smooth features over time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.recipe import Loss


def mixed_labels(labels: Tensor, classes: int, share: float) -> Tensor:
    """Targets [N, classes] of clips mixed with the batch in reverse order; `share` is that of the clip itself."""
    hot = F.one_hot(labels, classes).float()
    return hot * share + hot.flip(0) * (1.0 - share)


def class_weights(labels: Tensor, classes: int, balance: float) -> Tensor | None:
    """What a clip of each class counts, [classes]: its number of clips to the power of -balance, 1 on average a clip.

    Args:
        labels: of the clips that are trained on, int64 [N].
        classes: how many; one without a clip counts 1.
        balance: see `training.recipe.Loss`.

    Returns:
        None where all count the same.
    """
    counts = torch.bincount(labels, minlength=classes).double()
    present = counts > 0
    if not balance or float(counts[present].min()) == float(counts.max()):
        return None
    weights = torch.where(present, counts.clamp_min(1) ** -balance, torch.ones_like(counts))
    weights[present] *= counts.sum() / (counts * weights)[present].sum()
    return weights.float()


def classification(
    logits: Tensor, targets: Tensor, loss: Loss, teacher: Tensor | None = None, weights: Tensor | None = None
) -> Tensor:
    """Cross-entropy with smoothed labels; with a teacher, mixed with its divergence.

    The teacher's part is T^2 KL(teacher || student) of probabilities softened by temperature T, so that its gradient
    does not depend on T to first order (Hinton et al., arXiv 1503.02531, section 2).

    Args:
        logits: [N, classes].
        targets: labels int64 [N], or probabilities [N, classes].
        loss: of the recipe.
        teacher: its logits [N, classes].
        weights: what clips of each class count, [classes]; None for all the same. The teacher's part has none.
    """
    labels = F.cross_entropy(
        logits.float(), targets, label_smoothing=loss.label_smoothing, reduction="mean" if weights is None else "none"
    )
    if weights is not None:
        own = weights[targets] if targets.dtype == torch.int64 else targets @ weights
        labels = (labels * own).mean()
    if teacher is None:
        return labels
    temperature = loss.temperature
    student = F.log_softmax(logits.float() / temperature, dim=1)
    softened = F.log_softmax(teacher.float() / temperature, dim=1)
    divergence = F.kl_div(student, softened, reduction="batchmean", log_target=True)
    return (1.0 - loss.distillation) * labels + loss.distillation * temperature**2 * divergence


def acceleration(map_NCTHW: Tensor) -> Tensor:
    """Mean squared second difference over time of a map's spatial means, each channel normalised to variance 1.

    After Goldman et al., arXiv 2511.20928, who model the embeddings of consecutive frames as a Gaussian random walk and
    penalise acceleration, on features that are pooled over space and normalised by a BatchNorm without affine part.
    Ours: the last block's map, all frames as one window, and no term for the order of frames. The normalisation keeps
    the term from shrinking all features. 0 for fewer than three frames.
    """
    pooled = map_NCTHW.float().mean((3, 4))
    if pooled.shape[2] < 3:
        return pooled.new_zeros(())
    var, mean = torch.var_mean(pooled, (0, 2), correction=0, keepdim=True)
    smooth = (pooled - mean) * torch.rsqrt(var + 1e-5)
    return (smooth[:, :, 2:] - 2.0 * smooth[:, :, 1:-1] + smooth[:, :, :-2]).square().mean()


@contextmanager
def watched(module: nn.Module | None) -> Iterator[list[Tensor]]:
    """Collects what a bottleneck gives in forward passes: its map [N, C, T, H, W] of each call; nothing of None."""
    maps: list[Tensor] = []
    if module is None:
        yield maps
        return

    def keep(_: nn.Module, __: object, result: tuple[Tensor, object]) -> None:
        maps.append(result[0])

    handle = module.register_forward_hook(keep)
    try:
        yield maps
    finally:
        handle.remove()
