"""One row an activation: all forms of it compute the same, and the names are those that an architecture may have."""

from __future__ import annotations

import pytest
import torch

from networks.kernels import ACTIVATIONS, GATES
from searchspace.form import WORDS

X = torch.linspace(-8.0, 8.0, 401)


def test_the_names_are_those_of_the_search_space() -> None:
    assert tuple(ACTIVATIONS) == WORDS["activation"] == WORDS["dense_activation"]
    assert tuple(GATES) == WORDS["gate"]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_form_of_an_activation(name: str) -> None:
    row, x = ACTIVATIONS[name], X.clone().requires_grad_()
    expected = row.apply(x)
    (slope,) = torch.autograd.grad(expected.sum(), x)
    written, gradient, place = torch.empty_like(X), torch.empty_like(X), X.clone()
    row.into(X, written)
    row.gradient(torch.ones_like(X), X, gradient)
    assert row.in_place(place) is place
    for one in (written, place):
        torch.testing.assert_close(one, expected.detach())
    torch.testing.assert_close(gradient, slope)


def test_the_formulas() -> None:
    sixth = (X + 3).clamp(0, 6) / 6
    expected = {"swish": X / (1 + torch.exp(-X)), "hard_swish": X * sixth, "relu6": X.clamp(0, 6)}
    gates = {
        "sigmoid": 1 / (1 + torch.exp(-X)),
        "hard_sigmoid": sixth,
        "hard_sigmoid_2021": (0.2 * X + 0.5).clamp(0, 1),
    }
    for name, row in ACTIVATIONS.items():
        torch.testing.assert_close(row.apply(X), expected[name], atol=1e-5, rtol=1e-5)
    for name, gate in GATES.items():
        torch.testing.assert_close(gate.apply(X), gates[name], atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("name", [name for name, gate in GATES.items() if gate.clamp is not None])
def test_a_hard_gate_is_its_clamp(name: str) -> None:
    clamp = GATES[name].clamp
    assert clamp is not None
    factor, summand, bound = clamp
    torch.testing.assert_close(GATES[name].apply(X), (factor * X + summand).clamp(0.0, bound))
