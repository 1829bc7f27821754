"""The temporal shift in front of a spatial kernel: what it computes, carries, costs and sees, in every form."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import networks
import supernet
from networks import MoViNet, layer_weights, layers, temporal
from searchspace import STREAM, Architecture, Block, Clip, Form, Head, Kernel, Layer, Space, Stem, cost, tabulate
from searchspace.quantities import counted_names
from supernet import Path
from supernet.extraction import extract, recalibrate
from tests.networks.live_networks import FORMS, assert_any_chunking, assert_close, frames, live
from tests.searchspace.util import every, read

SPACE = """
name: shifts
clip: 8x64x64@5
classes: 10
stem: {width: 8, kernel: 1x3x3}
choices: {multipliers: [1], depth: [1, 2], kernel: [1x3x3, tsm1x3x3, 3x3x3], expansion: [1.5, 3], se: [false, true]}
blocks: [{width: 16, stride: 2}]
head: {width: 32, hidden: 40}
"""
ALL_FORMS = [*FORMS, Form(), Form(convolution="2plus1d", squeeze_kind="2plus3d")]


def shifting(form: Form, kernel: str = "tsm1x3x3") -> Architecture:
    """Shifts at both strides, with and without squeeze-excitation, of channels that 8 divides or not."""
    one = Kernel.parse(kernel)
    blocks = (Block(16, (Layer(one, 2, 24, 8), Layer(one, 1, 28, 0))), Block(24, (Layer(one, 2, 40, 16),)))
    return Architecture("shifting", Clip(6, 24, 24), 5, Stem(8), blocks, Head(32, 48), 0.0, 0.0, form)


def spread(network: MoViNet) -> MoViNet:
    """The same network with plain 3x3x3 kernels: each channel's taps stand where its frame comes from."""
    form = network.architecture.form
    other = live(shifting(form, "3x3x3"))
    state = network.state_dict()
    for name, layer in zip(layer_weights.bottleneck_names(network.architecture), network.bottlenecks(), strict=True):
        spatial = state[f"{name}.depthwise.weight"]
        taps = spatial.new_zeros(len(spatial), 1, 3, 3, 3)
        eighth, before, now = len(spatial) // 8, 1 if form.causal else 0, 2 if form.causal else 1
        for channel in range(len(spatial)):
            at = before if channel < eighth else 2 if not form.causal and channel < 2 * eighth else now
            taps[channel, :, at] = spatial[channel, :, 0]
        state[f"{name}.depthwise.weight"] = taps
        assert layer.shift == eighth
    other.load_state_dict(state)
    return other


