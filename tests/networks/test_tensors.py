"""A NumPy array, a list or a picture where a tensor is taken: refused in a sentence whose remedy works."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import networks
import supernet
import video
from networks import Stream
from searchspace import Ensemble
from tests.networks.live_ensembles import live_ensemble
from tests.networks.live_networks import live, small
from tests.training import networks_of_seconds
from tests.training.tiny import tiny
from training.retrain.recalibration import recalibrated
from training.steps.trainer import Trainer

CAUSAL = live(small().streaming())
BASE = live(small())
PAIR = live_ensemble(Ensemble.interleave([small(), small()], "pair"))
STATE = CAUSAL.initial_state(1, 24, 24)
FRAMES = np.random.default_rng(0).random((1, 3, 2, 24, 24), np.float32)


@functools.cache
def trainer() -> Trainer:
    return Trainer(networks_of_seconds.network(), networks_of_seconds.recipe(), 1)


@functools.cache
def shared() -> tuple[supernet.Supernet, Any]:
    from searchspace import parse_yaml
    from searchspace.space import read_space
    from tests.training.small import SPACE

    space = read_space(parse_yaml(SPACE, "small"), "small").with_classes(3)
    return supernet.Supernet(space, 3), tiny(3)


CALLS: dict[str, Callable[[Any], object]] = {
    "causal": lambda x: CAUSAL(x),
    "causal with a state": lambda x: CAUSAL(x, STATE),
    "base": lambda x: BASE(x),
    "ensemble": lambda x: PAIR(x),
    "fused": lambda x: BASE.fuse()(x),
    "fused, causal": lambda x: CAUSAL.fuse()(x),
    "fused, ensemble": lambda x: PAIR.fuse()(x),
    "logits": lambda x: BASE.logits(x),
    "features": lambda x: BASE.features(x),
    "supernet": lambda x: shared()[0](x, shared()[1]),
    "recalibrate": lambda x: supernet.recalibrate(*shared(), [x]),
    "recalibrated": lambda x: recalibrated(BASE, [x]),
    "step": lambda x: trainer().step(x, torch.zeros(1, dtype=torch.int64)),
    "step's labels": lambda x: trainer().step(torch.zeros(1, 3, 4, 16, 16, dtype=torch.uint8), x),
    "to_float": lambda x: video.to_float(x),
    "push": lambda x: Stream(CAUSAL).push(x),
}


@pytest.mark.parametrize("given", [FRAMES, FRAMES.tolist(), Image.new("RGB", (24, 24)), None, 5], ids=type)
@pytest.mark.parametrize("name", CALLS)
def test_what_is_no_tensor_is_refused_in_a_sentence(name: str, given: Any) -> None:
    with pytest.raises(ValueError, match=r"(is|are) a .*; give a torch\.Tensor") as caught:
        CALLS[name](given)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 250


@pytest.mark.parametrize(
    "state",
    [{name: tensor.numpy() for name, tensor in STATE.items()}, [STATE], STATE["head_pool_buffer"], "state"],
    ids=["arrays", "list", "tensor", "text"],
)
def test_neither_is_what_is_no_state(state: Any) -> None:
    calls: tuple[Callable[[], object], ...] = (
        lambda: CAUSAL(torch.from_numpy(FRAMES), state),
        lambda: CAUSAL.fuse()(torch.from_numpy(FRAMES), state),
        lambda: CAUSAL.reset(state),
        lambda: networks.reset(state, [0]),
        lambda: networks.gather(state, [0]),
        lambda: networks.scatter(STATE, [0], state),
    )
    for call in calls:
        with pytest.raises(ValueError, match=r"^state.* is a .*; give "):
            call()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
@pytest.mark.parametrize("order", ["plain", "read only", "mirrored"])
def test_the_remedy_works(dtype: type[Any], order: str) -> None:
    clip = (FRAMES * (255 if dtype is np.uint8 else 1)).astype(dtype)
    if order == "read only":
        clip.flags.writeable = False
    if order == "mirrored":  # as OpenCV's BGR becomes RGB; torch takes no negative strides
        clip = clip[:, ::-1]
    with pytest.raises(ValueError) as caught:
        CAUSAL(clip)
    remedy = re.search(r"such as (.*)$", str(caught.value))
    assert remedy is not None
    logits, _ = CAUSAL(eval(remedy[1], {"torch": torch, "clip": clip}))
    assert logits.shape == (1, 5)


def test_a_picture_of_a_camera_becomes_a_frame_step_by_step() -> None:
    """Each refusal of uint8 [H, W, 3] says what to do next, until it is taken."""
    frame: Any = (np.moveaxis(FRAMES[0, :, 0], 0, -1) * 255).astype(np.uint8)
    stream = Stream(CAUSAL)
    for said, mended in (
        (r"torch\.from_numpy\(frame\.copy\(\)\) / 255$", lambda frame: torch.from_numpy(frame.copy()) / 255),
        (r"channels stand last, use frame\.movedim\(-1, -3\)$", lambda frame: frame.movedim(-1, -3)),
    ):
        with pytest.raises(ValueError, match=said):
            stream.push(frame)
        frame = mended(frame)
    assert stream.push(frame).shape == (5,)
