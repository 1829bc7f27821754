"""What the weights of a MoViNet are called elsewhere: one table for MoViNet-pytorch and the authors' TensorFlow code.

| | blocks | example |
|---|---|---|
| ours | `blocks.{b}.layers.{l}.` | `blocks.1.layers.0.depthwise.weight` [E, 1, 3, 3, 3] |
| MoViNet-pytorch | `blocks.b{b}_l{l}.` | `blocks.b1_l0.deep.conv_1.conv3d.weight` |
| TensorFlow, since 2022 | `block{b}_layer{l}/` | `block1_layer0/bneck/feature/conv3d/kernel` |
| TensorFlow, 2021 (TensorFlow Hub) | `b{b}/l{l}/` | `b1/l0/bneck/feature/conv3d/kernel` |

MoViNet-pytorch is github.com/Atze00/MoViNet-pytorch, TensorFlow `official.projects.movinet` of tf-models-official.
TensorFlow's names also tell which operation computes a layer, as in `conv2d/conv2d_3` or `conv2d/bn`, and that changed
from year to year; `tensorflow_key` leaves it out, so that all spellings of a weight have one key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from searchspace import Architecture

# ours, MoViNet-pytorch's, TensorFlow's key
PARTS = (
    ("stem", "conv1.conv_1", "stem/stem"),
    ("head", "conv7.conv_1", "head/project"),
    ("dense", "classifier.0.conv_1", "classifier_head/head"),
    ("classifier", "classifier.3.conv_1", "classifier_head/classifier"),
)
LAYER_PARTS = (
    ("expand", "expand.conv_1", "bneck/expansion"),
    ("depthwise", "deep.conv_1", "bneck/feature"),
    ("temporal", "deep.conv_2", "bneck/feature/temporal"),
    ("squeeze.reduce", "se.fc1.conv_1", "bneck/se/se_reduce"),
    ("squeeze.expand", "se.fc2.conv_1", "bneck/se/se_expand"),
    ("project", "project.conv_1", "bneck/projection"),
    ("skip", "res.{skip}.conv_1", "bneck/skip/skip_project"),
)
LAYER_SCALARS = (
    ("scale", "alpha", "scale"),
    ("squeeze.position_scale", "se.pos_enc.alpha", "bneck/se/scale"),  # the port has none; the name is our choice
)
TENSORS = (
    ("weight", "{convolution}.weight", "kernel"),
    ("bias", "{convolution}.bias", "bias"),
    ("norm.weight", "norm.weight", "gamma"),
    ("norm.bias", "norm.bias", "beta"),
    ("norm.running_mean", "norm.running_mean", "moving_mean"),
    ("norm.running_var", "norm.running_var", "moving_variance"),
)


def port_keys(architecture: Architecture, ours: Iterable[str]) -> dict[str, str]:
    """MoViNet-pytorch's key of each of our tensors: {theirs: ours}."""
    convolution = "conv2d" if architecture.form.convolution == "2plus1d" else "conv3d"
    positions = {(position.block, position.index): position for position in architecture.layers()}
    parts, tensors = _column(1)
    result = {}
    for name in ours:
        place, part, tensor = _split(name)
        block = f"blocks.b{place[0]}_l{place[1]}" if place is not None else ""
        # `res` is a pool, where the layer has a stride, and the projection
        strided = place is not None and positions[place].layer.stride > 1
        words = (block, parts[part].format(skip=int(strided)), tensors[tensor].format(convolution=convolution))
        result[".".join(filter(None, words))] = name
    return result


def tensorflow_keys(ours: Iterable[str]) -> dict[str, str]:
    """TensorFlow's key (see `tensorflow_key`) of each of our tensors: {theirs: ours}."""
    parts, tensors = _column(2)
    result = {}
    for name in ours:
        place, part, tensor = _split(name)
        block = f"block{place[0]}_layer{place[1]}" if place is not None else ""
        result["/".join(filter(None, (block, parts[part], tensors[tensor])))] = name
    return result


def tensorflow_key(variable: str) -> str:
    """The key of a variable, whatever the year of its name: without operations, temporal ones under `temporal`.

    `b1/l0/bneck/feature/bn_temporal/gamma` -> `block1_layer0/bneck/feature/temporal/gamma`.
    """
    key = re.sub(r"^b(\d+)/l(\d+)/", r"block\1_layer\2/", variable.removesuffix(":0"))
    key = re.sub(r"^classifier_head_\d+/", "classifier_head/", key)  # of a program that built several networks
    words: list[str] = []
    for word in key.split("/"):
        if re.fullmatch(r"bn|pos_encoding|(depthwise_)?conv[23]d(_\d+)?", word):
            continue
        if re.fullmatch(r"(conv[23]d|bn)_temporal", word):
            if words[-1] != "temporal":
                words.append("temporal")
        else:
            words.append("kernel" if word == "depthwise_kernel" else word)
    return "/".join(words)


def is_tensorflow_layer(key: str) -> bool:
    """Whether a key is of a layer of some MoViNet, such as `block9_layer0/scale`; a Dense layer beside it is not."""
    parts = {row[2].split("/")[0] for row in PARTS}
    return key.split("/")[0] in parts or re.match(r"block\d+_layer\d+/", key) is not None


def convolution_shape(name: str, shape: Sequence[int], rank: int) -> tuple[int, ...]:
    """One of our shapes as elsewhere, where also linear layers are convolutions.

    Args:
        name: of our tensor.
        shape: ours: [C], [O, I], or [O, I, kt, kh, kw].
        rank: 5 for a 3-D convolution, 4 for a 2-D one: [O, I, kh, kw], and a temporal one [O, I, kt, 1].

    Returns:
        The shape with the axes that this rank has; where it has none for time and the kernel is longer, all five.
    """
    if len(shape) < 2:
        return tuple(shape)
    out, into, t, h, w = *shape, *(1,) * (5 - len(shape))
    if rank == 4 and ".temporal." in name:
        return out, into, t, h
    return (out, into, h, w) if rank == 4 and t == 1 else (out, into, t, h, w)


def _column(index: int) -> tuple[dict[str, str], dict[str, str]]:
    """Our names of parts and of tensors -> those of a column of the table; a scalar is a tensor of the part ""."""
    parts = {row[0]: row[index] for row in (*PARTS, *LAYER_PARTS)} | {"": ""}
    return parts, {row[0]: row[index] for row in (*TENSORS, *LAYER_SCALARS)}


def _split(name: str) -> tuple[tuple[int, int] | None, str, str]:
    """`blocks.1.layers.0.squeeze.reduce.bias` -> (1, 0), `squeeze.reduce`, `bias`."""
    place, rest = None, name
    found = re.match(r"blocks\.(\d+)\.layers\.(\d+)\.", name)
    if found:
        place, rest = (int(found[1]), int(found[2])), name[found.end() :]
    if rest in {row[0] for row in LAYER_SCALARS}:
        return place, "", rest
    part = next(row[0] for row in (*PARTS, *LAYER_PARTS) if rest.startswith(f"{row[0]}."))
    return place, part, rest.removeprefix(f"{part}.")