@pytest.mark.parametrize("form", [Form(), Form(causal=True), Form(causal=True, squeeze_kind="2plus3d")])
@pytest.mark.parametrize("formulation", ["fast", "reference"])
@pytest.mark.parametrize("count", [1, 2, 6])
def test_a_shift_is_a_temporal_kernel_of_single_taps(form: Form, formulation: str, count: int) -> None:
    network = live(shifting(form))
    clip = frames(2, count, 24, 20)
    with torch.no_grad(), networks.formulation(formulation):
        ours, theirs = network(clip), spread(network)(clip)
    if not form.causal:
        assert_close(ours, theirs)
        return
    assert_close(ours[0], theirs[0])
    for name, tensor in ours[1].items():
        if name.endswith("stream_buffer"):  # of two frames the newer, of all channels the shifted ones
            assert tensor.shape[1:3] == (theirs[1][name].shape[1] // 8, 1)
            assert_close(tensor, theirs[1][name][:, : tensor.shape[1], -1:])


def test_a_causal_shift_is_a_stream_buffer_of_one_frame() -> None:
    """One frame kept of an eighth of the channels in front of the plain kernel is the unit of a network."""
    x = torch.randn(2, 24, 5, 6, 6)
    conv = MoViNet(shifting(STREAM)).eval().bottlenecks()[1].depthwise.weights()
    conv = layer_weights.ConvWeights(conv.weight[:24], layer_weights.NormWeights(torch.ones(24), torch.zeros(24)))
    kept, state = temporal.buffered(x[:, :3], 1, None)
    y = torch.cat([kept[:, :, :-1], x[:, 3:]], 1)
    expected, nothing = layers.depthwise_unit(y, layer_weights.DepthwiseWeights(conv), 1, False, STREAM)
    ours, after = layers.depthwise_unit(x, layer_weights.DepthwiseWeights(conv, shift=3), 1, False, STREAM)
    assert torch.equal(ours, expected) and nothing == {} and after.keys() == state.keys() == {"stream_buffer"}
    assert torch.equal(after["stream_buffer"], state["stream_buffer"])
    assert torch.equal(after["stream_buffer"], x[:, :3, -1:])


@pytest.mark.parametrize("form", FORMS)
def test_any_chunking(form: Form) -> None:
    network = live(shifting(form))
    assert_any_chunking(network, frames(2, 6, 24, 20), [[1] * 6, [2, 1, 3], [4, 2]])
    _, state = network(frames(1, 5, 24, 20))
    with torch.no_grad():
        whole, _ = network(frames(1, 1, 24, 20), state)
        for name in state:
            if name.endswith("stream_buffer"):
                logits, _ = network(frames(1, 1, 24, 20), {**state, name: state[name] + 1})
                assert (logits - whole).abs().max() > 1e-5 * whole.abs().max(), f"nothing reads {name}"


@pytest.mark.parametrize("form", ALL_FORMS)
def test_the_frames_that_the_last_map_sees(form: Form) -> None:
    """By gradients, without squeeze-excitation, which sees whole clips."""
    architecture = shifting(form)
    blocks = tuple(
        dataclasses.replace(block, layers=tuple(dataclasses.replace(layer, squeeze=0) for layer in block.layers))
        for block in architecture.blocks
    )
    network = live(dataclasses.replace(architecture, blocks=blocks))
    clip = frames(1, 11, 24, 24).requires_grad_()
    maps = network.features(clip)
    last: Tensor = (maps[0] if form.causal else maps)["block1"]
    last[:, :, 5].square().sum().backward()
    assert clip.grad is not None
    seen = clip.grad.abs().amax((0, 1, 3, 4)).nonzero().flatten().tolist()
    assert seen == list(range(2, 6 if form.causal else 9))
    assert network.architecture.receptive_frames == len(seen)


@pytest.mark.parametrize("form", ALL_FORMS)
def test_costs(form: Form) -> None:
    """Multiply-accumulates and parameters are those without a shift; state is one frame of an eighth of channels."""
    architecture, clip = shifting(form), Clip(3, 30, 25)
    counted, plain = cost(architecture, clip), cost(shifting(form, "1x3x3"), clip)
    assert (counted.macs, counted.params, counted.frame_macs) == (plain.macs, plain.params, plain.frame_macs)
    network = live(architecture)
    with torch.no_grad(), networks.formulation("reference"), FlopCounterMode(display=False) as counter:
        network(frames(1, 3, 30, 25))
    assert counter.get_total_flops() == 2 * counted.macs
    assert sum(p.numel() for p in network.parameters()) == counted.params
    if form.causal:
        maps = 24 // 8 * 15 * 13 + 28 // 8 * 8 * 7 + 40 // 8 * 8 * 7  # at the size that goes into each kernel
        assert counted.state_bytes == plain.state_bytes + 4 * maps
        state = network.initial_state(1, 30, 25)
        assert sum(tensor.nbytes for tensor in state.values() if tensor.is_floating_point()) == counted.state_bytes
    else:
        assert counted.state_bytes == 0


@pytest.mark.parametrize("form", ALL_FORMS)
def test_fast_equals_reference_and_trains(form: Form) -> None:
    network = live(shifting(form)).double().train()
    results = []
    for name in ("fast", "reference"):
        network.zero_grad()
        with networks.formulation(name):
            logits = network.logits(frames(2, 4, 25, 24).double())
            logits.square().sum().backward()
        results.append([logits, *(p.grad.clone() for p in network.parameters() if p.grad is not None)])
    torch.testing.assert_close(results[0], results[1])
    assert len(results[0]) == 1 + len(list(network.parameters()))


def space(stream: bool) -> Space:
    found = read(SPACE)
    return found.streaming() if stream else found


@pytest.mark.parametrize("stream", [False, True])
def test_a_space_that_offers_a_shift(stream: bool) -> None:
    """Walked, written, read, tabulated: every network of it costs what it costs alone."""
    offered = space(stream)
    assert [str(kernel) for kernel in offered.kernels] == ["1x3x3", "tsm1x3x3", "3x3x3"]
    assert read(offered.to_yaml()) == offered and offered.networks() == 12 + 12**2
    rows = np.unique(offered.decisions.canonical(every(offered)), axis=0)
    assert len(rows) == offered.networks()
    tables = {quantity: tabulate(offered).of(quantity, rows) for quantity in counted_names()}
    keys = set()
    for i, row in enumerate(rows):
        architecture = offered.architecture(row)
        counted = cost(architecture)
        assert all(tables[quantity][i] == getattr(counted, quantity) for quantity in counted_names())
        assert (offered.choices(Architecture.from_json(architecture.to_json(), "again")) == row).all()
        keys.add(architecture.key())
    assert len(keys) == len(rows)


def test_the_nearest_network_without_shifts() -> None:
    """And of kernels that are closest to a shift: the plain one, not a longer one."""
    plain = read(SPACE.replace("tsm1x3x3", "1x5x5"))
    architecture = read(SPACE).architecture(np.array([0, 0, 1, 0, 0, 0, 0, 0, 0], dtype=np.int8))
    found = plain.nearest(architecture)
    assert found.changes == ["blocks/0/layers/0/kernel: tsm1x3x3 -> 1x3x3"]
    assert [str(position.layer.kernel) for position in architecture.layers()] == ["tsm1x3x3"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kernels", ["nested", "separate"])
def test_a_supernet_slices_it(stream: bool, kernels: str) -> None:
    """The network that comes out computes what the path does; all kernels side by side shift their own channels."""
    offered = space(stream)
    net = supernet.Supernet(offered, offered.classes, kernels=kernels)  # type: ignore[arg-type]  # refused if wrong
    clip = frames(4, 5, 24, 24)
    for row in offered.decisions.sample(np.random.default_rng(0), 4):
        architecture = offered.architecture(row)
        with torch.no_grad():
            statistics = recalibrate(net, architecture, [clip])
            path, alone = net(clip, architecture, statistics), extract(net, architecture, statistics).logits(clip)
        assert_close(alone, path)
    architecture = offered.architecture(np.array([0, 0, 1, 0, 0, 0, 0, 0, 0], dtype=np.int8))
    with torch.no_grad():
        both = net.weights(Path(architecture, frozenset({(0, 0, "kernel")}))).bottlenecks[0]
    assert [unit.shift for unit in both.depthwise] == [0, 24 // 8, 0]


def test_what_no_shift_fits() -> None:
    with pytest.raises(ValueError, match="layer expand of kernel tsm1x3x3 is 7; allowed: a whole number from 8 to"):
        Layer(Kernel(1, 3, 3, shift=True), 1, 7, 0)
    with pytest.raises(ValueError, match="stem kernel is tsm1x3x3; allowed: a spatial kernel, such as 1x3x3"):
        Stem(8, Kernel(1, 3, 3, shift=True))
    with pytest.raises(ValueError, match=r"space.yaml.stem.*'tsm1x3x3'.*a spatial kernel"):
        read(SPACE.replace("kernel: 1x3x3}", "kernel: tsm1x3x3}"))
    text = shifting(Form()).to_json().replace('"expand": 28', '"expand": 7')
    with pytest.raises(ValueError, match=r"arch.json.blocks\[0\].layers\[1\].*expand.*7.*from 8 to"):
        Architecture.from_json(text)
