"""A convenience around causal networks: it keeps the state, so that frames go in and probabilities come out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from networks.checks import RGB
from networks.temporal import State
from networks.tensors import check_tensor
from networks.video_network import Network
from searchspace.schema import show

RATE_TOLERANCE = 0.1  # relative difference of frame rates that goes without a word; 25 / 3 is written 8 and 8.3


class Stream:
    """Frames that follow one another through a causal network, one stream or a batch of them.

        stream = Stream(networks.create("a0", stream=True, weights="a0.safetensors").eval(), fps=5)
        for frame in camera:                      # [3, H, W], float RGB in [0, 1]
            probabilities = stream.push(frame)    # [classes], of all that was seen

    The means over time of such a network never forget: after a minute a new scene hardly moves the answer. With
    `memory` the past fades exponentially instead: every mean counts at most that many frames, and positional encoding
    stays at the end of the trained clip. Our choice; equal to the network's own answer for the first `memory` frames.

    Args:
        network: causal, in evaluation mode; fastest as `network.fuse()`.
        fps: frames per second that will be pushed; None for the rate that the network is meant for.
        memory: number of frames after which the past fades; None for never.

    Attributes:
        state: after the last frame; None before the first.

    Raises:
        ValueError: a network that is not causal or is in training mode, or a memory below 1.
    """

    def __init__(self, network: Network, fps: float | None = None, memory: int | None = None) -> None:
        name, clip = network.architecture.name, network.architecture.clip
        if not network.streams:
            raise ValueError(f"network {name!r} is not causal, so it cannot stream; create it with stream=True")
        if network.training:
            raise ValueError(f"network {name!r} is in training mode; call network.eval() first")
        if memory is not None and (type(memory) is not int or memory < 1):
            raise ValueError(f"memory is {show(memory)}; allowed: a whole number of frames, at least 1, or None")
        if fps is not None and not abs(fps / clip.fps - 1) <= RATE_TOLERANCE:
            warnings.warn(
                f"frames come at {fps:g} per second, network {name!r} is meant for {clip.fps:g}; expect worse answers, "
                "or push every so many frames",
                stacklevel=2,
            )
        if network.untrained:
            warnings.warn(f"network {name!r} has fresh weights: its answers mean nothing until trained", stacklevel=2)
        self.network, self.memory = network, memory
        self.state: State | None = None

    @torch.no_grad()
    def push(self, frame: Tensor) -> Tensor:
        """Probabilities after one more frame.

        Args:
            frame: [3, H, W], or [N, 3, H, W] for a batch of streams; float RGB in [0, 1], always of the same size.

        Returns:
            Softmax of the logits, [classes] or [N, classes]: of all frames so far, or of this frame where the network
            answers each by itself, and with the H x W of its last map behind where it answers each position.

        Raises:
            ValueError: a frame that does not fit the network or the frames before.
        """
        check_tensor(frame, "frame")
        if frame.dim() not in (3, 4) or frame.shape[-3] != RGB:
            last = frame.dim() in (3, 4) and frame.shape[-1] == RGB
            hint = "; channels stand last, use frame.movedim(-1, -3)" if last else ""
            raise ValueError(
                f"frame has shape {list(frame.shape)}; expected [3, height, width] or a batch of such{hint}"
            )
        frames = frame if frame.dim() == 4 else frame[None]
        if self.state is None:
            self.state = self.network.initial_state(len(frames), *frames.shape[2:])
        logits, state = self.network(frames[:, :, None], self.state, donate=True)
        if self.memory is not None:
            state = self.network.fade(state, self.memory)
        self.state = state
        if not self.network.answers_clips:
            logits = logits[:, :, -1]
        probabilities: Tensor = logits.softmax(1)
        return probabilities if frame.dim() == 4 else probabilities[0]

    def reset(self, rows: Sequence[int] | Tensor | None = None) -> None:
        """Starts again: all streams, which may then be of another number and size, or those of some rows."""
        if rows is None:
            self.state = None
        elif self.state is not None:
            self.state = self.network.reset(self.state, rows)
