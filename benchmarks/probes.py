"""A clock that stands on the kind of layer that runs, and the probes that turn it: for `benchmarks.profile`.

Probes stand around the functions of `networks.layers` and of `networks.inference`, without a change to them. Forward, a
probe turns the clock when its function starts and when it ends. Backward, an identity in front of the function and
one behind it do: the engine runs nodes in the order opposite to that of their making.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from networks import layers
from networks.inference import FusedMoViNet, bottleneck, frame_program, frame_steps, fused, fused_ops
from networks.kernels import ACTIVATIONS, pointwise_kernels
from networks.movinet import MoViNet

OTHER = "other"
STEM, EXPAND, PROJECT, SKIP, HEAD = "stem", "expand", "project", "skip and sum", "head"
SPACE, TIME, BOTH = "depthwise 1xkxk", "depthwise kx1x1", "depthwise kxkxk"
NORM, ACTIVATION, SQUEEZE = "BatchNorm", "activation", "squeeze-excitation"
KINDS = (STEM, EXPAND, SPACE, TIME, BOTH, NORM, ACTIVATION, SQUEEZE, PROJECT, SKIP, HEAD, OTHER)
OPAQUE = (SQUEEZE, HEAD)  # all inside counts as them


@dataclasses.dataclass
class Work:
    """What a kind of layer has to do: multiply-accumulates, and bytes of its maps and weights."""

    macs: int = 0
    inputs: int = 0
    outputs: int = 0
    weights: int = 0

    def flops(self, training: bool) -> int:
        """Two a multiply-accumulate; training convolves twice more, for the gradients of input and weight."""
        return 2 * self.macs * (3 if training else 1)

    def bytes(self, training: bool) -> int:
        """Each tensor moved once an operation; training reads input and output gradient and writes the input's."""
        once = self.inputs + self.outputs + self.weights
        return once + (2 * self.inputs + self.outputs + 2 * self.weights) * training


class Clock:
    """Seconds by kind, and the work of those."""

    def __init__(self) -> None:
        self.kind, self.since = OTHER, time.perf_counter()
        self.seconds: dict[str, float] = defaultdict(float)
        self.work: dict[str, Work] | None = None

    def turn(self, kind: str) -> None:
        """What runs from now on."""
        now = time.perf_counter()
        self.seconds[self.kind] += now - self.since
        self.kind, self.since = kind, now

    def time(self, run: Callable[[], object]) -> dict[str, float]:
        """Seconds of one run by kind."""
        self.turn(OTHER)
        self.seconds.clear()
        run()
        self.turn(OTHER)
        return dict(self.seconds)

    def count(self, run: Callable[[], object]) -> dict[str, Work]:
        """Work of one run, forward, by kind."""
        self.work = counted = defaultdict(Work)
        run()
        self.work = None
        return dict(counted)


