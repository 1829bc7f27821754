"""Optimisers against cases worked out by hand."""

import math

import pytest
import torch

from training.names import OPTIMIZERS
from training.steps.optimizers import RMSProp, build
from training.steps.rate_schedule import learning_rate


def two_steps(initial_square: float) -> list[float]:
    weight = torch.tensor([1.0], dtype=torch.float64, requires_grad=True)
    optimizer = RMSProp([weight], lr=0.5, decay=0.9, momentum=0.9, epsilon=1.0, initial_square=initial_square)
    seen = []
    for gradient in (2.0, -1.0):
        weight.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
        seen.append(weight.item())
    return seen


def test_rmsprop_from_one_as_tunas():
    # square: .9 + .1*4 = 1.3; step: .5*2/sqrt(2.3). Then square: 1.17 + .1 = 1.27; step: .9*step - .5/sqrt(2.27).
    first = 1.0 / math.sqrt(2.3)
    second = 0.9 * first - 0.5 / math.sqrt(2.27)
    assert two_steps(1.0) == pytest.approx([1 - first, 1 - first - second], abs=1e-15)


def test_rmsprop_from_zero_as_the_movinet_recipes():
    # square: .1*4 = .4; step: 1/sqrt(1.4). Then square: .36 + .1 = .46; step: .9*step - .5/sqrt(1.46).
    first = 1.0 / math.sqrt(1.4)
    second = 0.9 * first - 0.5 / math.sqrt(1.46)
    assert two_steps(0.0) == pytest.approx([1 - first, 1 - first - second], abs=1e-15)


def test_a_changed_rate_does_not_rescale_past_steps():
    weight = torch.tensor([0.0], dtype=torch.float64, requires_grad=True)
    optimizer = RMSProp([weight], lr=1.0, initial_square=0.0)
    weight.grad = torch.tensor([1.0], dtype=torch.float64)
    optimizer.step()
    moved = -weight.item()
    optimizer.param_groups[0]["lr"] = 0.0
    weight.grad = torch.zeros(1, dtype=torch.float64)
    optimizer.step()
    assert -weight.item() == pytest.approx(1.9 * moved)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimiser_goes_downhill_and_applies_no_decay(name):
    weight = torch.tensor([3.0, -2.0], requires_grad=True)
    idle = torch.ones(2, requires_grad=True)
    idle.grad = torch.zeros(2)
    optimizer = build(name, [weight, idle], 0.05)
    for _ in range(200):
        optimizer.zero_grad(set_to_none=False)
        (weight**2).sum().backward()
        optimizer.step()
    assert weight.abs().max() < 0.2
    assert torch.equal(idle.detach(), torch.ones(2))


def test_an_unknown_optimiser_names_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'adamw'"):
        build("adam", [torch.zeros(1, requires_grad=True)], 0.1)


def test_the_rate_of_the_published_recipe():
    # Kinetics-600: peak 1.8, 85,785 steps, 2,145 of warm-up; the cosine is at 1.797 where the warm-up hands over.
    rates = [learning_rate(step, 85_785, 1.8, 2_145) for step in (0, 2_144, 2_145, 85_784)]
    assert rates[0] == pytest.approx(1.8 / 2_145)
    assert rates[1] == pytest.approx(1.8)
    assert rates[2] == pytest.approx(1.797, abs=5e-4)
    assert rates[3] < 1e-8


def test_the_floor_is_where_the_cosine_ends():
    assert learning_rate(999_999, 1_000_000, 0.1, 0, 0.15) == pytest.approx(0.015)
