"""Kernels of several steps against the operations that they stand for, in turn: values, statistics, gradients."""

from __future__ import annotations

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

import searchspace
from networks import MoViNet, kernels, layer_weights, layers
from networks.kernels import ACTIVATIONS, formulation, pointwise_kernels
from networks.kernels.ops import GATED_POINTWISE, POINTWISE
from networks.layers import POINTWISE_NORM_ACT
from searchspace import STREAM, Architecture
from tests.networks.live_networks import clips, randomise_
from tests.networks.small_reference import small_reference

SIZES = st.integers(1, 6)


def _normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype).requires_grad_()


def _map(shape: tuple[int, ...], last: bool, dtype: torch.dtype = torch.float64) -> Tensor:
    """A random map whose channels have means and correlations of their own."""
    base = _normal(*shape, dtype=dtype).detach() + 3.0 * _normal(1, *shape[1:2], 1, 1, 1, seed=1, dtype=dtype).detach()
    x = base + 2.0 * base.flip(1)
    return (kernels.channels_last(x) if last else x).requires_grad_()


@given(
    st.tuples(st.integers(1, 3), st.integers(1, 6), SIZES, SIZES, SIZES),
    st.integers(1, 9),
    st.sampled_from(sorted(ACTIVATIONS)),
    st.booleans(),
    st.sampled_from([1, 1 << 8, 1 << 20]),
)
def test_pointwise_norm_act_is_the_three_in_turn(
    shape: tuple[int, ...], outputs: int, activation: str, last: bool, piece: int
) -> None:
    assume(shape[0] * shape[2] * shape[3] * shape[4] > 1)
    x = _map(shape, last)
    weight, gamma, beta = _normal(outputs, shape[1], seed=2), _normal(outputs, seed=3), _normal(outputs, seed=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pointwise_kernels, "WIDE_MAP_BYTES", piece)
        y, mean, var = pointwise_kernels.pointwise_norm_act(x, weight, gamma, beta, 1e-3, ACTIVATIONS[activation])
        z = F.conv3d(x, weight[:, :, None, None, None])
        expected = ACTIVATIONS[activation].apply(layers.batch_norm(z, layer_weights.NormWeights(gamma, beta), True))
        torch.testing.assert_close(y, expected)
        torch.testing.assert_close(mean, z.mean((0, 2, 3, 4)))
        torch.testing.assert_close(var, z.var((0, 2, 3, 4), correction=0), atol=1e-9, rtol=1e-6)
        upstream = torch.cos(torch.arange(y.numel(), dtype=y.dtype)).view(y.shape)
        inputs = (x, weight, gamma, beta)
        for ours, theirs in zip(*(torch.autograd.grad(v, inputs, upstream) for v in (y, expected)), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-6 * max(1.0, float(theirs.abs().max())), rtol=1e-6)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_pointwise_norm_act_has_the_gradient_of_its_values(activation: str) -> None:
    inputs = (_map((2, 3, 2, 3, 2), True), _normal(5, 3, seed=2), _normal(5, seed=3), _normal(5, seed=4))
    row = ACTIVATIONS[activation]
    assert torch.autograd.gradcheck(lambda *v: pointwise_kernels.pointwise_norm_act(*v, 1e-3, row)[0], inputs)


