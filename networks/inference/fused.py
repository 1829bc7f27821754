"""A network for inference only: the same logits, several times as fast. See `MoViNet.fuse`."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from networks import states, temporal
from networks.inference import folding
from networks.inference.bottleneck import EXPANDED_BYTES, FusedBottleneck, frames_at_a_time, pieces
from networks.inference.frame_program import FrameProgram, Parts, Programs
from networks.inference.fused_ops import Pointwise, Stem, activate_, frame_means
from networks.kernels import CpuKernel, Operation, Shape, is_fast, otherwise
from networks.layer_weights import NetworkWeights
from networks.temporal import State, StateLike
from networks.video_network import InferenceOnly
from searchspace import Architecture
from searchspace.cost import halve
from searchspace.state_shapes import HEAD, layer_name, named


class FusedMoViNet(InferenceOnly[Architecture]):
    """The network of an architecture with BatchNorm and residual scalars folded into its convolutions.

    It is called as the network that it was made of, whose later changes do not reach it. It has no parameters: it does
    not train, gradients do not pass through it, and it is not saved. It stays where it was made, on a device and in a
    dtype.

    Args:
        architecture: of the network.
        weights: of the network; copied.
        untrained: whether nobody trained it.
        dtype: of the maps and stream buffers; means, gates, the dense layer and the logits are float32 also in
            bfloat16 (float64 in float64).
    """

    def __init__(
        self, architecture: Architecture, weights: NetworkWeights, untrained: bool, dtype: torch.dtype
    ) -> None:
        super().__init__(architecture)
        self._untrained, self.wide = untrained, torch.promote_types(dtype, torch.float32)
        form, folded = architecture.form, folding.fold(weights, architecture.form, dtype)
        self.stem = Stem(folded.stem, form.activation)
        names = [layer_name(position) for position in architecture.layers()]
        self.layers = [FusedBottleneck(w, form, name) for w, name in zip(folded.bottlenecks, names, strict=True)]
        self.head, self.dense, self.classifier = (
            Pointwise(folded.head, form.activation),
            folded.dense,
            folded.classifier,
        )
        self.parts = Parts(self.stem, self.layers, self.head, self.dense, self.classifier, form)
        self.prepares, self.programs = self.parts.serves, Programs()

    @property
    def untrained(self) -> bool:
        """See `VideoNetwork`."""
        return self._untrained

    @property
    def weight(self) -> Tensor:
        """See `VideoNetwork`."""
        return self.stem.weight

    @torch.no_grad()
    def compute(self, clip_NCTHW: Tensor, state: StateLike | None = None, donate: bool = False) -> tuple[Tensor, State]:
        """See `VideoNetwork.compute`."""
        frames_NTHWC = clip_NCTHW.permute(0, 2, 3, 4, 1)
        if not self.streams:
            return torch.stack([self._of_clip(frames) for frames in frames_NTHWC]), State()
        if state is None:
            state, donate = self.initial_state(len(clip_NCTHW), *clip_NCTHW.shape[3:]), True
        answers = []
        for piece in torch.split(frames_NTHWC, self._frames_of_a_stream(frames_NTHWC), 1):
            logits, state = self._of_stream(piece, state, donate)
            answers.append(logits)
            donate = True  # the state between two pieces is nobody else's
        return answers[-1] if self.answers_clips else torch.cat(answers, 2), dict(state)

    def _of_clip(self, frames_THWC: Tensor) -> Tensor:
        """Logits of one clip, classes first."""
        frames, whole = len(frames_THWC), None

        def source(first: int, last: int) -> Tensor:
            return self.stem(frames_THWC[first:last]) if whole is None else whole[first:last]

        for layer in self.layers:
            whole = layer.of_clip(source, frames, whole)
        parts = []
        for first, last in pieces(frames, frames_at_a_time(source(0, 1), len(self.head.bias))):
            parts.append(self._pooled(source(first, last)))
        pooled = torch.cat(parts)
        return self._classify(pooled.mean(0) if self.answers_clips else pooled).movedim(-1, 0)

    def _of_stream(self, frames_NTHWC: Tensor, before: StateLike, donate: bool) -> tuple[Tensor, State]:
        """Logits, and the state after these frames."""
        if not self.prepares or not is_fast(frames_NTHWC):
            return self._of_frames(frames_NTHWC, before, donate)
        shape = Shape(frames=frames_NTHWC.shape[1], bytes=self.weight.element_size())
        return STREAMED_FRAMES.kernel(shape).run(self, frames_NTHWC, before, donate)

    def _of_frames(self, frames_NTHWC: Tensor, before: StateLike, donate: bool) -> tuple[Tensor, State]:
        """Any frames of each stream, a layer after the other."""
        streams, after = len(frames_NTHWC), State()
        x = self.stem(frames_NTHWC.flatten(0, 1))
        for layer in self.layers:
            x = layer.of_stream(x, streams, before, after, donate)
        pooled = self._pooled(x)
        pooled = pooled.view(streams, -1, *pooled.shape[1:])
        if not self.answers_clips:
            return self._classify(pooled).movedim(-1, 1), after
        mean, new = temporal.running_mean(pooled, states.part(before, HEAD))
        return self._classify(mean), after | named(new, HEAD)

    def _of_frame(self, frames_NTHWC: Tensor, before: StateLike, donate: bool) -> tuple[Tensor, State]:
        """One frame of each stream by a prepared program, which writes into the state."""
        image = frames_NTHWC[:, 0].permute(0, 3, 1, 2)
        names = states.shapes(self.architecture, *image.shape[2:])
        after = {name: before[name] if donate else before[name].clone() for name in names}
        return self.programs.run(functools.partial(FrameProgram, self.parts), image, after), after

    def _pooled(self, x_FHWC: Tensor) -> Tensor:
        """What the classifier sees of each frame: its mean, [F, C], or all of its positions, [F, H, W, C]."""
        maps = self.head(x_FHWC)
        return maps.to(self.wide) if self.architecture.form.head_pool == "none" else frame_means(maps, self.wide)

    def _frames_of_a_stream(self, frames_NTHWC: Tensor) -> int:
        """How many frames of each stream go through the network at a time, by its largest expanded map."""
        streams, _, height, width, _ = frames_NTHWC.shape
        largest = 0
        height, width = halve(height, 2), halve(width, 2)
        for layer in self.layers:
            largest = max(largest, len(layer.expand.bias) * height * width)
            height, width = halve(height, layer.stride), halve(width, layer.stride)
        return max(1, EXPANDED_BYTES // (streams * largest * self.weight.element_size()))

    def _classify(self, mean: Tensor) -> Tensor:
        hidden = F.linear(mean, self.dense.weight, self.dense.bias)
        hidden = activate_(hidden, self.architecture.form.dense_activation)
        return F.linear(hidden, self.classifier.weight, self.classifier.bias)


STREAMED_FRAMES: Operation[Callable[[FusedMoViNet, Tensor, StateLike, bool], tuple[Tensor, State]]] = Operation(
    "streamed frames",
    CpuKernel(
        "program",
        FusedMoViNet._of_frame,
        lambda s: s.frames == 1 and s.bytes == 4,
        "maps are small: memory, views and layouts that are prepared once cost as much as what is computed",
        "A0 172x172: 1.2-1.4 times as fast as the general path, A1 1.2-1.3, A2 1.2",
    ),
    CpuKernel(
        "general",
        FusedMoViNet._of_frames,
        otherwise,
        "calls on several frames are long enough",
        "as above",
    ),
)
