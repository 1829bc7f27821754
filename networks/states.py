"""The state of streams: a flat dictionary of named tensors, one row a stream.

Names are those of the reference code without its prefix: `block1_layer0_stream_buffer`, `head_pool_buffer`; the
endings stand in `networks.temporal`. An ensemble has those of its members under `member0_...`, and of its own, too:

| name | shape | holds |
|---|---|---|
| `frame_count` | int32 [N] | how many frames a stream has seen, which says whose turn is next |
| `member0_logits` | [N, classes] | the member's latest answer; without meaning before its first frame |

Every stream starts at zeros. The functions here return new dictionaries and never change a tensor that they are given.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from networks.temporal import BUFFER, POOL, POOL_COUNT, POSITION, State, StateLike
from networks.tensors import check_tensors
from searchspace import Buildable, Ensemble, Position
from searchspace.cost import halve

HEAD, FRAME_COUNT, LOGITS = "head", "frame_count", "logits"
T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class Dtypes:
    """What a network keeps its state in; counters are int32.

    Attributes:
        buffers: of stream buffers, which are maps.
        sums: of all else; a fused network in bfloat16 adds up in float32.
    """

    buffers: torch.dtype
    sums: torch.dtype

    def of(self, name: str, shape: tuple[int, ...]) -> torch.dtype:
        """Of a tensor by its name, and its shape without the batch."""
        if not shape:
            return torch.int32
        return self.buffers if name.endswith(BUFFER) else self.sums


def member_name(index: int) -> str:
    """What the names of a member's tensors begin with."""
    return f"member{index}"


def layer_name(position: Position) -> str:
    """What the names of a bottleneck's tensors begin with."""
    return f"block{position.block}_layer{position.index}"


@functools.lru_cache(maxsize=64)  # asked for at every call of a network
def shapes(architecture: Buildable, height: int, width: int) -> Mapping[str, tuple[int, ...]]:
    """Shape of each tensor of one stream, without the batch; counters are ().

    Raises:
        ValueError: the network is not causal, or a size below 1.
    """
    if height < 1 or width < 1:
        raise ValueError(f"frames of {height} x {width} pixels; allowed: at least 1 x 1")
    if isinstance(architecture, Ensemble):
        return _ensemble_shapes(architecture, height, width)
    form = architecture.form
    if not form.causal:
        raise ValueError(
            f"network {architecture.name!r} is not causal and has no state; call it with whole clips, or create its "
            "causal form with stream=True"
        )
    result: dict[str, tuple[int, ...]] = {}
    height, width = halve(height, 2), halve(width, 2)
    for position in architecture.layers():
        name, layer = layer_name(position), position.layer
        before = (height, width)
        height, width = halve(height, layer.stride), halve(width, layer.stride)
        if shifted := layer.kernel.shifted(layer.expand):
            result[f"{name}_{BUFFER}"] = (shifted, 1, *before)
        if layer.kernel.t > 1:
            split = form.parts(layer.kernel)[1] is not None
            size = (height, width) if split else before
            result[f"{name}_{BUFFER}"] = (layer.expand, layer.kernel.t - 1, *size)
        if layer.squeeze and form.squeeze_kind != "2d":
            result |= {f"{name}_{POOL}": (layer.expand,), f"{name}_{POOL_COUNT}": ()}
        if layer.squeeze and form.position_encoding:
            result[f"{name}_{POSITION}"] = ()
    if form.answers_clips:
        result |= {f"{HEAD}_{POOL}": (architecture.head.width,), f"{HEAD}_{POOL_COUNT}": ()}
    return result


def _ensemble_shapes(ensemble: Ensemble, height: int, width: int) -> dict[str, tuple[int, ...]]:
    result: dict[str, tuple[int, ...]] = {FRAME_COUNT: ()}
    for i, member in enumerate(ensemble.members):
        own = shapes(member.architecture, *ensemble.size(i, height, width))
        result |= named({LOGITS: (ensemble.classes,), **own}, member_name(i))
    return result


def initial(
    architecture: Buildable, batch: int, height: int, width: int, dtypes: Dtypes, device: torch.device
) -> State:
    """Zeros for `batch` streams; see `VideoNetwork.initial_state`."""
    if batch < 1:
        raise ValueError(f"{batch} streams; allowed: at least 1")
    result = {}
    for name, shape in shapes(architecture, height, width).items():
        dtype = dtypes.of(name, shape)
        if name.endswith(BUFFER):  # channels last, as the network leaves them
            channels, *rest = shape
            result[name] = torch.zeros(batch, *rest, channels, dtype=dtype, device=device).permute(0, 4, 1, 2, 3)
        else:
            result[name] = torch.zeros(batch, *shape, dtype=dtype, device=device)
    return result


