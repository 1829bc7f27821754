"""The three ways in which the field judges a video network, and what each of them costs.

- clip: one clip, centred in time and space (every number of the MoViNet papers).
- multiclip: clips spread over time and space whose probabilities are averaged (10x3 is customary).
- stream: the whole video, frame by frame through a causal network with its state; the last answer counts.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch

import searchspace
from networks import Network
from searchspace import NetworkSpec
from training.evaluation.classification_scores import Scores
from training.evaluation.predictions import average, for_inference, logits_of, stream, to_clips
from video.asked import Files, Rendered, Videos, load_views
from video.source import Frames
from video.views import CENTRE, View
from video.views import views as spread

PROTOCOLS = ("clip", "multiclip", "stream")
VIEWS = (10, 3)

Progress = Callable[[int, int], None]
"""Called with (videos done, videos in all)."""


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What a network said of one video.

    Attributes:
        name: of the video.
        label: its class, None where it is unknown.
        error: why there is no answer, or "".
        log_probabilities: natural logarithms, float32 [classes]; None where there is no answer.
        frames: that went through the network.
        seconds: in the network.
    """

    name: str
    label: int | None
    error: str
    log_probabilities: npt.NDArray[np.float32] | None = None
    frames: int = 0
    seconds: float = 0.0

    def top(self, k: int) -> list[tuple[int, float]]:
        """The k likeliest classes with their probabilities."""
        assert self.log_probabilities is not None
        order = np.argsort(-self.log_probabilities, kind="stable")[:k]
        return [(int(i), float(np.exp(self.log_probabilities[i]))) for i in order]


@dataclasses.dataclass(frozen=True)
class Result:
    """A protocol's answers, and what they cost.

    Attributes:
        protocol: of `PROTOCOLS`.
        views: clips of each video; 1 for a stream.
        answers: of all videos, in their order; of the first ones where it was interrupted.
        macs: multiply-accumulates a video, on average.
        memory_bytes: activations at their peak for one video, and the state where it streams; float32.
        interrupted: whether it ended early because it was asked to.
    """

    protocol: str
    views: int
    answers: tuple[Answer, ...]
    macs: float
    memory_bytes: int
    interrupted: bool = False

    @property
    def answered(self) -> list[Answer]:
        """Those without an error."""
        return [answer for answer in self.answers if not answer.error]

    @property
    def seconds(self) -> float:
        """In the network, a video on average."""
        return sum(answer.seconds for answer in self.answered) / max(1, len(self.answered))

    @property
    def scores(self) -> Scores | None:
        """Of the videos that have an answer and a label; None without any."""
        rows = [answer for answer in self.answered if answer.label is not None]
        if not rows:
            return None
        labels = np.array([answer.label for answer in rows], np.int64)
        return Scores(labels, np.stack([a.log_probabilities for a in rows if a.log_probabilities is not None]))


