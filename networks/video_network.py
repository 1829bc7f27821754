"""What the networks of architectures and of ensembles have in common: how they are called, and what they refuse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, NoReturn, Protocol, TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from networks import checks, states
from networks.temporal import State, StateLike
from searchspace import NetworkSpec

A = TypeVar("A", bound=NetworkSpec)


class HasWeights(Protocol):
    """A linear layer."""

    weight: nn.Parameter
    bias: nn.Parameter


class VideoNetwork(nn.Module, Generic[A]):
    """A network from clips to logits, and frame by frame where it is causal.

    A causal network runs on whole clips and frame by frame with the same weights, and keeps nothing in itself:

        state = network.initial_state(batch, height, width)
        for frames in stream:                       # [N, 3, T, H, W] of any T
            logits, state = network(frames, state)  # of all frames so far

    Args:
        architecture: what it is the network of.
    """

    def __init__(self, architecture: A) -> None:
        super().__init__()
        self.architecture: A = architecture

    @property
    def streams(self) -> bool:
        """Whether this network is causal: it takes a state and gives one."""
        return self.architecture.causal

    @property
    def answers_clips(self) -> bool:
        """Whether logits are [N, classes], and not of each frame or position; see `searchspace.Form`."""
        return self.architecture.answers_clips

    @property
    def untrained(self) -> bool:
        """Whether nobody trained it, as far as weights tell."""
        return False

    @property
    def weight(self) -> Tensor:
        """One of the weights, for the dtype and device of maps."""
        return next(self.parameters())

    @property
    def state_dtypes(self) -> states.Dtypes:
        """What its states are kept in."""
        return states.Dtypes(self.weight.dtype, self.weight.dtype)

    def initial_state(self, batch: int, height: int, width: int) -> State:
        """The state before the first frame of `batch` streams of a size in pixels; all zeros, see `networks.states`.

        Raises:
            ValueError: the network is not causal, or a size below 1.
        """
        return states.initial(self.architecture, batch, height, width, self.state_dtypes, self.weight.device)

    def reset(self, state: StateLike, rows: Sequence[int] | Tensor | None = None) -> State:
        """The state with some of its streams at their start again.

        Args:
            state: of this network; not changed.
            rows: indices of streams in the batch; None for all.

        Raises:
            ValueError: a state of another network, or a row that it does not have.
        """
        checks.check_state(state, self.architecture, self.state_dtypes)
        return states.reset(state, rows)

    def networks(self) -> list[Network]:
        """The members of an ensemble; a single network alone."""
        return [self]

    def fuse(self, dtype: torch.dtype | None = None) -> Network:
        """A copy for inference only that gives the same logits faster, where the family has one; else this network.

        Args:
            dtype: of its maps; None for that of the weights.
        """
        return self

    checkpointing = False
    """Whether activations are computed again in the backward pass; of families that can."""

    def start_residuals(self, value: float) -> None:
        """Sets the residual scalars of fresh weights, of families that have them."""

    def last_linear(self) -> HasWeights | None:
        """The classifier, with `weight` [classes, hidden] and `bias`; None where a family has none of this form."""
        return None

    def hidden_copy(self) -> Network | None:
        """A copy in evaluation mode that answers with what its classifier sees; None where a family has none."""
        return None

    def smoothed(self) -> nn.Module:
        """The layer whose maps `loss.smoothness` of a recipe acts on; raises `ValueError` where a family has none."""
        raise ValueError(f"family {self.architecture.family} has no smoothness in its loss; set loss.smoothness=0")

    def layer_names(self) -> list[str]:
        """Names of the modules that a diagnosis of a diverged training tells of."""
        return [name for name, _ in self.named_children()]

    def give_features(self) -> None:
        """Lets calls give feature maps in place of logits.

        Raises:
            ValueError: a network without feature maps of its own.
        """
        raise ValueError(
            f"network {self.architecture.name!r} has no feature maps of its own; create its members, one by one"
            if len(self.networks()) > 1
            else f"network {self.architecture.name!r}: family {self.architecture.family} has no feature maps"
        )

    def fade(self, state: StateLike, memory: int) -> State:
        """The state with a past that counts at most `memory` frames in the means to come, the next frame included.

        A sum of more frames shrinks to the same mean over fewer; called after every frame, means become exponential
        ones of rate 1 / `memory`. Indices of frames stay within the clip that the network is meant for.
        """
        return states.fade(state, memory, self.architecture.clip.frames)

    def forward(self, clip_NCTHW: Tensor, state: StateLike | None = None, donate: bool = False) -> Any:
        """Logits of clips, of any T, H, W >= 1.

        Args:
            clip_NCTHW: [N, 3, T, H, W], float RGB in [0, 1]; for an ensemble at its frame rate.
            state: of a causal network before these frames, one row a clip; None where all streams start. Not changed
                unless it is donated.
            donate: the state is not needed any more: its tensors may be overwritten, and be those of the new state.
                Fused networks are faster with it.

        Returns:
            Logits [N, classes]; of a causal network `(logits, state)`: logits of all frames since the start, and the
            state to give with the next frames. Where the architecture's `head_pool` is not "3d", logits of each frame
            [N, classes, T], or of each position of the last map [N, classes, T, H, W].

        Raises:
            ValueError: a clip or a state that does not fit, or, in evaluation mode, with values that are not finite or
                counts that no stream has; names the tensor, its shape and what was expected.
        """
        self._check(clip_NCTHW, state)
        logits, after = self.compute(clip_NCTHW, state, donate)
        if state is not None and not self.training:
            checks.check_result(logits, state)
        return (logits, after) if self.streams else logits

    def compute(self, clip_NCTHW: Tensor, state: StateLike | None = None, donate: bool = False) -> tuple[Tensor, State]:
        """`forward` without its checks: logits, and the state after the clip, empty where nothing is causal."""
        raise NotImplementedError

    def logits(self, clip_NCTHW: Tensor) -> Tensor:
        """Logits [N, classes] of whole clips, causal network or not: what training and evaluation want.

        Those of a network that answers each frame or position are averaged (our choice).
        """
        result = self(clip_NCTHW)
        logits: Tensor = result[0] if self.streams else result
        return logits if self.answers_clips else logits.flatten(2).mean(2)

    def _check(self, clip_NCTHW: Tensor, state: StateLike | None) -> None:
        """Refuses what does not fit."""
        values = not self.training
        checks.check_clip(clip_NCTHW, (self.weight.dtype,), values)
        if state is not None:
            checks.check_state(state, self.architecture, self.state_dtypes, clip_NCTHW, values)


Network: TypeAlias = VideoNetwork[Any]
"""The network of any family, or of an ensemble."""


class InferenceOnly(VideoNetwork[A]):
    """What fused networks have in common: they have no parameters, and stay as they were made."""

    def __init__(self, architecture: A) -> None:
        super().__init__(architecture)
        super().train(False)

    @property
    def state_dtypes(self) -> states.Dtypes:
        """Maps in the network's dtype, sums over any number of frames in float32 or more."""
        dtype = self.weight.dtype
        return states.Dtypes(dtype, torch.promote_types(dtype, torch.float32))

    def train(self, mode: bool = True) -> InferenceOnly[A]:
        """Evaluation mode only.

        Raises:
            ValueError: training mode.
        """
        if mode:
            self._refuse("does not train; train the network that it was made of, and fuse that again")
        return self

    def state_dict(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused.

        Raises:
            ValueError: always.
        """
        self._refuse("has no weights to save or load; save the network that it was made of")

    def load_state_dict(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused; raises `ValueError`."""
        self.state_dict()

    def _apply(self, fn: Any, recurse: bool = True) -> NoReturn:
        """What `to`, `cuda`, `half` and the like call."""
        self._refuse("stays on its device and in its dtype; move the network that it was made of, and fuse that again")

    def _refuse(self, reason: str) -> NoReturn:
        raise ValueError(f"network {self.architecture.name!r} is fused and {reason}")

    def _check(self, clip_NCTHW: Tensor, state: StateLike | None) -> None:
        checks.check_inference(clip_NCTHW, self.architecture.name)
        dtypes = self.state_dtypes
        checks.check_clip(clip_NCTHW, (dtypes.buffers, dtypes.sums), values=True)
        if state is not None:
            checks.check_state(state, self.architecture, dtypes, clip_NCTHW, values=True)
