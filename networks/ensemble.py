"""The network of a temporal ensemble: its members see different frames, and the mean of their logits is the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from networks import inputs, states
from networks.movinet import MoViNet
from networks.temporal import State, StateLike
from searchspace import Ensemble


class TemporalEnsemble(nn.Module):
    """Networks that take turns at the frames of a clip; see `searchspace.Ensemble` for who takes which.

    It is called as its members are, with clips at the full frame rate, and, where they are causal, frame by frame with
    one state: that of each member, its latest logits, and how many frames each stream has seen. The answer is the
    unweighted mean of the members' latest logits; a member that has seen no frame yet is left out.

    Args:
        ensemble: what to build.
        generator: the source of the initial weights; None for torch's global one.
    """

    def __init__(self, ensemble: Ensemble, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.architecture = ensemble
        self.members = nn.ModuleList([MoViNet(member.architecture, generator) for member in ensemble.members])

    def networks(self) -> list[MoViNet]:
        """The members, typed."""
        return [cast(MoViNet, member) for member in self.members]

    @property
    def streams(self) -> bool:
        """Whether the members are causal: the ensemble takes a state and gives one."""
        return self.architecture.causal

    @property
    def answers_clips(self) -> bool:
        """Members answer whole clips only, so the ensemble does; see `searchspace.Ensemble`."""
        return True

    @property
    def untrained(self) -> bool:
        """Whether any member is as it was initialised."""
        return any(network.untrained for network in self.networks())

    @property
    def _weight(self) -> Tensor:
        return self.networks()[0].stem.weight

    def initial_state(self, batch: int, height: int, width: int) -> State:
        """The state before the first frame; see `MoViNet.initial_state`."""
        return states.initial(self.architecture, batch, height, width, self._weight.dtype, self._weight.device)

    def reset(self, state: StateLike, rows: Sequence[int] | Tensor | None = None) -> State:
        """The state with some of its streams at their start again; see `MoViNet.reset`."""
        inputs.check_state(state, self.architecture, self._weight)
        return states.reset(state, rows)

    def forward(self, clip_NCTHW: Tensor, state: StateLike | None = None) -> Any:
        """Logits of clips, of any T, H, W >= 1.

        Args:
            clip_NCTHW: [N, 3, T, H, W] at the ensemble's frame rate, float RGB in [0, 1].
            state: of causal members before these frames, one row a clip; None where all streams start. Not changed.

        Returns:
            Logits [N, classes]; of causal members `(logits, state)`, see `MoViNet.forward`.

        Raises:
            ValueError: as `MoViNet.forward`.
        """
        inputs.check_clip(clip_NCTHW, self._weight, values=not self.training)
        if not self.streams and state is None:
            seen = [i for i in range(len(self.members)) if self.architecture.frames(i, clip_NCTHW.shape[2])]
            clips = [self._frames(clip_NCTHW, i, self.architecture.members[i].offset) for i in seen]
            logits = [self.networks()[i].compute(clip)[0] for i, clip in zip(seen, clips, strict=True)]
            return torch.stack(logits).mean(0)
        if state is not None:
            inputs.check_state(state, self.architecture, self._weight, clip_NCTHW, values=not self.training)
        mean, after = self._step(clip_NCTHW, state)
        if state is not None and not self.training:
            inputs.check_result(mean, state)
        return mean, after

    def logits(self, clip_NCTHW: Tensor) -> Tensor:
        """Logits [N, classes] of whole clips, causal members or not; as `MoViNet.logits`."""
        result = self(clip_NCTHW)
        logits: Tensor = result[0] if self.streams else result
        return logits

    def _step(self, clip: Tensor, state: StateLike | None) -> tuple[Tensor, State]:
        """Mean of the latest logits, and the state after the clip."""
        before = self.initial_state(len(clip), *clip.shape[3:]) if state is None else state
        count = before[states.FRAME_COUNT] + clip.shape[2]
        after: State = {states.FRAME_COUNT: count}
        latest, answered = [], []
        for i, member in enumerate(self.architecture.members):
            own = states.unprefixed(before, states.member_name(i))
            # no streams yet: known without a look at the counters, so that whole clips can be traced
            groups = [(member.offset, None)] if state is None else self._groups(i, before[states.FRAME_COUNT])
            for first, rows in groups:
                own = self._advance(i, clip, first, rows, own)
            after |= states.named(own, states.member_name(i))
            latest.append(own[states.LOGITS])
            answered.append(count > member.offset)
        voices = torch.stack(answered)[..., None]
        return (torch.stack(latest) * voices).sum(0) / voices.sum(0), after

    def _groups(self, i: int, seen: Tensor) -> list[tuple[int, Tensor | None]]:
        """For streams that have seen so many frames [N]: index of the member's first frame, and rows that share it."""
        member, stride = self.architecture.members[i], self.architecture.stride(i)
        firsts = torch.remainder(member.offset - seen, stride)
        values = sorted(set(firsts.tolist()))
        if len(values) == 1:
            return [(values[0], None)]
        return [(first, (firsts == first).nonzero()[:, 0]) for first in values]

    def _advance(self, i: int, clip: Tensor, first: int, rows: Tensor | None, own: State) -> State:
        """A member's state, its latest logits among it, after its frames of a clip in some rows (None: in all)."""
        if first >= clip.shape[2]:
            return own
        if rows is None:
            logits, after = self.networks()[i].compute(self._frames(clip, i, first), own)
            return {states.LOGITS: logits.to(own[states.LOGITS].dtype), **after}
        part = self._advance(i, clip[rows], first, None, states.gather(own, rows))
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


Network: TypeAlias = MoViNet | TemporalEnsemble
"""What `networks.create` gives: the network of an architecture or of an ensemble."""
