"""From a TensorFlow Lite file to an architecture and tensors by our names."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from torch import Tensor

from networks.layer_weights import bottleneck_names
from networks.weights.tflite.flatbuffer import Refused, require_flatbuffers
from networks.weights.tflite.found import Bottleneck, Found, blocks_of
from networks.weights.tflite.graph_network import read_network
from networks.weights.tflite.model import Model
from searchspace import Architecture, Block, Clip, Head, Kernel, Layer, Stem, published, published_names
from searchspace.clip import DEFAULT_FPS

MOST_BYTES = 1 << 30  # of a file; the largest published network has 0.15 GB
_FRAMES = 50  # of clips of a network that is not published and does not say; those of A0 to A2


def read_tflite(path: Path) -> tuple[Architecture, dict[str, Tensor]]:
    """Reads a MoViNet: float32, float16 or int8, base or stream.

    Weights that are stored in fewer bits become float32, BatchNorm stays folded into the convolutions: its moving mean
    is 0, its variance 1 less epsilon. Where the layers are those of a published network, name, blocks, frames and
    frame rate are its own; else a frame rate of 5 is assumed.

    Returns:
        The architecture, and all tensors of `networks.MoViNet`.

    Raises:
        ValueError: the file is damaged or no MoViNet, or flatbuffers is not installed; one line that names the file.
    """
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise ValueError(f"{path}: {size:,} bytes; allowed for a TensorFlow Lite file: {MOST_BYTES:,}")
    require_flatbuffers()
    try:
        found = read_network(Model(path.read_bytes()))
        architecture = _architecture(found, path.stem)
        return architecture, _named(found, architecture)
    except Refused as error:
        raise ValueError(f"{path}: {error}") from None
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:  # shapes that do not go together
        problem = f"{type(error).__name__}: {str(error).splitlines()[0][:80] if str(error) else ''}"
        raise ValueError(f"{path}: a damaged file ({problem}); download it again") from None


def _named(found: Found, architecture: Architecture) -> dict[str, Tensor]:
    """Its tensors, in the blocks of the architecture."""
    names = {f"layers.{i}": name for i, name in enumerate(bottleneck_names(architecture))}
    result = {}
    for name, tensor in found.tensors().items():
        layer = ".".join(name.split(".")[:2])
        result[names[layer] + name.removeprefix(layer) if layer in names else name] = tensor
    return result


def _architecture(found: Found, name: str) -> Architecture:
    """The layers of a file as an architecture, completed by the published one that has the same."""
    stem = Stem(len(found.stem.bias), Kernel(*found.stem.kernel))
    head = Head(len(found.head.bias), len(found.dense.bias))
    layers = [_layer(bottleneck) for bottleneck in found.bottlenecks]
    widths = [len(bottleneck.project.bias) for bottleneck in found.bottlenecks]
    like = _published(stem, layers, widths, head, found.form.causal)
    counts = [len(block.layers) for block in like.blocks] if like is not None else blocks_of(found.bottlenecks)
    blocks, first = [], 0
    for count in counts:
        if len(set(widths[first : first + count])) != 1:
            raise Refused("the layers of a block have several widths; it is no MoViNet")
        blocks.append(Block(widths[first], tuple(layers[first : first + count])))
        first += count
    clip = Clip(_FRAMES, 1, 1, DEFAULT_FPS) if like is None else like.clip
    size = found.size or ((clip.height, clip.width) if like is not None else None)
    if size is None:
        raise Refused("it takes pictures of any size and is no published network; convert it for one size")
    try:
        clip = dataclasses.replace(clip, frames=found.frames or clip.frames, height=size[0], width=size[1])
        return Architecture(
            name=like.name if like is not None else name[:200],
            clip=clip,
            classes=len(found.classifier.bias),
            stem=stem,
            blocks=tuple(blocks),
            head=head,
            dropout=like.dropout if like is not None else 0.2,
            form=found.form,
            provenance={} if like is None else like.provenance,
        )
    except ValueError as error:
        raise Refused(str(error)) from None


def _layer(bottleneck: Bottleneck) -> Layer:
    squeeze = len(bottleneck.squeeze.reduce.bias) if bottleneck.squeeze is not None else 0
    try:
        return Layer(Kernel(*bottleneck.kernel), bottleneck.stride, len(bottleneck.expand.bias), squeeze)
    except ValueError as error:
        raise Refused(str(error)) from None


def _published(stem: Stem, layers: list[Layer], widths: list[int], head: Head, causal: bool) -> Architecture | None:
    """The published network of these layers, whatever its activations and squeeze-excitation; None for none."""
    own = [(layer.kernel, layer.stride, layer.expand, width) for layer, width in zip(layers, widths, strict=True)]
    for name in published_names():
        known = published(name, causal)
        assert isinstance(known, Architecture)
        theirs = [(p.layer.kernel, p.layer.stride, p.layer.expand, p.width) for p in known.layers()]
        if (stem, head, own) == (known.stem, known.head, theirs):
            return known
    return None
