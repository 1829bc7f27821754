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
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from networks.temporal import State, StateLike
from networks.tensors import check_tensors
from searchspace import NetworkSpec
from searchspace.state_shapes import BUFFER, POOL, POOL_COUNT, POSITION


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


@functools.lru_cache(maxsize=64)  # asked for at every call of a network
def shapes(architecture: NetworkSpec, height: int, width: int) -> Mapping[str, tuple[int, ...]]:
    """Shape of each tensor of one stream, without the batch; counters are ().

    Raises:
        ValueError: the network is not causal, or a size below 1.
    """
    if height < 1 or width < 1:
        raise ValueError(f"frames of {height} x {width} pixels; allowed: at least 1 x 1")
    return architecture.state_shapes(height, width)


def initial(
    architecture: NetworkSpec, batch: int, height: int, width: int, dtypes: Dtypes, device: torch.device
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


def fade(state: StateLike, memory: int, frames: int) -> State:
    """The state of a network with a past that counts at most `memory` frames in the means to come; see
    `VideoNetwork.fade`. Indices of frames stay within a clip of `frames`."""
    result = dict(state)
    for name, tensor in state.items():
        if name.endswith(POSITION):
            result[name] = tensor.clamp(max=frames - 1)
        elif name.endswith(POOL_COUNT):
            result[name] = kept = tensor.clamp(max=memory - 1)
            sums = name.removesuffix(POOL_COUNT) + POOL
            result[sums] = state[sums] * (kept / tensor.clamp(min=1))[:, None]
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
