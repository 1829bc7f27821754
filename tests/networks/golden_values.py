"""Weights that a formula regenerates, and what the authors' TensorFlow code computes with them."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

import networks
from searchspace import Architecture

GOLDEN = Path(__file__).parents[1] / "assets" / "golden"


PARTS = {
    "expansion": "expand",
    "feature": "depthwise",
    "feature/conv2d_temporal": "temporal",
    "projection": "project",
    "skip/skip_project": "skip",
    "se/se_reduce": "squeeze.reduce",
    "se/se_expand": "squeeze.expand",
}


KERNELS = ("kernel", "depthwise_kernel")


NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def our_name(theirs: str) -> str:
    """Translates a variable of the reference, such as `block0_layer0/bneck/skip/skip_project/bn/gamma`.

    Where it computes in two dimensions, a scope `conv2d` stands around convolution and BatchNorm.
    """
    scope, _, rest = theirs.partition("/")
    rest, _, last = rest.rpartition("/")
    unit, _, kind = rest.rpartition("/")
    unit = unit.removesuffix("/conv2d")
    if scope == "stem":
        ours = "stem"
    elif scope == "head":
        ours = "head"
    elif scope == "classifier_head":
        ours = {"head": "dense", "classifier": "classifier"}[unit.split("/")[0]]
    else:
        block, layer = scope.removeprefix("block").split("_layer")
        ours = f"blocks.{block}.layers.{layer}"
        if last == "scale":
            return f"{ours}.squeeze.position_scale" if "pos_encoding" in theirs else f"{ours}.scale"
        ours += "." + PARTS[unit.removeprefix("bneck/")]
    return f"{ours}.norm.{NORM[last]}" if kind.startswith("bn") else f"{ours}.{'weight' if last in KERNELS else last}"


def value(name: str, shape: list[int]) -> np.ndarray:
    """The formula of the golden values: one generator a variable, scaled by what the variable is."""
    z = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape)
    last = name.rsplit("/", 1)[-1]
    if last == "gamma":
        z = 1 + 0.1 * z
    elif last in ("beta", "moving_mean", "bias"):
        z = 0.1 * z
    elif last == "moving_variance":
        z = np.exp(0.1 * z)
    elif last == "scale":
        z = 0.5 + 0.1 * z
    else:
        assert last in KERNELS, name
        z = z * np.sqrt(2 / np.prod(shape[:-1] if last == "kernel" else shape[:2]))
    return np.asarray(z, dtype=np.float32)


def ours(name: str, tensor: np.ndarray, shape: torch.Size) -> torch.Tensor:
    """A variable in our layout. Theirs: kernel [(t,) h, w, in, out], depthwise_kernel [h, w, channels, 1]; a depthwise
    3-D kernel [t, h, w, 1, channels]."""
    if name.endswith("/depthwise_kernel"):
        tensor = tensor.transpose(2, 3, 0, 1)
    elif name.endswith("/kernel"):
        tensor = np.moveaxis(tensor, (-1, -2), (0, 1))
    return torch.from_numpy(np.ascontiguousarray(tensor)).reshape(shape)


def golden_network(file: str, architecture: Architecture) -> networks.MoViNet:
    network = networks.create(architecture)
    state = network.state_dict()
    variables = json.loads((GOLDEN / f"{file}_variables.json").read_text())
    assert len(variables) == len(state)
    for name, shape in variables.items():
        target = state.pop(our_name(name))
        target.copy_(ours(name, value(name, shape), target.shape))
    assert not state, "every one of our tensors has its variable"
    return network.eval()


def golden(file: str) -> tuple[Mapping[str, np.ndarray], torch.Tensor]:
    """What the reference gave, and the clip N C T H W that it was given."""
    found = np.load(GOLDEN / f"{file}.npz", allow_pickle=False)
    shape = tuple(int(n) for n in found["input_shape"])
    clip_NTHWC = np.random.default_rng(int(found["input_seed"])).random(shape, dtype=np.float32)
    return found, torch.from_numpy(clip_NTHWC).permute(0, 4, 1, 2, 3)


def close(ours: torch.Tensor, theirs: np.ndarray) -> None:
    np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-4, atol=1e-4)
