"""The network of a temporal ensemble: its members see different frames, and the mean of their logits is the answer."""

from __future__ import annotations

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from networks import states
from networks.registry import build, network_of
from networks.temporal import State, StateLike
from networks.video_network import InferenceOnly, Network, VideoNetwork
from searchspace import Ensemble
from searchspace.state_shapes import FRAME_COUNT, LOGITS, member_name, named


class _Turns(VideoNetwork[Ensemble]):
    """Networks that take turns at the frames of a clip; see `searchspace.Ensemble` for who takes which.

    It is called as its members are, with clips at the full frame rate, and, where they are causal, frame by frame with
    one state: that of each member, its latest logits, and how many frames each stream has seen. The answer is the
    unweighted mean of the members' latest logits; a member that has seen no frame yet is left out.
    """

    members: nn.ModuleList

    @property
    def untrained(self) -> bool:
        """Whether any member is as it was initialised."""
        return any(network.untrained for network in self._networks())

    @property
    def weight(self) -> Tensor:
        """See `VideoNetwork`."""
        return self._networks()[0].weight

    def _networks(self) -> list[Network]:
        return [cast(Network, member) for member in self.members]

    def compute(self, clip_NCTHW: Tensor, state: StateLike | None = None, donate: bool = False) -> tuple[Tensor, State]:
        """See `VideoNetwork.compute`."""
        if self.streams:
            return self._step(clip_NCTHW, state, donate or state is None)
        seen = [i for i in range(len(self.members)) if self.architecture.frames(i, clip_NCTHW.shape[2])]
        clips = [self._frames(clip_NCTHW, i, self.architecture.members[i].offset) for i in seen]
        logits = [self._networks()[i].compute(clip)[0] for i, clip in zip(seen, clips, strict=True)]
        return torch.stack(logits).mean(0), State()

    def _step(self, clip: Tensor, state: StateLike | None, donate: bool) -> tuple[Tensor, State]:
        """Mean of the latest logits, and the state after the clip."""
        before = self.initial_state(len(clip), *clip.shape[3:]) if state is None else state
        count = before[FRAME_COUNT] + clip.shape[2]
        after: State = {FRAME_COUNT: count}
        latest, answered = [], []
        for i, member in enumerate(self.architecture.members):
            own = states.unprefixed(before, member_name(i))
            # no streams yet: known without a look at the counters, so that whole clips can be traced
            groups = [(member.offset, None)] if state is None else self._groups(i, before[FRAME_COUNT])
            for first, rows in groups:
                own = self._advance(i, clip, first, rows, own, donate)
            after |= named(own, member_name(i))
            latest.append(own[LOGITS])
            answered.append(count > member.offset)
        voices = torch.stack(answered)[..., None]
        return (torch.stack(latest) * voices).sum(0) / voices.sum(0), after

    def fade(self, state: StateLike, memory: int) -> State:
        """See `VideoNetwork.fade`; the counts of frames, of which only the turn matters, stay small."""
        strides = [self.architecture.stride(i) for i in range(len(self.members))]
        round_of_turns, count = math.lcm(*strides), state[FRAME_COUNT]
        over = (count - round_of_turns).clamp(min=0)
        result = {FRAME_COUNT: torch.where(over > 0, round_of_turns + over % round_of_turns, count)}
        for i, (network, stride) in enumerate(zip(self._networks(), strides, strict=True)):
            own = states.unprefixed(state, member_name(i))
            result |= named(network.fade(own, math.ceil(memory / stride)), member_name(i))
        return result

    def _groups(self, i: int, seen: Tensor) -> list[tuple[int, Tensor | None]]:
        """For streams that have seen so many frames [N]: index of the member's first frame, and rows that share it."""
        member, stride = self.architecture.members[i], self.architecture.stride(i)
        firsts = torch.remainder(member.offset - seen, stride)
        values = sorted(set(firsts.tolist()))
        if len(values) == 1:
            return [(values[0], None)]
        return [(first, (firsts == first).nonzero()[:, 0]) for first in values]

    def _advance(self, i: int, clip: Tensor, first: int, rows: Tensor | None, own: State, donate: bool) -> State:
        """A member's state, its latest logits among it, after its frames of a clip in some rows (None: in all)."""
        if first >= clip.shape[2]:
            return own
        if rows is None:
            logits, after = self._networks()[i].compute(self._frames(clip, i, first), own, donate)
            return {LOGITS: logits.to(own[LOGITS].dtype), **after}
        part = self._advance(i, clip[rows], first, None, states.gather(own, rows), True)
        return states.scatter(own, rows, {name: tensor.to(own[name].dtype) for name, tensor in part.items()})

    def _frames(self, clip: Tensor, i: int, first: int) -> Tensor:
        """What a member sees of a clip from its frame `first` on, at the member's size."""
        x = clip[:, :, first :: self.architecture.stride(i)]
        height, width = (int(side) for side in clip.shape[3:])
        size = self.architecture.size(i, height, width)
        if size == (height, width):
            return x
        scaled = F.interpolate(x.transpose(1, 2).flatten(0, 1), size, mode="bilinear", align_corners=False)
        return scaled.reshape(x.shape[0], x.shape[2], x.shape[1], *size).transpose(1, 2)


@network_of(Ensemble)
class TemporalEnsemble(_Turns):
    """The network of an ensemble.

    Args:
        ensemble: what to build.
        generator: the source of the initial weights; None for torch's global one.
    """

    def __init__(self, ensemble: Ensemble, generator: torch.Generator | None = None) -> None:
        super().__init__(ensemble)
        self.members = nn.ModuleList([build(member.architecture, generator) for member in ensemble.members])

    def networks(self) -> list[Network]:
        """The members, typed."""
        return self._networks()

    def fuse(self, dtype: torch.dtype | None = None) -> FusedEnsemble:
        """A copy for inference only; see `VideoNetwork.fuse`."""
        return FusedEnsemble(self.architecture, [network.fuse(dtype) for network in self.networks()])


class FusedEnsemble(_Turns, InferenceOnly[Ensemble]):
    """An ensemble of fused networks; see `VideoNetwork.fuse`."""

    def __init__(self, ensemble: Ensemble, members: list[Network]) -> None:
        super().__init__(ensemble)
        self.members = nn.ModuleList(members)
