"""Batches of clips as tensors, loaded here or in worker processes, always the same ones in the same order."""

import dataclasses
import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from video.processes import worker_pool
from video.source import Frames, Source

if TYPE_CHECKING:
    from torch import Tensor


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """Names one batch.

    Attributes:
        part: part of the source.
        indices: of the items, in the order of the batch.
        epoch: selects the random crops where `training`.
        training: random crops, otherwise fixed ones.
        view: which temporal crop where not `training`.
    """

    part: str
    indices: Sequence[int]
    epoch: int = 0
    training: bool = False
    view: int = 0


def batches(
    source: Source, requests: Iterable[Request], workers: int = 0, prefetch: int = 2
) -> Iterator[tuple["Tensor", "Tensor"]]:
    """Loads the requested batches, in order.

    Contents and order do not depend on `workers`, and no global random state is touched. Requests are drawn lazily, up
    to `workers * prefetch` ahead. Workers are fresh processes (nothing is forked) of one thread each, which import
    neither torch nor the program's main script, and do not look into the working directory for modules: that is why
    torch's own loader is not used. They start within a second, with caches of their own: make one call per run rather
    than one per epoch.

    Args:
        source: the data.
        requests: the batches; may be endless.
        workers: processes that load; 0 loads in this one.
        prefetch: batches that each worker loads ahead.

    Yields:
        Clips, uint8 [N, 3, T, H, W] in channels_last_3d memory, and labels, int64 [N].
    """
    if workers < 0 or prefetch < 1:
        raise ValueError(f"workers = {workers}, prefetch = {prefetch}: workers must be 0 or more, prefetch 1 or more")
    if workers == 0:
        for request in requests:
            yield _tensors(*_load(source, request))
        return
    coming = iter(requests)
    with worker_pool(workers, _adopt, source, workers) as pool:
        waiting = deque(pool.submit(_load_adopted, request) for request in itertools.islice(coming, workers * prefetch))
        while waiting:
            try:
                frames, labels = waiting.popleft().result()
            except BrokenProcessPool as error:
                raise RuntimeError(
                    "a process that loads data has died, perhaps out of memory: use fewer workers or none"
                ) from error
            waiting.extend(pool.submit(_load_adopted, request) for request in itertools.islice(coming, 1))
            yield _tensors(frames, labels)


def to_float(clips: "Tensor") -> "Tensor":
    """uint8 [N, 3, T, H, W] to float32 in [0, 1], in channels_last_3d memory."""
    import torch

    if not isinstance(clips, torch.Tensor):
        raise ValueError(f"clips are a {type(clips).__name__}; give a torch.Tensor, such as torch.from_numpy(clips)")
    scaled = clips.to(torch.float32, memory_format=torch.channels_last_3d)
    return scaled.div_(255.0) if scaled is not clips else scaled / 255.0


def _tensors(frames: Frames, labels: NDArray[np.int64]) -> tuple["Tensor", "Tensor"]:
    import torch

    return torch.from_numpy(frames).permute(0, 4, 1, 2, 3), torch.from_numpy(labels)


def _load(source: Source, request: Request) -> tuple[Frames, NDArray[np.int64]]:
    """Clips, uint8 [N, T, H, W, 3], and labels."""
    return source.batch(request.part, request.indices, request.epoch, request.training, request.view)


_adopted: list[Source] = []
"""In a worker process: the source that it loads from."""


def _adopt(source: Source, workers: int) -> None:
    source.share(workers)
    _adopted.append(source)


def _load_adopted(request: Request) -> tuple[Frames, NDArray[np.int64]]:
    return _load(_adopted[0], request)
