"""Fused steps against the operations that they stand for, in turn: values, statistics, gradients."""

from __future__ import annotations

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

import searchspace
from networks import MoViNet, choices, formulations, joined, layers
from networks.activations import ACTIVATIONS
from networks.choices import TABLE, Choice, Shape, choose
from networks.formulations import formulation
from searchspace import STREAM, Architecture
from tests.networks.small_reference import small_reference
from tests.networks.util import clips, randomise_

SIZES = st.integers(1, 6)


def _normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype).requires_grad_()


def _map(shape: tuple[int, ...], last: bool, dtype: torch.dtype = torch.float64) -> Tensor:
    """A random map whose channels have means and correlations of their own."""
    base = _normal(*shape, dtype=dtype).detach() + 3.0 * _normal(1, *shape[1:2], 1, 1, 1, seed=1, dtype=dtype).detach()
    x = base + 2.0 * base.flip(1)
    return (formulations.channels_last(x) if last else x).requires_grad_()


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
        patch.setattr(joined, "PIECE", piece)
        y, mean, var = joined.pointwise_norm_act(x, weight, gamma, beta, 1e-3, activation)
        z = F.conv3d(x, weight[:, :, None, None, None])
        expected = ACTIVATIONS[activation](layers.batch_norm(z, layers.NormWeights(gamma, beta), True))
        torch.testing.assert_close(y, expected)
        torch.testing.assert_close(mean, z.mean((0, 2, 3, 4)))
        torch.testing.assert_close(var, z.var((0, 2, 3, 4), correction=0), atol=1e-9, rtol=1e-6)
        upstream = torch.cos(torch.arange(y.numel(), dtype=y.dtype)).view(y.shape)
        inputs = (x, weight, gamma, beta)
        for ours, theirs in zip(*(torch.autograd.grad(v, inputs, upstream) for v in (y, expected)), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-6 * max(1.0, float(theirs.abs().max())), rtol=1e-6)


@pytest.mark.parametrize("activation", ["swish", "hard_swish", "relu6"])
def test_pointwise_norm_act_has_the_gradient_of_its_values(activation: str) -> None:
    inputs = (_map((2, 3, 2, 3, 2), True), _normal(5, 3, seed=2), _normal(5, seed=3), _normal(5, seed=4))
    assert torch.autograd.gradcheck(lambda *v: joined.pointwise_norm_act(*v, 1e-3, activation)[0], inputs)


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
    y = joined.gated_pointwise(x, gate, weight)
    expected = F.conv3d(formulations.gated(x, gate), weight[:, :, None, None, None])
    torch.testing.assert_close(y, expected)
    upstream = torch.cos(torch.arange(y.numel(), dtype=y.dtype)).view(y.shape)
    inputs = (x, gate, weight)
    for ours, theirs in zip(*(torch.autograd.grad(v, inputs, upstream) for v in (y, expected)), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_gated_pointwise_has_the_gradient_of_its_values() -> None:
    inputs = (_map((2, 3, 2, 3, 2), True), _normal(2, 3, seed=2), _normal(4, 3, seed=3))
    assert torch.autograd.gradcheck(joined.gated_pointwise, inputs)


# Whole networks, every formulation of the table in turn


@pytest.fixture(params=["as chosen", "first", "last"])
def chosen(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The choices of the table; or of the rows that are free to be taken anywhere, always the first, or the last."""
    free = {"pointwise", "pointwise, BatchNorm, activation", "gated pointwise"}
    rows: dict[str, tuple[Choice, ...]] = dict(choices._ROWS)
    for operation in free if request.param != "as chosen" else ():
        first, *_, last = rows[operation]
        wide = operation == "pointwise, BatchNorm, activation"  # whose first row is for float32 only
        always = dataclasses.replace(first, applies=lambda s, wide=wide: s.bytes >= 4 or not wide)
        rows[operation] = (always, last) if request.param == "first" else (last,)
    monkeypatch.setattr(choices, "_ROWS", rows)
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
def test_formulations_agree(architecture: Architecture, chosen: str) -> None:
    """In double precision to rounding: whatever differs in a lower one is rounding too."""
    fast, reference = (_step(architecture, how, torch.float64, False) for how in ("fast", "reference"))
    assert fast.keys() == reference.keys()
    for name, expected in reference.items():
        scale = float(expected.abs().max())
        torch.testing.assert_close(fast[name], expected, atol=1e-8 * max(scale, 1e-3), rtol=1e-6, msg=name)


@pytest.mark.parametrize("architecture", FORMS)
def test_formulations_agree_in_float32(architecture: Architecture, chosen: str) -> None:
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


# The table


def test_every_operation_has_a_last_row_that_always_applies() -> None:
    for operation in {row.operation for row in TABLE}:
        rows = [row for row in TABLE if row.operation == operation]
        assert [row.when == "otherwise" for row in rows] == [False] * (len(rows) - 1) + [True]
        assert len({row.formulation for row in rows}) == len(rows)
        assert all(row.reason and row.measured for row in rows)


def test_the_first_row_that_applies_is_taken() -> None:
    assert choose("gated pointwise", Shape(clips=2, frames=8, height=32, width=32, groups=2)) == "weights"
    assert choose("gated pointwise", Shape(clips=2, frames=8, height=4, width=4, groups=2)) == "map"
    assert choose("depthwise weight gradient", Shape(frames=8, height=8, width=8, taps=(5, 3, 3))) == "by rows"
    assert choose("depthwise weight gradient", Shape(frames=8, height=8, width=8, taps=(5, 3, 3), bytes=2)) == "by rows"
    assert choose("depthwise input gradient", Shape(taps=(1, 5, 5), stride=2)) == "2-D library"
    assert choose("depthwise input gradient", Shape(taps=(1, 5, 5), stride=2, bytes=2)) == "spread"
