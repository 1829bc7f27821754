"""The rule for peak activation memory against what a network, as it is built, holds."""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import networks
import searchspace
from networks import layer_weights, layers
from networks.kernels import same_padding
from networks.movinet import Bottleneck
from searchspace import STREAM, Architecture, Clip, Form, Kernel, Layer, Position, cost
from searchspace.cost import halve, layer_cost
from tests.searchspace.util import KERNELS, USERS, read


class Live(TorchDispatchMode):
    """Follows the storages that library calls return, and their highest sum; what lives inside a call is not seen."""

    def __init__(self, weights: list[torch.Tensor]) -> None:
        super().__init__()
        self.known = {tensor.untyped_storage()._cdata for tensor in weights}
        self.now = self.peak = 0

    def hold(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self.known:
            return
        self.known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._release, key, size)

    def _release(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.now -= size

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self.hold(leaf)
        return result


def _clip(channels: int, clip: Clip) -> torch.Tensor:
    x = torch.rand(1, channels, clip.frames, clip.height, clip.width)
    return x.contiguous(memory_format=torch.channels_last_3d)


def _peak(module: torch.nn.Module, x: torch.Tensor, formulation: str, call: Callable[..., Any] | None = None) -> int:
    live = Live([*module.parameters(), *module.buffers()])
    with torch.no_grad(), networks.formulation(formulation), live:
        live.hold(x)
        (call or module)(x)
    return live.peak


def _sample(count: int) -> list[Architecture]:
    space = searchspace.load("movinet")
    picked = [space.architecture(row) for row in space.decisions.sample(np.random.default_rng(0), count - 3)]
    return picked + [dataclasses.replace(searchspace.published(name), clip=space.clip) for name in ("a0", "a2", "t0")]


def test_the_meter_itself() -> None:
    live = Live([])
    with live:
        x = torch.ones(1000)
        y = (x * 2) + 1  # x, the product, the sum
        del x
        z = y.view(10, 100)  # no storage of its own
        y = z * 2
    assert live.peak == 3 * 4000
    assert live.now == 2 * 4000
    del y, z
    assert live.now == 0


@pytest.mark.parametrize("count", [6, pytest.param(20, marks=pytest.mark.slow)])
def test_networks_at_random(count: int) -> None:
    for architecture in _sample(count):
        network = networks.create(architecture).eval()
        measured = _peak(network, _clip(3, architecture.clip), "fast")
        assert cost(architecture).activation_bytes == pytest.approx(measured, rel=0.1)


def _with_padded_copies(architecture: Architecture, clip: Clip) -> int:
    """The rule, and the step that the plain library calls add: a padded copy of what a strided convolution reads."""

    def padded(channels: int, height: int, width: int, kernel: Kernel, stride: int) -> int:
        rows, columns = same_padding(height, kernel.h, stride), same_padding(width, kernel.w, stride)
        uneven = rows[0] != rows[1] or columns[0] != columns[1]
        return channels * clip.frames * (height + sum(rows)) * (width + sum(columns)) * uneven

    height, width = halve(clip.height, 2), halve(clip.width, 2)
    peaks = [
        padded(3, clip.height, clip.width, architecture.stem.kernel, 2)
        + architecture.stem.width * clip.frames * height * width
    ]
    for position in architecture.layers():
        layer, before = position.layer, clip.frames * height * width
        copy = padded(layer.expand, height, width, layer.kernel, layer.stride)
        height, width = halve(height, layer.stride), halve(width, layer.stride)
        after = clip.frames * height * width
        peaks.append((position.in_width + layer.expand) * before + copy + layer.expand * after)
    plain = 3 * clip.frames * clip.height * clip.width
    return max(cost(architecture, clip).activation_bytes, 4 * (plain + max(peaks)))


@pytest.mark.parametrize("count", [6, pytest.param(20, marks=pytest.mark.slow)])
def test_networks_at_random_in_plain_library_calls(count: int) -> None:
    """Devices other than the CPU, which copy to pad: the rule leaves this out, and says so."""
    for architecture in _sample(count):
        small = dataclasses.replace(architecture, clip=Clip(3, 64, 48))
        network = networks.create(small).eval()
        measured = _peak(network, _clip(3, small.clip), "reference")
        assert _with_padded_copies(small, small.clip) == pytest.approx(measured, rel=0.1)
        copies = _with_padded_copies(architecture, architecture.clip)
        assert 1.0 <= copies / cost(architecture).activation_bytes < 1.2


def test_networks_of_a_users_space() -> None:
    space = read(USERS)
    for row in space.decisions.sample(np.random.default_rng(1), 8):
        architecture = space.architecture(row)
        measured = _peak(networks.create(architecture).eval(), _clip(3, architecture.clip), "fast")
        assert cost(architecture).activation_bytes == pytest.approx(measured, rel=0.1)


def _layer(rng: np.random.Generator) -> tuple[Layer, int, int]:
    """A bottleneck of any kind, and how many channels go in and out."""
    wide = int(rng.choice([8, 24, 96, 200]))
    kernel = Kernel.parse(str(rng.choice(KERNELS)))
    layer = Layer(kernel, int(rng.integers(1, 3)), wide, int(rng.choice([0, 8])))
    in_width = int(rng.choice([16, 120]))
    return layer, in_width, in_width if rng.random() < 0.5 else int(rng.choice([16, 120]))


@pytest.mark.parametrize("seed", range(4))
def test_every_kind_of_bottleneck(seed: int) -> None:
    """Layer by layer, wherever its peak lies: in the expansion, behind the convolution, in the gate, in the sum."""
    rng = np.random.default_rng(seed)
    clip = Clip(4, 24, 40)
    for _ in range(40):
        layer, in_width, out_width = _layer(rng)
        module = Bottleneck(Position(0, 0, in_width, out_width, layer), 0.0, Form(), None).eval()
        measured = _peak(module, _clip(in_width, clip), "fast")
        frames = 4 * 3 * clip.frames * clip.height * clip.width  # the clip, which a lone layer does not hold
        rule = layer_cost(layer, in_width, out_width, clip, clip.height, clip.width).activation_bytes - frames
        assert rule == pytest.approx(measured, rel=0.02), layer


@pytest.mark.parametrize("form", [STREAM, Form(causal=True), Form(convolution="2plus1d", squeeze_kind="2d")])
def test_other_forms(form: Form) -> None:
    """Frames that wait in front of a convolution in time, and the spatial part's output; the new state is left out."""
    rng = np.random.default_rng(0)
    clip = Clip(4, 24, 40)
    for _ in range(40):
        layer, in_width, out_width = _layer(rng)
        module = Bottleneck(Position(0, 0, in_width, out_width, layer), 0.0, form, None).eval()
        measured = _peak(module, _clip(in_width, clip), "fast")
        rule = layer_cost(layer, in_width, out_width, clip, clip.height, clip.width, form)
        own = rule.activation_bytes - 4 * 3 * clip.frames * clip.height * clip.width
        assert own * 0.98 <= measured <= (own + rule.state_bytes) * 1.1, layer


def test_stream_networks() -> None:
    for architecture in _sample(8):
        stream = architecture.streaming()
        measured = _peak(networks.create(stream).eval(), _clip(3, stream.clip), "fast")
        rule = cost(stream)
        assert rule.activation_bytes * 0.9 <= measured <= (rule.activation_bytes + rule.state_bytes) * 1.1


def test_the_head() -> None:
    """A head so wide that the peak lies there: its input, and two tensors of its width."""
    architecture = searchspace.published("t0")
    head = dataclasses.replace(architecture.head, width=4000)
    architecture = dataclasses.replace(architecture, head=head, clip=Clip(4, 64, 64))
    network = networks.create(architecture).eval()
    weights = layer_weights.HeadWeights(network.head.weights(), network.dense.weights(), network.classifier.weights())
    in_width = architecture.blocks[-1].width
    measured = _peak(network, _clip(in_width, Clip(4, 8, 8)), "fast", lambda x: layers.head(x, weights, False))
    assert 4 * 4 * 8 * 8 * (in_width + 2 * 4000) == pytest.approx(measured, rel=0.01)
    whole = _peak(network, _clip(3, architecture.clip), "fast")
    assert cost(architecture).activation_bytes == pytest.approx(whole, rel=0.1)


@pytest.mark.parametrize("pool", ["2d", "none"])
@pytest.mark.parametrize(
    ("hidden", "classes"), [(9000, 5), pytest.param(9000, 9000, marks=pytest.mark.slow), (30, 9000)]
)
def test_the_head_of_each_frame(pool: str, hidden: int, classes: int) -> None:
    """So wide behind the pool that the peak lies there."""
    architecture = searchspace.published("t0")
    head = dataclasses.replace(architecture.head, hidden=hidden)
    form = Form(head_pool=pool)
    architecture = dataclasses.replace(architecture, head=head, classes=classes, form=form, clip=Clip(16, 32, 32))
    measured = _peak(networks.create(architecture).eval(), _clip(3, architecture.clip), "fast")
    assert cost(architecture).activation_bytes == pytest.approx(measured, rel=0.1)
