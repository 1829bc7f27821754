"""Batches of clips as tensors, loaded here or in worker processes, always the same ones in the same order."""

import dataclasses
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from video.decoding_workers import Lost, results
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
    source: Source,
    requests: Iterable[Request],
    workers: int = 0,
    prefetch: int = 2,
    told: Callable[[str], None] | None = None,
) -> Iterator[tuple["Tensor", "Tensor"]]:
    """Loads the requested batches, in order.

    Contents and order do not depend on `workers`, and no global random state is touched. Requests are drawn lazily, up
    to `workers * prefetch` ahead. Workers are fresh processes (nothing is forked) of one thread each, which import
    neither torch nor the program's main script, and do not look into the working directory for modules: that is why
    torch's own loader is not used. They start within a second, with caches of their own: make one call per run rather
    than one per epoch. A worker that dies or hangs is replaced, and its batch is loaded again, once.

    Args:
        source: the data.
        requests: the batches; may be endless.
        workers: processes that load; 0 loads in this one.
        prefetch: batches that each worker loads ahead.
        told: called with a line for each worker that is replaced; None makes it a warning.

    Yields:
        Clips, uint8 [N, 3, T, H, W] in channels_last_3d memory, and labels, int64 [N].

    Raises:
        ValueError: an item that two workers in turn could not load; its name and what happened.
    """
    if workers < 0 or prefetch < 1:
        raise ValueError(f"workers = {workers}, prefetch = {prefetch}: workers must be 0 or more, prefetch 1 or more")
    if workers == 0:
        for request in requests:
            yield _tensors(*_load(source, request))
        return

    def replaced(job: tuple[Request], lost: Lost) -> None:
        (told or _warn)(f"a process that loads data was replaced at {_item(source, job[0], lost.item)}: {lost.reason}")

    jobs = ((request,) for request in requests)
    loaded = results(
        _load_adopted, jobs, workers, ahead=prefetch, prepare=_adopt, arguments=(source, workers), replaced=replaced
    )
    for (request,), found in loaded:
        if isinstance(found, Lost):
            raise ValueError(
                f"{_item(source, request, found.item)} cannot be loaded, tried twice: {found.reason}; leave it out, or "
                "use fewer workers"
            )
        yield _tensors(*found)


def _item(source: Source, request: Request, item: int) -> str:
    """What a person calls an item of a batch."""
    names = getattr(source, "names", None)
    index = int(request.indices[min(item, len(request.indices) - 1)])
    return repr(names(request.part)[index]) if names is not None else f"clip {index} of part {request.part!r}"


def _warn(text: str) -> None:
    warnings.warn(text, RuntimeWarning, stacklevel=3)


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
