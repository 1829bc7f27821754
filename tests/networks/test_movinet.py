"""The stand-alone network: sizes, costs, formulations, training behaviour."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import networks
import searchspace
from searchspace import Clip
from tests.networks.live_networks import clips, on_meta, randomise_, small

# Counts of the reference implementation (600 classes): trainable, and with BatchNorm statistics.
COUNTS = {
    "a0": (3_111_799, 3_126_071),
    "a1": (4_690_296, 4_717_912),
    "a2": (5_249_562, 5_280_922),
    "a3": (7_397_545, 7_443_289),
    "a4": (11_349_463, 11_422_727),
    "a5": (18_650_523, 18_763_355),
    "t0": (1_727_414, 1_740_502),
}


def test_published_networks_have_the_reference_counts() -> None:
    assert set(networks.list()) == {*COUNTS, "a6"}
    for name, (trainable, total) in COUNTS.items():
        network = on_meta(searchspace.published(name))
        assert sum(p.numel() for p in network.parameters()) == trainable
        assert sum(p.numel() for p in network.state_dict().values()) == total


@pytest.mark.parametrize("seed", range(6))
def test_costs_are_those_that_torch_counts(seed: int) -> None:
    space = searchspace.load("movinet")
    architecture = space.architecture(space.decisions.sample(np.random.default_rng(seed), 1)[0])
    clip = Clip(6, 50, 44)
    expected = searchspace.cost(architecture, clip)
    network = on_meta(architecture)
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 3, clip.frames, clip.height, clip.width, device="meta"))
    assert counter.get_total_flops() == 2 * expected.macs
    assert sum(p.numel() for p in network.parameters()) == expected.params


@pytest.mark.parametrize("size", [24, 33, 7, 1])
def test_fast_equals_reference(size: int) -> None:
    results = {}
    for name in ("fast", "reference"):
        network = networks.create(small())
        network.load_state_dict(_state())
        for module in network.modules():
            if hasattr(module, "drop_path"):
                module.drop_path = 0.0
        network.architecture = dataclasses.replace(network.architecture, dropout=0.0)
        with networks.formulation(name):
            evaluated = network.eval()(clips(3, 5, size))
            # batch statistics over few values are ill-conditioned: double precision
            trained = network.double().train()(clips(3, 5, size).double())
            trained.square().sum().backward()
        gradients = {key: p.grad for key, p in network.named_parameters()}
        assert all(gradient is not None for gradient in gradients.values())
        results[name] = (evaluated, trained, gradients, dict(network.named_buffers()))
    for fast, reference in zip(results["fast"], results["reference"], strict=True):
        torch.testing.assert_close(fast, reference, atol=1e-5, rtol=1e-5)


def _state() -> dict[str, torch.Tensor]:
    network = networks.MoViNet(small(), torch.Generator().manual_seed(3))
    randomise_(network)
    return network.state_dict()


def test_a_clip_does_not_see_its_batch() -> None:
    network = networks.create(small()).eval()
    randomise_(network)
    batch = clips(4, 4, 24)
    with torch.no_grad():
        alone = torch.cat([network(clip[None]) for clip in batch])
        torch.testing.assert_close(network(batch), alone, atol=1e-5, rtol=1e-5)


def test_frames_order_matters() -> None:
    network = networks.MoViNet(small(), torch.Generator().manual_seed(0)).eval()
    randomise_(network)
    batch = clips(2, 4, 24)
    with torch.no_grad():
        forwards, backwards = network(batch), network(batch.flip(2))
    assert (forwards - backwards).abs().max() > 1e-3 * forwards.abs().max()


def test_feature_maps_have_the_documented_shapes() -> None:
    """A0 on 8 x 128 x 128, as the reference documents it."""
    network = on_meta(searchspace.published("a0"))
    clip = torch.empty(1, 3, 8, 128, 128, device="meta")
    assert network(clip).shape == (1, 600)
    assert {name: tuple(x.shape) for name, x in network.features(clip).items()} == {
        "stem": (1, 8, 8, 64, 64),
        "block0": (1, 8, 8, 32, 32),
        "block1": (1, 32, 8, 16, 16),
        "block2": (1, 56, 8, 8, 8),
        "block3": (1, 56, 8, 8, 8),
        "block4": (1, 104, 8, 4, 4),
    }


def test_fresh_weights_follow_the_reference() -> None:
    """He-normal on fan-in, cut off at two standard deviations; zero scalars and biases; classifier N(0, 0.01)."""
    network = networks.MoViNet(searchspace.published("a0"), torch.Generator().manual_seed(0))
    for name, parameter in network.named_parameters():
        p = parameter.detach()
        if name.endswith("scale") or name.endswith("bias"):
            assert (p == 0).all(), name
        elif p.dim() == 1:
            assert (p == 1).all(), name
        elif p.numel() > 10_000:
            expected = 0.01 if name == "classifier.weight" else float(np.sqrt(2 / np.prod(p.shape[1:])))
            assert float(p.std()) == pytest.approx(expected, rel=0.03), name
            bound = 6 if name == "classifier.weight" else 2 / 0.8796 + 1e-3
            assert float(p.abs().max()) < bound * expected, name


def test_drop_path_grows_linearly_and_keeps_the_mean() -> None:
    network = networks.create(small())
    rates = [layer.drop_path for block in network.blocks for layer in block.layers]
    assert rates == pytest.approx([0.2 * (i + 1) / 6 for i in range(6)])
    drop = networks.layers.branch_dropper(0.25)
    torch.manual_seed(0)
    y = drop(torch.ones(4000, 1, 1, 1, 2))
    assert y.unique().tolist() == [0.0, pytest.approx(4 / 3)]
    assert (y[..., 0] == y[..., 1]).all()  # a clip is dropped as a whole
    assert float(y.mean()) == pytest.approx(1.0, abs=0.03)


def test_moving_statistics_have_keras_momentum() -> None:
    network = networks.create(small())
    x = clips(2, 4, 24)
    with torch.no_grad(), networks.formulation("reference"):
        before = network.stem.norm.running_mean.clone()
        network(x)
        padded = torch.nn.functional.pad(x, (0, 1, 0, 1))
        mean = torch.nn.functional.conv3d(padded, network.stem.weight, stride=(1, 2, 2)).mean((0, 2, 3, 4))
    torch.testing.assert_close(network.stem.norm.running_mean, 0.99 * before + 0.01 * mean)
