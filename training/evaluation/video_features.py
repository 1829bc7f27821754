"""Features of videos for a linear classifier: what a trained network says of them, or plain ones to compare with.

A network's features are its logits where it knows many classes, else what its classifier sees: with few videos the
logits of Kinetics' 600 classes serve better than the 2,048 numbers before them (docs/probe.md has what was measured).
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

import video
from networks import Trained
from training.evaluation.predictions import for_inference, logits_of, to_clips
from training.evaluation.protocols import Progress
from training.retrain import solved_classifier as transfer
from training.retrain.solved_classifier import says_much
from video.labelled import Labelled
from video.scan import check_unchanged
from video.views import read_middle

Features = npt.NDArray[np.float32]

FRAMES = 64
"""Frames of the middle of a video that a network sees, at the video's own rate; our choice, see docs/probe.md."""

THUMBNAIL, LOOKS = 16, 24
"""Side in pixels, and frames, of what the plain features are made of."""

PLAIN = {
    "one frame": "the middle frame, at 16 x 16 pixels",
    "motion": "how much each of 16 x 16 places changes over time",
    "picture shape": "width and height of the picture, length of the video",
}
"""Features without any network, by name."""

_SAVE_EVERY = 50


def network_features(trained: Trained) -> Callable[[Labelled], Features]:
    """A function from a video to a network's features [D] of it."""
    network = trained.network
    if not says_much(network):
        network = network.hidden_copy() or network
    answering = for_inference(network.eval())

    def features(item: Labelled) -> Features:
        frames = read_middle(item.path, item.info, network.architecture.clip, FRAMES if network.streams else None)
        values: Features = logits_of(answering.logits, to_clips(frames)).mean(0).float().cpu().numpy()
        return values

    return features


def plain_features(kind: str) -> Callable[[Labelled], Features]:
    """A function from a video to plain features of it: a key of `PLAIN`."""
    return {"one frame": _one_frame, "motion": _motion, "picture shape": _shape}[kind]


def _thumbnails(item: Labelled, looks: int) -> Features:
    """Frames evenly over the video, float32 [looks, 16, 16, 3] in [0, 1]; pictures are squeezed to squares."""
    from PIL import Image

    times = (np.arange(looks) + 0.5) / looks * item.info.duration
    frames = video.read_frames(item.path, times.tolist(), 2 * THUMBNAIL, info=item.info)
    size, how = (THUMBNAIL, THUMBNAIL), Image.Resampling.BOX
    small = np.stack([np.asarray(Image.fromarray(frame).resize(size, how)) for frame in frames])
    return (small / 255).astype(np.float32)


def _one_frame(item: Labelled) -> Features:
    return _thumbnails(item, 1).reshape(-1)


def _motion(item: Labelled) -> Features:
    changes: Features = _thumbnails(item, LOOKS).mean(3).std(0).reshape(-1)
    return changes


def _shape(item: Labelled) -> Features:
    info = item.info
    return np.log([info.width / info.height, info.width, info.height, info.duration]).astype(np.float32)


def read_features(
    items: Sequence[Labelled],
    features: Callable[[Labelled], Features],
    *,
    key: str,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Features:
    """Features of every video, [N, D]; those in the cache are not computed again.

    Args:
        items: videos that can be read.
        features: of one.
        key: what tells these features from others: `key_of` a network, or a name.
        cache: file that keeps them, by name, size and time of change of each video.
        progress: called with (videos done, videos in all).

    Raises:
        ValueError: a video that does not decode, or that has changed since it was looked through.
    """
    known = _read(cache, key)
    found: dict[str, Features] = {}
    new = 0
    try:
        for done, item in enumerate(items):
            if progress is not None:
                progress(done, len(items))
            name = _identity(item)
            if name not in known:
                if item.stamp is not None:
                    check_unchanged(item.path, item.stamp)
                known[name] = features(item)
                new += 1
                if new % _SAVE_EVERY == 0:
                    _write(cache, key, known)
            found[name] = known[name]
    finally:
        if new:
            _write(cache, key, known)
    if progress is not None:
        progress(len(items), len(items))
    return np.stack([found[_identity(item)] for item in items])


def key_of(trained: Trained) -> str:
    """A digest of a network's weights, and of how its features are made."""
    digest = hashlib.sha256(f"{FRAMES} {transfer.MANY_CLASSES} {trained.network.architecture.clip}".encode())
    for name, tensor in sorted(trained.network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _identity(item: Labelled) -> str:
    size, changed = item.stamp or (0, 0)
    return json.dumps([item.name, size, changed])


def _read(cache: Path | None, key: str) -> dict[str, Features]:
    if cache is None or not cache.exists():
        return {}
    try:
        with open(cache, "rb") as file, np.load(file, allow_pickle=False) as held:
            if str(held["key"]) != key:
                return {}
            rows = held["features"]
            return dict(zip(json.loads(str(held["names"])), rows, strict=True))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}


def _write(cache: Path | None, key: str, known: dict[str, Features]) -> None:
    if cache is None:
        return
    temporary = cache.with_name(f".{cache.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            np.savez(file, key=key, names=json.dumps(list(known)), features=np.stack(list(known.values())))
        os.replace(temporary, cache)
    finally:
        temporary.unlink(missing_ok=True)
