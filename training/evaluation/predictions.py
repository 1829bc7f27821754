"""What networks answer to clips: the one place where clips run through a network, or any function, without gradients.

Evaluations, the scores of a search, the protocols, and the features of classifiers are made of these.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

import networks
import video
from networks import Network
from networks.kernels import current

FUSED_FROM = 128
"""Shorter side in pixels from which a fused network that is not causal was seen to be faster on clips, on a CPU; below,
the plain one is (up to 3 times, at 32 pixels). A causal one is faster fused at any size."""

Forward = Callable[[Tensor], Tensor]
"""Float clips [N, C, T, H, W] in [0, 1] -> logits [N, classes]."""


def for_inference(network: Network) -> Network:
    """The network to ask: fused where that was measured to be faster, which changes logits by rounding alone.

    Args:
        network: in evaluation mode. On a GPU, and under `networks.formulation("reference")`, it is taken as it is.
    """
    clip = network.architecture.clip
    faster = network.streams or min(clip.height, clip.width) >= FUSED_FROM
    return network.fuse() if faster and network.weight.device.type == "cpu" and current() == "fast" else network


def to_clips(frames_NTHWC: npt.NDArray[np.uint8]) -> Tensor:
    """Frames as sources and videos give them, as clips: uint8 [N, C, T, H, W], the same memory."""
    return torch.from_numpy(frames_NTHWC).permute(0, 4, 1, 2, 3)


@torch.no_grad()
def logits_of(forward: Forward, clips: Tensor, device: str = "cpu") -> Tensor:
    """Logits [N, classes] of clips, uint8 [N, C, T, H, W]; on the device."""
    return forward(video.to_float(clips.to(device)))


def average(logits: list[Tensor]) -> Tensor:
    """Mean of the probabilities of several views of the same clips.

    Args:
        logits: one a view, [N, classes].

    Returns:
        Logarithms of the mean, float32 [N, classes].
    """
    if len(logits) == 1:
        return F.log_softmax(logits[0].float(), dim=1)
    return torch.stack([F.softmax(view.float(), dim=1) for view in logits]).mean(dim=0).clamp_min(1e-12).log()


def predictions(
    forward: Forward,
    batches: Iterable[Tensor],
    *,
    views: int = 1,
    device: str = "cpu",
    told: Callable[[int], None] = lambda clips: None,
) -> Iterator[Tensor]:
    """Log-probabilities of clips, the mean of the probabilities of their views.

    Args:
        forward: what answers.
        batches: clips, uint8 [N, C, T, H, W]; every `views` batches in a row are views of the same clips.
        views: how many there are of each clip.
        device: where the network is.
        told: called before every batch, and at the end, with how many clips have run, each view counted; may raise to
            stop.

    Yields:
        float32 [N, classes] for every `views` batches, on the device.
    """
    logits: list[Tensor] = []
    done = 0
    for clips in batches:
        told(done)
        logits.append(logits_of(forward, clips, device))
        done += len(clips)
        if len(logits) == views:
            yield average(logits)
            logits = []
    told(done)


def count_right(log_probabilities: Tensor, labels: Tensor) -> tuple[int, float]:
    """How many clips are right, and their summed cross-entropy in nats.

    Args:
        log_probabilities: [N, classes].
        labels: int64 [N], on the same device.
    """
    right = int((log_probabilities.argmax(dim=1) == labels).sum())
    return right, float(F.nll_loss(log_probabilities, labels, reduction="sum"))


class Streamed(NamedTuple):
    """What a causal network answered to a whole video.

    Attributes:
        logits: after the last frame, [1, classes]; empty where there was none.
        frames: that went through it.
        seconds: in the network.
    """

    logits: Tensor
    frames: int
    seconds: float


@torch.no_grad()
def stream(network: Network, pieces: Iterable[Tensor], device: str = "cpu") -> Streamed:
    """Pushes all frames of a video through a causal network, one by one with its state.

    Args:
        network: in evaluation mode, on the device.
        pieces: the video in order, uint8 [1, C, some, H, W] each.
        device: where the network is.
    """
    state: networks.State | None = None
    logits, frames, seconds = torch.empty(0), 0, 0.0
    for piece in pieces:
        clip = video.to_float(piece.to(device))
        begin = time.perf_counter()
        for frame in range(clip.shape[2]):
            logits, state = network(clip[:, :, frame : frame + 1], state, donate=True)
        if clip.is_cuda:
            torch.cuda.synchronize()
        seconds += time.perf_counter() - begin
        frames += clip.shape[2]
    return Streamed(logits, frames, seconds)
