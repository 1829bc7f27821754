"""From the graph of a model to an architecture and the tensors of our network.

The graph is read from the logits back to the image: classifier, dense layer, mean, head; then bottleneck after
bottleneck, each of which is a sum of a branch (expansion, depthwise convolutions, squeeze-excitation, projection,
residual scalar) and a skip connection; then the stem. Whatever is found elsewhere is refused with its name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

import numpy as np
import torch

from networks.temporal import position_encoding, position_rates
from networks.weights.tflite.convolutions import Convolution
from networks.weights.tflite.flatbuffer import Refused
from networks.weights.tflite.found import Bottleneck, Found, Squeeze
from networks.weights.tflite.graph import CONVOLUTIONS, Graph, Node
from networks.weights.tflite.model import Model
from networks.weights.tflite.patterns import KNOWN, NEAR, Activated, Patterns
from searchspace import BASE, STREAM, Form

_PLACE = re.compile(r"\bblock(\d+)_layer(\d+)\b|\bb(\d+)/l(\d+)/")
_MOST_LAYERS = 1000
_WORDS = {
    "ADD": "a sum",
    "MUL": "a product",
    "input": "an input",
    "constant": "a constant",
    "scaled": "a product with a constant",
    "shifted": "a sum with a constant",
}
T = TypeVar("T", bool, str)


def read_network(model: Model) -> Found:
    """Reads the network that a model computes.

    Raises:
        Refused: it is no MoViNet, or has an operator where none of a MoViNet has one; says where.
    """
    return _Reader(Graph(model)).read()


class _Reader:
    """Walks one graph from its end to its beginning."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.patterns = graph, Patterns(graph)
        self.activations: dict[str, str] = {}  # name -> where it was seen first
        self.gates: dict[str, str] = {}
        self.kinds: dict[str, str] = {}
        self.causal: dict[bool, str] = {}
        self.clip_means: list[str] = []  # where squeeze-excitation sees all frames of a clip

    def read(self) -> Found:
        patterns = self.patterns
        node = self._logits()
        if node.kind == "SOFTMAX":
            node = node.inputs[0]
        classifier = self._pointwise(node, "the classifier")
        below = patterns.convolution(classifier.source)
        while below is not None and below.pointwise:  # a layer that somebody put on top of the logits
            classifier, below = classifier.after(below), patterns.convolution(below.source)
        dense_activation = self._activation(classifier.source, "the dense layer")
        dense = self._pointwise(dense_activation.source, "the dense layer")
        pooled = patterns.pool(dense.source)
        if pooled is None or not (pooled.cumulative or "T" in pooled.axes):
            raise self._unlike("a mean over frames and map in front of the dense layer", dense.source)
        if pooled.cumulative:
            self.causal.setdefault(True, "the mean over the frames so far")
        dense.weight *= pooled.factor
        head = self._pointwise(self._seen(pooled.source, "the head").source, "the head")
        bottlenecks: list[Bottleneck] = []
        node = head.source
        while node.kind == "ADD":
            if len(bottlenecks) == _MOST_LAYERS:
                raise Refused(f"more than {_MOST_LAYERS} layers; no MoViNet has so many")
            layer, node = self._bottleneck(node, len(bottlenecks))
            bottlenecks.insert(0, layer)
        stem = patterns.convolution(self._seen(node, "the stem").source)
        if stem is None or stem.depthwise or stem.kernel[0] != 1 or stem.stride != 2 or stem.weight.shape[1] != 3:
            raise self._unlike("a convolution of stride 2 on three colours as the stem", node)
        if not bottlenecks:
            raise Refused("no bottleneck between stem and head; it is no MoViNet")
        image = self._image(stem.source)
        form = self._form(bottlenecks, dense_activation.name)
        info = self.graph.model.tensors[image.tensor]
        frames, height, width = info.shape[-4:-1]
        whole_clips = len(self.graph.model.inputs) == 1 and not info.open[-4]
        return Found(
            stem=stem,
            bottlenecks=bottlenecks,
            head=head,
            dense=dense,
            classifier=classifier,
            form=form,
            frames=frames if whole_clips and frames > 1 else None,
            size=None if any(info.open[-3:-1]) else (height, width),
        )

    def _logits(self) -> Node:
        """Where the answer comes out: by name, or the only output that is not a state."""
        model = self.graph.model
        named = [i for i in model.outputs if model.names.get(i) == "logits"]
        flat = [i for i in model.outputs if len(model.tensors[i].shape) == 2]
        found = named or flat
        if len(found) != 1:
            raise Refused(f"{len(model.outputs)} outputs, of which {len(found)} are [batch, classes]; it is no MoViNet")
        return self.graph.node(found[0])

    def _image(self, node: Node) -> Node:
        """The input; it may be divided by 255 in the file."""
        factor, image = self.patterns.scaled(node)
        shape = self.graph.shape(image.tensor)
        if image.kind != "input" or len(shape) not in (4, 5) or shape[-1] != 3:
            raise self._unlike("the image [1, frames, height, width, 3] in front of the stem", image)
        if not np.isclose(factor, 1.0) and not np.isclose(factor, 1 / 255):
            raise Refused(f"the image is multiplied by {factor:.6g} in front of the stem; MoViNets see RGB in [0, 1]")
        return image

    def _bottleneck(self, node: Node, above: int) -> tuple[Bottleneck, Node]:
        """A sum of branch and skip connection, and what both begin with."""
        where = f"bottleneck {above + 1} from the end"
        for branch, skip in (node.inputs, node.inputs[::-1]):
            scale, rest = (1.0, branch)
            if branch.kind == "scaled" and self.patterns.constant(branch, branch.shape[-1]).ndim == 0:
                scale, rest = self.patterns.number(branch), branch.inputs[0]
            project = self.patterns.convolution(rest)
            if project is None or not project.pointwise or not self._begins_a_branch(project.source):
                continue
            layer, x = self._branch(project, scale, where)
            layer.skip = self._skip(skip, x, layer, where)
            return layer, x
        raise self._unlike(f"a projection of a depthwise convolution as one side of the sum of {where}", node)

    def _begins_a_branch(self, node: Node) -> bool:
        """Whether a projection reads a depthwise convolution, or something gated, which a skip connection does not."""
        found = self.patterns.activation(node)
        return self.patterns.is_depthwise(found.source) if found is not None else node.kind in ("MUL", "scaled")

    def _branch(self, project: Convolution, scale: float, where: str) -> tuple[Bottleneck, Node]:
        node, squeeze = project.source, None
        if self.patterns.activation(node) is None:
            squeeze, node, factor = self._squeeze(node, where)
            project.weight *= factor
        second = self._depthwise(node, where)
        first, temporal = second, None
        if second.kernel[0] > 1 and second.kernel[1:] == (1, 1) and second.stride == 1:
            below = self.patterns.activation(second.source)
            spatial = self.patterns.convolution(below.source) if below is not None else None
            if spatial is not None and spatial.depthwise:
                first, temporal = self._depthwise(second.source, where), second
                if first.kernel[0] != 1:
                    raise Refused(f"two convolutions over frames in {where}; in no MoViNet")
        for conv in (first, temporal):
            if conv is not None and conv.causal is not None:
                self.causal.setdefault(conv.causal, where)
        expand = self._pointwise(self._seen(first.source, where).source, f"the expansion of {where}")
        place = self._place(node) or self._place(first.source)
        return Bottleneck(expand, first, temporal, squeeze, project, None, scale, place), expand.source

    def _depthwise(self, node: Node, where: str) -> Convolution:
        found = self.patterns.convolution(self._seen(node, where).source)
        if found is None or not found.depthwise:
            raise self._unlike(f"a depthwise convolution in {where}", node)
        return found

    def _skip(self, node: Node, x: Node, layer: Bottleneck, where: str) -> Convolution | None:
        if node is x:
            if layer.stride != 1 or layer.project.weight.shape[0] != layer.expand.weight.shape[1]:
                raise Refused(f"{where} adds its input to another shape; the file is damaged")
            return None
        found = self.patterns.convolution(node)
        if found is None or not found.pointwise:
            raise self._unlike(f"the skip connection of {where}", node)
        source = self.patterns.skip_pool(found.source) if layer.stride == 2 else found.source
        if source is not x:
            raise self._unlike(f"the input of {where} in front of its skip connection", found.source)
        if layer.stride == 1 and layer.project.weight.shape[0] == layer.expand.weight.shape[1]:
            raise Refused(f"{where} has a projection in its skip connection, which keeps its shape; in no MoViNet")
        return found

    def _squeeze(self, node: Node, where: str) -> tuple[Squeeze, Node, float]:
        """Squeeze-excitation, the map that it gates, and a factor that belongs to what follows."""
        outside, product = self.patterns.scaled(node)
        if product.kind == "MUL":
            for gate, x in (product.inputs, product.inputs[::-1]):
                found = self.patterns.gate(gate)
                if found is None and outside != 1.0:
                    continue
                if found is not None and self.patterns.activation(x) is not None:
                    name, expand, factor = found
                    self.gates.setdefault(name, where)
                    reduce = self._pointwise(self._seen(expand.source, where).source, f"squeeze-excitation of {where}")
                    squeeze = self._pooled(Squeeze(reduce, expand, "", None), x, where)
                    return squeeze, x, factor * outside
        raise self._unlike(f"an activation, perhaps gated, in front of the projection of {where}", node)

    def _pooled(self, squeeze: Squeeze, x: Node, where: str) -> Squeeze:
        """Fills in what squeeze-excitation sees of a map."""
        node, channels = squeeze.reduce.source, squeeze.expand.weight.shape[0]
        if node.kind == "ADD" or node.kind == "shifted":
            node, squeeze.position_scale = self._positions(node, squeeze.reduce.weight.shape[1], where)
        parts = node.inputs if self.patterns.joins_channels(node) else (node,)
        kinds = []
        for i, part in enumerate(parts):
            mean = self.patterns.pool(part)
            if mean is None or mean.source is not x:
                raise self._unlike(f"a mean of its own map in squeeze-excitation of {where}", node)
            if mean.cumulative:
                self.causal.setdefault(True, where)
            elif "T" in mean.axes:
                self.clip_means.append(where)
            kinds.append("3d" if mean.cumulative or "T" in mean.axes else "2d")
            squeeze.reduce.weight[:, i * channels : (i + 1) * channels] *= mean.factor
        if kinds == ["2d", "3d"] and squeeze.position_scale is None:
            squeeze.reduce.weight = np.roll(squeeze.reduce.weight, channels, 1)
            kinds.reverse()
        squeeze.kind = kinds[0] if len(kinds) == 1 else "2plus3d"
        if kinds not in (["3d"], ["2d"], ["3d", "2d"]) or squeeze.reduce.weight.shape[1] != channels * len(kinds):
            raise Refused(f"squeeze-excitation of {where} sees {kinds}; in no MoViNet")
        self.kinds.setdefault(squeeze.kind, where)
        return squeeze

    def _positions(self, node: Node, channels: int, where: str) -> tuple[Node, float]:
        """Takes the encoding of positions off a sum; returns what is left and the encoding's scale."""
        if node.kind == "shifted":  # of a clip of known length the encoding is a constant
            values = self.graph.values(node).astype(np.float64).reshape(-1, channels)
            wanted = position_encoding(torch.arange(len(values)), channels).double().numpy()
            scale = float((values * wanted).sum() / (wanted * wanted).sum())
            if not np.allclose(values, scale * wanted, atol=NEAR * max(abs(scale), 1e-6)):
                raise Refused(f"{self.graph.name(node)!r} adds a constant to the means of {where}; in no MoViNet")
            return node.inputs[0], scale
        for encoded, rest in (node.inputs, node.inputs[::-1]):
            scale, encoding = self.patterns.scaled(encoded)
            if self.patterns.joins_channels(encoding) and [part.kind for part in encoding.inputs] == ["SIN", "COS"]:
                self._check_rates(encoding, channels, where)
                return rest, scale
        raise self._unlike(f"means in front of squeeze-excitation of {where}", node)

    def _check_rates(self, encoding: Node, channels: int, where: str) -> None:
        wanted = position_rates(channels).numpy()
        for node in self.graph.ancestors(encoding):
            if node.kind == "scaled":
                rates = self.graph.values(node).reshape(-1)
                if len(rates) == channels and np.allclose(rates, wanted, rtol=NEAR, atol=1e-6):
                    return
        raise Refused(f"positions of {where} are encoded by other rates than those of a MoViNet")

    def _place(self, node: Node) -> tuple[int, int] | None:
        """Block and layer by the names of an activation and of what is in front of it, up to its convolution."""
        for part in self.graph.ancestors(node):
            found = _PLACE.search(self.graph.model.tensors[part.tensor].name)
            if found:
                block, layer = [number for number in found.groups() if number is not None]
                return int(block), int(layer)
            if part.kind in CONVOLUTIONS:
                break
        return None

    def _form(self, bottlenecks: list[Bottleneck], dense_activation: str) -> Form:
        causal = self._one(self.causal, "whether frames see later ones") if self.causal else False
        if causal and self.clip_means:
            raise Refused(
                f"squeeze-excitation of {self.clip_means[0]} sees frames that the kernels do not; in no MoViNet"
            )
        start = STREAM if causal else BASE
        kernels = {
            "2plus1d" if layer.temporal is not None else "3d"
            for layer in bottlenecks
            if layer.temporal is not None or layer.depthwise.kernel[0] > 1
        }
        if len(kernels) > 1:
            raise Refused("some kernels are split into space and time and others are not; in no MoViNet")
        positions = [layer.squeeze.position_scale is not None for layer in bottlenecks if layer.squeeze is not None]
        return Form(
            causal=causal,
            convolution=kernels.pop() if kernels else start.convolution,
            squeeze_kind=self._one(self.kinds, "what squeeze-excitation sees") if self.kinds else start.squeeze_kind,
            position_encoding=any(positions),
            activation=self._one(self.activations, "the activation"),
            gate=self._one(self.gates, "the gate") if self.gates else start.gate,
            dense_activation=dense_activation,
        )

    def _one(self, seen: Mapping[T, str], what: str) -> T:
        """The one value that was seen everywhere."""
        if len(seen) > 1:
            listed = ", ".join(f"{value} in {where}" for value, where in seen.items())
            raise Refused(f"{what} differs from layer to layer ({listed}); in no MoViNet")
        return next(iter(seen))

    def _seen(self, node: Node, where: str) -> Activated:
        """An activation of the network's own kind."""
        found = self._activation(node, where)
        self.activations.setdefault(found.name, where)
        return found

    def _activation(self, node: Node, where: str) -> Activated:
        found = self.patterns.activation(node)
        if found is None:
            raise self._unlike(f"swish, hard_swish or relu6 in {where}", node)
        return found

    def _pointwise(self, node: Node, where: str) -> Convolution:
        found = self.patterns.convolution(node)
        if found is None or not found.pointwise:
            raise self._unlike(f"a pointwise convolution in {where}", node)
        return found

    def _unlike(self, expected: str, node: Node) -> Refused:
        # what is foreign is rather the reason than what is computed from it
        node = next((n for n in self.graph.ancestors(node, 12) if n.kind not in KNOWN), node)
        found = _WORDS.get(node.kind, f"operator {node.kind}")
        return Refused(f"no MoViNet: expected {expected}, found {found} ({self.graph.name(node)!r})")