def part(state: StateLike | None, name: str) -> State | None:
    """The tensors of one layer under their short names."""
    if state is None:
        return None
    length = len(name) + 1
    return {key[length:]: state[key] for key in (f"{name}_{end}" for end in _ENDINGS) if key in state}


def named(values: Mapping[str, T], name: str) -> dict[str, T]:
    """Undoes `part` and `unprefixed`."""
    return {f"{name}_{key}": value for key, value in values.items()}


def unprefixed(state: StateLike, name: str) -> State:
    """The tensors whose names begin with `name`, without it."""
    return {key.removeprefix(f"{name}_"): tensor for key, tensor in state.items() if key.startswith(f"{name}_")}


def gather(state: StateLike, rows: Sequence[int] | Tensor) -> State:
    """Some streams of a batch, in the order of `rows`.

    Raises:
        ValueError: a row that the state does not have, or what is no state.
    """
    check_tensors(state)
    index = _index(state, rows)
    return {name: tensor[index.to(tensor.device)] for name, tensor in state.items()}


def scatter(state: StateLike, rows: Sequence[int] | Tensor, streams: StateLike) -> State:
    """The state with other streams in its `rows`: `scatter(state, rows, gather(state, rows))` is the state.

    Raises:
        ValueError: other tensors or shapes, a row twice, or one that the state does not have.
    """
    check_tensors(state)
    check_tensors(streams)
    index = _index(state, rows)
    if len(set(index.tolist())) != len(index):
        raise ValueError(f"rows {index.tolist()}: each row at most once")
    result = {}
    for name in [*state, *streams]:
        if name not in state or name not in streams:
            side = "this state" if name in streams else "the streams to put in"
            raise ValueError(f"state tensor {name!r} is missing in {side}; both must be of one network")
        if name not in result:
            wanted = (len(index), *state[name].shape[1:])
            if streams[name].shape != wanted or streams[name].dtype != state[name].dtype:
                raise ValueError(
                    f"state tensor {name!r} to put in has shape {list(streams[name].shape)} and {streams[name].dtype}; "
                    f"expected {list(wanted)} and {state[name].dtype}"
                )
            result[name] = state[name].index_copy(0, index.to(state[name].device), streams[name])
    return result


def reset(state: StateLike, rows: Sequence[int] | Tensor | None = None) -> State:
    """The state with some streams, or all, at their start.

    Raises:
        ValueError: a row that the state does not have, or what is no state.
    """
    check_tensors(state)
    if rows is None:
        return {name: torch.zeros_like(tensor) for name, tensor in state.items()}
    index = _index(state, rows)
    return {name: tensor.index_fill(0, index.to(tensor.device), 0) for name, tensor in state.items()}


def fade(state: StateLike, memory: int, architecture: Buildable) -> State:
    """The state with a past that counts at most `memory` frames in the means to come, the next frame included.

    A sum of more frames shrinks to the same mean over fewer; called after every frame, means become exponential ones
    of rate 1 / `memory`. Indices of frames stay within the clip that the network is meant for, and the counts of an
    ensemble, of which only the turn matters, stay small.
    """
    if isinstance(architecture, Ensemble):
        return _ensemble_fade(state, memory, architecture)
    result = dict(state)
    for name, tensor in state.items():
        if name.endswith(POSITION):
            result[name] = tensor.clamp(max=architecture.clip.frames - 1)
        elif name.endswith(POOL_COUNT):
            result[name] = kept = tensor.clamp(max=memory - 1)
            sums = name.removesuffix(POOL_COUNT) + POOL
            result[sums] = state[sums] * (kept / tensor.clamp(min=1))[:, None]
    return result


def _ensemble_fade(state: StateLike, memory: int, ensemble: Ensemble) -> State:
    strides = [ensemble.stride(i) for i in range(len(ensemble.members))]
    round_of_turns, count = math.lcm(*strides), state[FRAME_COUNT]
    over = (count - round_of_turns).clamp(min=0)
    result = {FRAME_COUNT: torch.where(over > 0, round_of_turns + over % round_of_turns, count)}
    for i, (member, stride) in enumerate(zip(ensemble.members, strides, strict=True)):
        own = unprefixed(state, member_name(i))
        result |= named(fade(own, math.ceil(memory / stride), member.architecture), member_name(i))
    return result


_ENDINGS = (BUFFER, POOL, POOL_COUNT, POSITION)


def streams(state: Mapping[str, Tensor]) -> int:
    """Number of streams in a state."""
    return len(next(iter(state.values()))) if state else 0


def _index(state: StateLike, rows: Sequence[int] | Tensor) -> Tensor:
    count = streams(state)
    index = torch.as_tensor(rows, dtype=torch.int64)
    if index.dim() != 1 or (len(index) and not bool(((index >= 0) & (index < count)).all())):
        raise ValueError(f"rows {index.tolist()}; allowed: a list of rows from 0 to {count - 1}")
    return index
