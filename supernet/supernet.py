"""All networks of a space over one set of weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from networks import layer_weights, layers
from networks.checkpointing import checkpointed
from networks.initialisers import classifier_normal_
from networks.kernels import channels_last
from networks.movinet import Linear
from networks.tensors import check_tensor
from searchspace import Architecture, Form, Kernel, Position, Space
from searchspace.layer_choices import KERNEL, SQUEEZE
from searchspace.space import BlockSpace
from supernet.flat import FlatWeights, Slicer
from supernet.path import Path
from supernet.shared import SharedConv, SharedDepthwise, SharedSqueeze, slice_linear
from supernet.sharing import KERNELS, Kernels

# Mean and variance [C] of every BatchNorm of one architecture, by the names of `networks.MoViNet`.
Statistics: TypeAlias = Mapping[str, tuple[Tensor, Tensor]]
Self = TypeVar("Self", bound="Supernet")


class SharedLayer(nn.Module):
    """Weights of one layer position at maximum width.

    Args:
        space: what its block offers.
        in_width: most channels that come in.
        projects: whether some architecture has a projection here; only first layers of a block can.
        nested: see `SharedDepthwise`.
        scale: first value of the residual scalar.
        form: of the networks.
        generator: for the initial weights.
    """

    def __init__(
        self,
        space: BlockSpace,
        in_width: int,
        projects: bool,
        nested: bool,
        scale: float,
        form: Form,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        expand, width = max(space.expansions), max(space.widths)
        self.expand = SharedConv((expand, in_width), form, generator)
        parts = {kernel: form.parts(kernel) for kernel in space.kernels}
        spatial = {kernel: first for kernel, (first, _) in parts.items()}
        temporal = {kernel: second for kernel, (_, second) in parts.items() if second is not None}
        self.depthwise = SharedDepthwise(expand, spatial, nested, form, generator)
        self.temporal = SharedDepthwise(expand, temporal, nested, form, generator) if temporal else None
        hidden = form.squeeze_width(expand)
        self.squeeze = SharedSqueeze(expand, hidden, form, generator) if True in space.squeezes else None
        self.project = SharedConv((width, expand), form, generator)
        self.skip = SharedConv((width, in_width), form, generator) if projects else None
        self.scale = nn.Parameter(torch.tensor(float(scale)))

    def slice(self, slicer: Slicer, position: Position, averaged: frozenset[str]) -> layer_weights.BottleneckWeights:
        """The weights of one layer; `averaged` holds the kinds of layer choices of which all values run."""
        layer, expand = position.layer, position.layer.expand
        kernels = self.depthwise.kernels if KERNEL.kind in averaged else (layer.kernel,)
        squeeze = skip = None
        if layer.squeeze:
            assert self.squeeze is not None
            squeeze = self.squeeze.slice(slicer, expand, layer.squeeze, SQUEEZE.kind in averaged)
        if position.has_projection:
            assert self.skip is not None
            skip = self.skip.slice(slicer, position.width, position.in_width)
        return layer_weights.BottleneckWeights(
            expand=self.expand.slice(slicer, expand, position.in_width),
            depthwise=tuple(self._kernel(slicer, kernel, expand) for kernel in kernels),
            squeeze=squeeze,
            project=self.project.slice(slicer, position.width, expand),
            skip=skip,
            scale=slicer.slice(self.scale),
        )

    def _kernel(self, slicer: Slicer, kernel: Kernel, channels: int) -> layer_weights.DepthwiseWeights:
        spatial, temporal = self.depthwise.slice(slicer, kernel, channels), None
        if self.temporal is not None and kernel in self.temporal.kernels:
            temporal = self.temporal.slice(slicer, kernel, channels)
        return layer_weights.DepthwiseWeights(spatial, temporal, kernel.shifted(channels))


class SharedBlock(nn.Module):
    """The layer positions of one block."""

    def __init__(self, positions: list[SharedLayer]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(positions)


class Supernet(nn.Module):
    """One set of weights at maximum width; a path slices what its architecture needs and costs what it costs.

    BatchNorm always uses the statistics of the batch, in training and in evaluation, unless `forward` is given
    others. There is no dropout and no stochastic depth. Train through `flat_weights` (see `supernet.flat`):

        optimizer = torch.optim.SGD([net.flat_weights], lr=0.1)
        net.zero_grad()
        for path in paths: (loss(net(clips, path), labels) / len(paths)).backward()
        optimizer.step()

    After a backward pass every parameter has a gradient; weights that no path used have zeros.

    Args:
        space: what it covers.
        classes: outputs of the classifier.
        kernels: "nested" or "separate" depthwise kernels, see `supernet.shared`.
        scale: first value of every residual scalar; at 0, as in a single network, a fresh supernet shows nothing but
            its skip connections, and cost alone decides a short search.
        seed: of the initial weights.

    Attributes:
        checkpointing: with gradients, bottlenecks are computed again in the backward pass; see
            `networks.checkpointing`.

    Raises:
        ValueError: an unknown kind of kernels, or no classes.
    """

    def __init__(
        self, space: Space, classes: int, *, kernels: Kernels = "nested", scale: float = 0.5, seed: int = 0
    ) -> None:
        super().__init__()
        if kernels not in KERNELS:
            raise ValueError(f"kernels {kernels!r}: allowed are nested, separate")
        if classes < 1:
            raise ValueError(f"{classes} classes: must be at least 1")
        self.space, self.classes, form = space, classes, space.form
        generator = torch.Generator().manual_seed(seed)
        self.stem = SharedConv((space.stem.width, 3, *space.stem.kernel.size), form, generator)
        before: tuple[int, ...] = (space.stem.width,)
        blocks = []
        for block in space.blocks:
            positions = []
            for index in range(max(block.depths)):
                projects = index == 0 and (block.stride > 1 or len({*before, *block.widths}) > 1)
                in_width = max(before) if index == 0 else max(block.widths)
                positions.append(SharedLayer(block, in_width, projects, kernels == "nested", scale, form, generator))
            blocks.append(SharedBlock(positions))
            before = block.widths
        self.blocks = nn.ModuleList(blocks)
        self.head = SharedConv((max(space.heads), max(before)), form, generator)
        self.dense = Linear(max(space.heads), space.hidden, generator)
        self.classifier = Linear(space.hidden, classes, generator)
        classifier_normal_(self.classifier.weight, generator)
        self._flat: FlatWeights | None = None
        self.checkpointing = False

    @property
    def flat(self) -> FlatWeights:
        """All weights in one piece of memory."""
        if self._flat is None:
            with torch.inference_mode(False):  # else it could never be trained
                self._flat = FlatWeights(self)
        return self._flat

    @property
    def flat_weights(self) -> nn.Parameter:
        """All weights as one parameter [total], for an optimiser; get it after moving the supernet to its device."""
        return self.flat.weights

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Sets every gradient to zero, never to None."""
        self.flat.zero_gradients()

    def _apply(self: Self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        result: Self = super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # torch's own
        self._flat = None
        return result

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Copies weights in; the tensors of `state_dict` are never taken over, so `assign` must be False."""
        assert not assign, "weights lie in one piece of memory: load by copying"
        return super().load_state_dict(state_dict, strict)

    def forward(self, clip_NCTHW: Tensor, path: Path | Architecture, statistics: Statistics | None = None) -> Tensor:
        """Logits of clips on one path.

        Args:
            clip_NCTHW: [N, 3, T, H, W], float RGB in [0, 1].
            path: what to run.
            statistics: BatchNorm statistics of this architecture (see `supernet.extraction.recalibrate`); by default
                those of the batch.

        Returns:
            Logits, [N, classes].

        Raises:
            ValueError: the architecture is not one of this supernet's space, or a clip that is no tensor.
        """
        check_tensor(clip_NCTHW, "clip")
        return self.run(clip_NCTHW, self.weights(path, statistics))

    def run(self, clip_NCTHW: Tensor, weights: layer_weights.NetworkWeights) -> Tensor:
        """Logits of clips with weights that `weights` sliced."""
        form = self.space.form
        x = layers.stem(channels_last(clip_NCTHW), weights.stem, False, form)
        for bottleneck, stride in zip(weights.bottlenecks, weights.strides, strict=True):
            arguments = (x, bottleneck, stride, False, form)
            again = self.checkpointing and torch.is_grad_enabled()
            x, _ = checkpointed(layers.bottleneck, *arguments) if again else layers.bottleneck(*arguments)
        return layers.head(x, weights.head, False, form=form)[0]

    def weights(self, path: Path | Architecture, statistics: Statistics | None = None) -> layer_weights.NetworkWeights:
        """Slices the weights of a path; see `forward`."""
        path = path if isinstance(path, Path) else Path(path)
        architecture = path.architecture
        self.check(architecture)
        slicer = Slicer(self.flat)
        result = self._slice(path, slicer)
        slicer.connect()
        for layer in result.bottlenecks:
            if layer.squeeze is not None:  # halves side by side, only now that the slices are part of the graph
                layer.squeeze.reduce.weight = layer.squeeze.reduce.weight.flatten(1)
        if statistics is not None:
            assert not path.averaged, "statistics belong to one architecture, not to averaged choices"
            for name, norm in layer_weights.named_norms(result, layer_weights.bottleneck_names(architecture)).items():
                norm.mean, norm.var = statistics[name]
        return result

    def _slice(self, path: Path, slicer: Slicer) -> layer_weights.NetworkWeights:
        architecture = path.architecture
        averaged: dict[tuple[int, int], set[str]] = {}
        for block, index, kind in path.averaged:
            averaged.setdefault((block, index), set()).add(kind)
        head, last = architecture.head, architecture.blocks[-1].width
        return layer_weights.NetworkWeights(
            stem=self.stem.slice(slicer, architecture.stem.width, 3),
            bottlenecks=[
                layer.slice(slicer, position, frozenset(averaged.get((position.block, position.index), ())))
                for position, layer in self._positions(architecture)
            ],
            strides=[position.layer.stride for position in architecture.layers()],
            head=layer_weights.HeadWeights(
                conv=self.head.slice(slicer, head.width, last),
                dense=slice_linear(slicer, self.dense, head.hidden, head.width),
                classifier=slice_linear(slicer, self.classifier, self.classes, head.hidden, decay=False),
            ),
        )

    def _positions(self, architecture: Architecture) -> Iterator[tuple[Position, SharedLayer]]:
        for position in architecture.layers():
            block = self.blocks[position.block]
            assert isinstance(block, SharedBlock)
            layer = block.layers[position.index]
            assert isinstance(layer, SharedLayer)
            yield position, layer

    def scales(self) -> Tensor:
        """Residual scalars of all layer positions, detached, [positions]."""
        return torch.stack([p.detach() for name, p in self.named_parameters() if name.endswith(".scale")])

    @torch.no_grad()
    def decay_(self, path: Path | Architecture, amount: float) -> None:
        """Weight decay of what a path uses: adds `amount` x weight to the gradients of its convolutions.

        Of kernels and matrices only, not of BatchNorm, biases, residual scalars and the classifier; nor of any weight
        that the path leaves out. With averaged kernels all of them are in use.

        Args:
            path: what ran; call it once for each path of a step.
            amount: the decay, divided by the number of paths of a step.
        """
        path = path if isinstance(path, Path) else Path(path)
        self.check(path.architecture)
        with torch.enable_grad():
            slicer = Slicer(self.flat)
            self._slice(path, slicer)
        slicer.add_decay(amount)

    def check(self, architecture: Architecture) -> None:
        """Raises `ValueError`, naming the first thing, where an architecture does not fit the shared weights.

        Any width up to the largest fits, also one that the space does not offer.
        """
        space = self.space
        name = f"architecture {architecture.name!r} does not fit the supernet of space {space.name!r}"
        if len(architecture.blocks) != len(space.blocks):
            raise ValueError(f"{name}: {len(architecture.blocks)} blocks, the space has {len(space.blocks)}")
        fixed = {"stem": (architecture.stem, space.stem), "head/hidden": (architecture.head.hidden, space.hidden)}
        for what, (is_, must) in fixed.items():
            if is_ != must:
                raise ValueError(f"{name}: {what} is {is_}, the space has {must}")
        if architecture.form != space.form:
            raise ValueError(f"{name}: form is {architecture.form}, the space has {space.form}")
        if architecture.head.width > max(space.heads):
            raise ValueError(f"{name}: head/width is {architecture.head.width}, at most {max(space.heads)}")
        for b, (block, offered) in enumerate(zip(architecture.blocks, space.blocks, strict=True)):
            problem = _misfit(block.width, max(offered.widths), "width") or _misfit(
                len(block.layers), max(offered.depths), "depth"
            )
            for i, layer in enumerate(block.layers if problem is None else ()):
                stride = offered.stride if i == 0 else 1
                most = space.form.squeeze_width(max(offered.expansions)) if True in offered.squeezes else 0
                problem = problem or _misfit(layer.expand, max(offered.expansions), f"layers/{i}/expansion")
                problem = problem or _misfit(layer.squeeze, most, f"layers/{i}/squeeze")
                if problem is None and layer.kernel not in offered.kernels:
                    allowed = ", ".join(str(kernel) for kernel in offered.kernels)
                    problem = f"layers/{i}/kernel is {layer.kernel}, the space has {allowed}"
                if problem is None and layer.stride != stride:
                    problem = f"layers/{i}/stride is {layer.stride}, the space has {stride}"
            if problem is not None:
                raise ValueError(f"{name}: blocks/{b}/{problem}")


def _misfit(value: int, most: int, what: str) -> str | None:
    return f"{what} is {value}, at most {most}" if value > most else None