def judge(
    network: Network,
    videos: Videos,
    protocol: str,
    *,
    views: tuple[int, int] = VIEWS,
    batch: int = 8,
    workers: int = 0,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Result:
    """Asks a network about videos.

    Args:
        network: in evaluation mode, on the device; a fused copy of it answers where that is faster, see
            `training.evaluation.predictions.for_inference`.
        videos: what to ask about.
        protocol: of `PROTOCOLS`.
        views: for multiclip, clips over time and over space.
        batch: clips that run at once; the frames of streams come one by one.
        workers: processes that decode clips; streams are decoded here.
        device: where the network is.
        progress: called after every video; raising `KeyboardInterrupt` it ends the evaluation with the answers so far.

    Raises:
        ValueError: an unknown protocol, or a stream through a network that is not causal.
    """
    architecture = network.architecture
    asked, answering = _views(network, videos, protocol, views), for_inference(network)
    coming = (
        (_stream(answering, videos, index, device) for index in range(len(videos.names)))
        if protocol == "stream"
        else _clips(answering, videos, asked, batch, workers, device)
    )
    answers: list[Answer] = []
    interrupted = False
    for answer in coming:
        answers.append(answer)
        try:
            if progress is not None:
                progress(len(answers), len(videos.names))
        except KeyboardInterrupt:
            interrupted = True
            break
    counted = searchspace.cost(architecture)
    macs, memory = float(counted.macs * len(asked)), counted.activation_bytes
    if protocol == "stream":
        frame = searchspace.cost(architecture, dataclasses.replace(architecture.clip, frames=1))
        frames = [answer.frames for answer in answers if not answer.error] or [0]
        macs, memory = counted.frame_macs * float(np.mean(frames)), frame.activation_bytes + counted.state_bytes
    return Result(protocol, len(asked), tuple(answers), macs, memory, interrupted)


def work(architecture: NetworkSpec, videos: Videos, protocol: str, views: tuple[int, int] = VIEWS) -> float:
    """Multiply-accumulates of all videos by a protocol, about: what there is to decide on whether to run it."""
    counted, count = searchspace.cost(architecture), len(videos.names)
    if isinstance(videos, Files):
        infos = [item.info for item in videos.items]
        frames = sum(info.frames / info.fps * architecture.clip.fps for info in infos if info.fps)
    else:
        frames, views = count * architecture.clip.frames, (1, 1)
    if protocol == "stream":
        return counted.frame_macs * frames
    return float(counted.macs * count * (views[0] * views[1] if protocol == "multiclip" else 1))


def _views(network: Network, videos: Videos, protocol: str, views: tuple[int, int]) -> Sequence[View]:
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol {protocol!r} is not known; allowed: {', '.join(PROTOCOLS)}")
    if protocol == "stream" and not network.streams:
        raise ValueError(
            f"network {network.architecture.name!r} is not causal, so it cannot stream; allowed: clip, multiclip, "
            "or a network of nas search --stream"
        )
    one = protocol != "multiclip" or isinstance(videos, Rendered)
    return (CENTRE,) if one else spread(*views)


def _clips(
    network: Network,
    videos: Videos,
    views: Sequence[View],
    batch: int,
    workers: int,
    device: str,
) -> Iterator[Answer]:
    total = len(videos.names)
    loaded = load_views(videos, views, workers)
    group: list[int] = []
    clips: dict[int, list[Frames] | str] = {}
    for index in range(total):
        clips[index] = next(loaded)
        group.append(index)
        if sum(len(views) for i in group if not isinstance(clips[i], str)) >= batch or index == total - 1:
            yield from _answers(network, videos, group, clips, batch, device)
            group, clips = [], {}


def _answers(
    network: Network,
    videos: Videos,
    group: Sequence[int],
    loaded: dict[int, list[Frames] | str],
    batch: int,
    device: str,
) -> Iterator[Answer]:
    """Answers to a few videos, whose clips run together."""
    found = {index: frames for index in group if not isinstance(frames := loaded[index], str)}
    whole = [frames for own in found.values() for frames in own]
    begin = time.perf_counter()
    rows: list[torch.Tensor] = []
    for at in range(0, len(whole), batch):
        clips = to_clips(np.stack(whole[at : at + batch]))
        rows += logits_of(network.logits, clips, device).float().cpu()
    seconds = (time.perf_counter() - begin) / max(1, len(whole))
    at = 0
    for index in group:
        name, label = videos.names[index], videos.labels[index]
        if index not in found:
            yield Answer(name, label, str(loaded[index]))
            continue
        own = found[index]
        log = average([row[None] for row in rows[at : at + len(own)]])[0].numpy()
        at += len(own)
        yield Answer(name, label, "", log, sum(map(len, own)), seconds * len(own))


def _stream(network: Network, videos: Videos, index: int, device: str) -> Answer:
    name, label, error = videos.names[index], videos.labels[index], videos.errors[index]

    def pieces() -> Iterator[torch.Tensor]:
        nonlocal error
        try:
            for piece in videos.stream(index):
                yield to_clips(piece[None])
        except ValueError as broken:
            error = str(broken)

    if error:
        return Answer(name, label, error)
    found = stream(network, pieces(), device)
    if error:
        return Answer(name, label, error)
    return Answer(name, label, "", average([found.logits])[0].cpu().numpy(), found.frames, found.seconds)
