"""Batches of clips as tensors, loaded here or in worker processes, always the same ones in the same order."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from video.processes import worker_environment
from video.source import Source

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
    to `workers * prefetch` ahead. Workers are fresh processes (nothing is forked), run one thread each, and do not look
    into the working directory for modules. Their start takes a few seconds: make one call per run, not one per epoch.

    Args:
        source: the data.
        requests: the batches; may be endless.
        workers: processes that load; 0 loads in this one.
        prefetch: batches that each worker loads ahead.

    Yields:
        Clips, uint8 [N, 3, T, H, W] in channels_last_3d memory, and labels, int64 [N].
    """
    import torch

    if workers < 0 or prefetch < 1:
        raise ValueError(f"workers = {workers}, prefetch = {prefetch}: workers must be 0 or more, prefetch 1 or more")
    if workers == 0:
        for request in requests:
            frames, labels = _load(source, request)
            yield frames.permute(0, 4, 1, 2, 3), labels
        return
    loader: torch.utils.data.DataLoader[tuple[Tensor, Tensor]] = torch.utils.data.DataLoader(
        _Batches(source, workers),  # type: ignore[arg-type]  # a data set in all but its base class, which needs torch
        batch_size=None,  # a request is a whole batch already
        sampler=_Lazy(requests),
        num_workers=workers,
        prefetch_factor=prefetch,
        collate_fn=_as_they_are,
        multiprocessing_context="spawn",
        generator=torch.Generator(),  # otherwise the loader draws a seed from the global generator
    )
    with worker_environment():
        loaded = iter(loader)
    for frames, labels in loaded:
        yield frames.permute(0, 4, 1, 2, 3), labels


def to_float(clips: "Tensor") -> "Tensor":
    """uint8 [N, 3, T, H, W] to float32 in [0, 1], in channels_last_3d memory."""
    import torch

    scaled = clips.to(torch.float32, memory_format=torch.channels_last_3d)
    return scaled.div_(255.0) if scaled is not clips else scaled / 255.0


def _load(source: Source, request: Request) -> tuple["Tensor", "Tensor"]:
    """Clips, uint8 [N, T, H, W, 3], and labels."""
    import torch

    frames, labels = source.batch(request.part, request.indices, request.epoch, request.training, request.view)
    return torch.from_numpy(frames), torch.from_numpy(labels)


class _Batches:
    """The map-style data set of a loader, with requests for indices."""

    def __init__(self, source: Source, workers: int) -> None:
        self._source = source
        self._workers = workers
        self._shared = False

    def __getitem__(self, request: Request) -> tuple["Tensor", "Tensor"]:
        if not self._shared:  # in the worker: one of several
            self._source.share(self._workers)
            self._shared = True
        return _load(self._source, request)


class _Lazy:
    """A sampler over requests that may never end."""

    def __init__(self, requests: Iterable[Request]) -> None:
        self._requests = requests

    def __iter__(self) -> Iterator[Request]:
        return iter(self._requests)


def _as_they_are(batch: Any) -> Any:
    return batch