@given(
    st.tuples(st.integers(1, 3), st.integers(1, 6), SIZES, SIZES, SIZES),
    st.integers(1, 9),
    st.booleans(),
    st.booleans(),
)
def test_gated_pointwise_is_a_convolution_of_the_gated_map(
    shape: tuple[int, ...], outputs: int, frames: bool, last: bool
) -> None:
    x, weight = _map(shape, last), _normal(outputs, shape[1], seed=2)
    gate = _normal(*(shape[0], shape[2]) if frames else shape[:1], shape[1], seed=3)
    y = pointwise_kernels.gated_pointwise(x, gate, weight)
    expected = F.conv3d(kernels.gated(x, gate), weight[:, :, None, None, None])
    torch.testing.assert_close(y, expected)
    upstream = torch.cos(torch.arange(y.numel(), dtype=y.dtype)).view(y.shape)
    inputs = (x, gate, weight)
    for ours, theirs in zip(*(torch.autograd.grad(v, inputs, upstream) for v in (y, expected)), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_gated_pointwise_has_the_gradient_of_its_values() -> None:
    inputs = (_map((2, 3, 2, 3, 2), True), _normal(2, 3, seed=2), _normal(4, 3, seed=3))
    assert torch.autograd.gradcheck(pointwise_kernels.gated_pointwise, inputs)


# Whole networks, every kernel that may be taken anywhere in turn


@pytest.fixture(params=["as chosen", "first", "last"])
def chosen(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The dispatch as it is; or of the operations whose kernels serve any shape always the first, or the last."""
    for operation in (POINTWISE, GATED_POINTWISE, POINTWISE_NORM_ACT) if request.param != "as chosen" else ():
        first, *_, last = operation.kernels
        wide = operation is POINTWISE_NORM_ACT  # whose first kernel is for float32 only
        always = dataclasses.replace(first, when=lambda s, wide=wide: s.bytes >= 4 or not wide)
        monkeypatch.setattr(operation, "kernels", (always, last) if request.param == "first" else (last,))
    return str(request.param)


FORMS = [
    pytest.param(small_reference(dataclasses.replace(STREAM, causal=False)), id="2plus1d"),
    pytest.param(small_reference(), id="stream"),
    pytest.param(searchspace.published("a0", stream=False), id="a0"),
]


def _step(architecture: Architecture, how: str, dtype: torch.dtype, autocast: bool) -> dict[str, Tensor]:
    """Logits, gradients and moving statistics of one training step."""
    plain = dataclasses.replace(architecture, classes=5, dropout=0.0, drop_path=0.0)
    network = MoViNet(plain, torch.Generator().manual_seed(0)).train()
    randomise_(network)
    network.to(dtype)  # only now: other precisions draw other numbers
    with formulation(how), torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        logits = network.logits(clips(4, 3, 32).to(dtype)).to(dtype)
    F.cross_entropy(logits, torch.arange(4)).backward()
    result = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    return {"logits": logits.detach(), **result, **dict(network.named_buffers())}


@pytest.mark.parametrize("architecture", FORMS)
def test_kernels_agree(architecture: Architecture, chosen: str) -> None:
    """In double precision to rounding: whatever differs in a lower one is rounding too."""
    fast, reference = (_step(architecture, how, torch.float64, False) for how in ("fast", "reference"))
    assert fast.keys() == reference.keys()
    for name, expected in reference.items():
        scale = float(expected.abs().max())
        torch.testing.assert_close(fast[name], expected, atol=1e-8 * max(scale, 1e-3), rtol=1e-6, msg=name)


@pytest.mark.parametrize("architecture", FORMS)
def test_kernels_agree_in_float32(architecture: Architecture, chosen: str) -> None:
    fast, reference = (_step(architecture, how, torch.float32, False) for how in ("fast", "reference"))
    scale = float(reference["logits"].abs().max())
    torch.testing.assert_close(fast["logits"], reference["logits"], atol=1e-5 * scale, rtol=1e-5)


@pytest.mark.parametrize("architecture", FORMS)
def test_bfloat16_is_as_near_as_the_library(architecture: Architecture, chosen: str) -> None:
    """Distances to float64, relative to the largest value: ours under autocast at most 1.5 times the library's.

    Gradients count as one vector. Bounds for users: benchmarks/README.md.
    """
    exact = _step(architecture, "reference", torch.float64, False)
    fast, library = (_step(architecture, how, torch.float32, True) for how in ("fast", "reference"))

    def distance(run: dict[str, Tensor], names: list[str]) -> float:
        ours, theirs = (torch.cat([v[name].double().flatten() for name in names]) for v in (run, exact))
        return float((ours - theirs).norm() / theirs.norm())

    gradients = [name for name in exact if name != "logits" and "running" not in name]
    for names in (["logits"], gradients):
        assert distance(fast, names) <= 1.5 * distance(library, names) + 1e-3
    for name, value in fast.items():
        assert value.dtype == torch.float32, name
        assert bool(value.isfinite().all()), name
