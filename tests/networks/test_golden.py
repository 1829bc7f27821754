"""A0 base computes what the authors' TensorFlow code computes, for weights that a formula regenerates."""

import json
import zlib
from pathlib import Path

import numpy as np
import torch

import networks

GOLDEN = Path(__file__).parents[1] / "assets" / "golden"
PARTS = {
    "expansion": "expand",
    "feature": "depthwise",
    "projection": "project",
    "skip/skip_project": "skip",
    "se/se_reduce": "squeeze.reduce",
    "se/se_expand": "squeeze.expand",
}
NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def our_name(theirs: str) -> str:
    """Translates a variable of the reference, such as `block0_layer0/bneck/skip/skip_project/bn/gamma`."""
    scope, _, rest = theirs.partition("/")
    rest, _, last = rest.rpartition("/")
    unit, _, kind = rest.rpartition("/")
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
            return f"{ours}.scale"
        ours += "." + PARTS[unit.removeprefix("bneck/")]
    return f"{ours}.norm.{NORM[last]}" if kind == "bn" else f"{ours}.{'weight' if last == 'kernel' else last}"


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
        assert last == "kernel", name
        z = z * np.sqrt(2 / np.prod(shape[:-1]))
    return np.asarray(z, dtype=np.float32)


def golden_network() -> networks.MoViNet:
    network = networks.create("a0")
    state = network.state_dict()
    variables = json.loads((GOLDEN / "movinet_a0_base_variables.json").read_text())
    assert len(variables) == len(state)
    for name, shape in variables.items():
        tensor = torch.from_numpy(value(name, shape))
        ours = state[our_name(name)]
        if name.endswith("/kernel"):  # [t, h, w, in, out], or [t, h, w, 1, channels] for a depthwise kernel
            tensor = tensor.permute((4, 3, 0, 1, 2))
        ours.copy_(tensor.reshape(ours.shape))
    return network.eval()


def test_a0_base_equals_the_reference() -> None:
    golden = np.load(GOLDEN / "movinet_a0_base.npz", allow_pickle=False)
    shape = tuple(int(n) for n in golden["input_shape"])
    clip_NTHWC = np.random.default_rng(int(golden["input_seed"])).random(shape, dtype=np.float32)
    network = golden_network()
    for name in ("fast", "reference"):
        with torch.no_grad(), networks.formulation(name):
            logits = network(torch.from_numpy(clip_NTHWC).permute(0, 4, 1, 2, 3))
        np.testing.assert_allclose(logits.numpy(), golden["logits"], rtol=1e-4, atol=1e-4)