class _Mark(torch.autograd.Function):
    """Identity that turns the clock when the gradient passes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, clock: Clock, kind: str) -> Tensor:
        ctx.clock, ctx.kind = clock, kind
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        ctx.clock.turn(ctx.kind)
        return grad, None, None


def _marked(x: Any, clock: Clock, kind: str) -> Any:
    if not isinstance(x, Tensor) or not x.requires_grad or not torch.is_grad_enabled():
        return x
    return _Mark.apply(x, clock, kind)  # type: ignore[no-untyped-call]  # torch's own


Weights = list[tuple[Tensor, int]]


@dataclasses.dataclass(frozen=True)
class Probe:
    """Where to look.

    Attributes:
        holder: module or class; or the table of activations, whose rows are looked at as they are applied.
        name: of the function in it.
        kind: of what a call does, by its arguments.
        weights: by arguments and result, each weight of a call and how many rows it is applied to; None where other
            probes inside count the work.
    """

    holder: Any
    name: str
    kind: str | Callable[..., str]
    weights: Callable[[tuple[Any, ...], Tensor], Weights] | None = None

    def around(self, clock: Clock) -> Any:
        """A patch that puts the function with the clock turned in its place."""
        row = self.holder[self.name] if isinstance(self.holder, dict) else None
        function = getattr(self.holder, self.name) if row is None else row.apply

        def call(*args: Any, **keywords: Any) -> Any:
            outside = clock.kind
            if outside in OPAQUE:
                return function(*args, **keywords)
            kind = self.kind if isinstance(self.kind, str) else self.kind(*args)
            clock.turn(kind)
            result = function(_marked(args[0], clock, outside), *args[1:], **keywords)
            several = isinstance(result, tuple)
            first = result[0] if several else result
            if clock.work is not None and self.weights is not None:
                _count(clock.work[kind], args, first, self.weights(args, first))
            first = _marked(first, clock, kind)
            clock.turn(outside)
            return (first, *result[1:]) if several else first

        if row is not None:
            return mock.patch.dict(self.holder, {self.name: dataclasses.replace(row, apply=call)})
        return mock.patch.object(self.holder, self.name, call)


def _count(work: Work, args: tuple[Any, ...], result: Tensor, weights: Weights) -> None:
    if len(args) > 1 and args[-1] is result:  # memory that the caller gave for the result
        args = args[:-1]
    inputs = {arg.data_ptr(): arg.nbytes for arg in args if isinstance(arg, Tensor)}
    for weight, rows in weights:
        inputs.pop(weight.data_ptr(), None)
        work.weights += weight.nbytes
        work.macs += weight.numel() * rows
    work.inputs += sum(inputs.values())
    work.outputs += result.nbytes


def _none(args: tuple[Any, ...], result: Tensor) -> Weights:
    return []


def _second(args: tuple[Any, ...], result: Tensor) -> Weights:
    """A function of (input, weight [O, ...], ..)."""
    return [(args[1], result.numel() // len(args[1]))]


def _own(args: tuple[Any, ...], result: Tensor) -> Weights:
    """An operation that holds its weight [O, ...]."""
    return [(args[0].weight, result.numel() // len(args[0].weight))]


def _linear(result: Tensor, *weights: Tensor) -> Weights:
    """Fully connected layers, once a row of the result."""
    return [(weight, result.numel() // result.shape[-1]) for weight in weights]


def _depthwise(kernel: Tensor) -> str:
    frames, *size = kernel.shape[2:]
    if frames == 1:
        return SPACE
    return TIME if size == [1, 1] else BOTH


@contextlib.contextmanager
def probed(network: nn.Module, clock: Clock) -> Iterator[None]:
    """Probes around the layers of one network while a block runs."""
    with contextlib.ExitStack() as stack:
        for probe in _fused(network) if isinstance(network, FusedMoViNet) else _plain(network):
            stack.enter_context(probe.around(clock))
        yield


def _plain(network: nn.Module) -> list[Probe]:
    """Of a network in training."""
    assert isinstance(network, MoViNet)
    roles = {}
    for layer in network.bottlenecks():
        roles[id(layer.expand.weight)], roles[id(layer.project.weight)] = EXPAND, PROJECT
        if layer.skip is not None:
            roles[id(layer.skip.weight)] = SKIP

    def gates(args: tuple[Any, ...], result: Tensor) -> Weights:
        return _linear(result, args[1].reduce.weight, args[1].expand.weight)

    def head(args: tuple[Any, ...], result: Tensor) -> Weights:
        x, weights = args[:2]
        rows = x.numel() // x.shape[1]
        return [(weights.conv.weight, rows), *_linear(result, weights.dense.weight, weights.classifier.weight)]

    return [
        Probe(layers, "bottleneck", SKIP, _none),
        Probe(layers, "skip_pool", SKIP, _none),
        Probe(layers, "spatial_conv", STEM, _second),
        Probe(layers, "pointwise", lambda _, weight, *__: roles[id(weight)], _second),
        Probe(pointwise_kernels, "pointwise_norm_act", EXPAND, _second),
        Probe(layers, "depthwise", lambda _, weight, *__: _depthwise(weight), _second),
        Probe(layers, "batch_norm", NORM, _none),
        *(Probe(ACTIVATIONS, name, ACTIVATION, _none) for name in ACTIVATIONS),
        Probe(layers, "squeeze_gate", SQUEEZE, gates),
        Probe(layers, "head", HEAD, head),
    ]


def _fused(network: FusedMoViNet) -> list[Probe]:
    """Of a network for inference, whose BatchNorm is folded away and some of whose activations are inside others."""

    def over_time(_: object, operation: object, *__: object) -> str:
        return TIME if isinstance(operation, fused_ops.Temporal) else BOTH

    def gates(args: tuple[Any, ...], result: Tensor) -> Weights:
        return _linear(result, args[0].weights.reduce.weight, args[0].weights.expand.weight)

    def transposed(args: tuple[Any, ...], result: Tensor) -> Weights:
        weight = next(arg for arg in args[1:] if isinstance(arg, Tensor) and arg.dim() == 2)
        return [(weight, result.numel() // weight.shape[1])]

    def classify(args: tuple[Any, ...], result: Tensor) -> Weights:
        return _linear(result, args[0].dense.weight, args[0].classifier.weight)

    return [
        *_frame(),
        Probe(fused_ops.Stem, "__call__", STEM, _own),
        Probe(fused_ops.Pointwise, "__call__", lambda one, _: HEAD if one is network.head else EXPAND, _own),
        Probe(fused_ops.Spatial, "__call__", SPACE, _own),
        Probe(fused_ops.Temporal, "__call__", TIME, _own),
        Probe(fused_ops.Temporal, "one_frame", TIME, _own),
        Probe(fused_ops.SpaceTime, "__call__", BOTH, _own),
        Probe(fused_ops, "activate_", ACTIVATION, _none),
        Probe(bottleneck.FusedBottleneck, "_over_time", over_time),
        Probe(bottleneck, "frame_means", SQUEEZE, _none),
        Probe(bottleneck.FusedSqueeze, "of_clip", SQUEEZE, gates),
        Probe(bottleneck.FusedSqueeze, "of_stream", SQUEEZE, gates),
        Probe(bottleneck, "add_projected", PROJECT, transposed),
        Probe(bottleneck, "skip_pool", SKIP, _none),
        Probe(bottleneck, "projected", SKIP, transposed),
        Probe(fused, "frame_means", HEAD, _none),
        Probe(FusedMoViNet, "_classify", HEAD, classify),
    ]


def _frame() -> list[Probe]:
    """Of the steps of a prepared frame; activations count as what they follow."""

    def transposed(args: tuple[Any, ...], result: Tensor) -> Weights:
        return [(args[0].weight, result.numel() // args[0].weight.shape[1])]

    def gates(args: tuple[Any, ...], result: Tensor) -> Weights:
        return _linear(result, args[0].reduce, args[0].expand)

    def classify(args: tuple[Any, ...], result: Tensor) -> Weights:
        return _linear(result, args[0].classifier.weight)

    def head(args: tuple[Any, ...], result: Tensor) -> Weights:
        step = args[0]
        return [(step.conv.weight, len(step.maps.rows)), *_linear(result, step.dense)]

    return [
        Probe(frame_steps.StemStep, "run", STEM, _own),
        Probe(frame_steps.PointwiseStep, "run", EXPAND, _own),
        Probe(frame_steps.SpaceStep, "run", SPACE, _own),
        Probe(frame_steps.TimeStep, "run", TIME, _own),
        Probe(frame_steps.SqueezeStep, "run", SQUEEZE, gates),
        Probe(frame_steps.ProjectStep, "run", PROJECT, transposed),
        Probe(frame_steps.SkipStep, "run", SKIP, transposed),
        Probe(frame_program.HeadStep, "run", HEAD, head),
        Probe(frame_program.FrameProgram, "classify", HEAD, classify),
    ]
