"""Layers that are computed again give the same gradients, statistics and random numbers."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from torch import Tensor

from networks import MoViNet, formulation, layers
from searchspace import STREAM
from tests.networks.live_networks import clips, randomise_
from tests.networks.small_reference import small_reference


def _step(network: MoViNet, checkpointing: bool, how: str, autocast: bool) -> dict[str, Tensor]:
    network = copy.deepcopy(network)
    network.checkpointing = checkpointing
    torch.manual_seed(0)
    with formulation(how), torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        logits = network.logits(clips(3, 4, 32))
    logits.float().square().sum().backward()
    gradients = {f"{name} gradient": p.grad for name, p in network.named_parameters() if p.grad is not None}
    return {"logits": logits.detach(), **gradients, **dict(network.named_buffers())}


# Not the library in bfloat16: its gradient of a depthwise temporal kernel is not the same twice (torch 2.13).
@pytest.mark.parametrize(("how", "autocast"), [("fast", False), ("fast", True), ("reference", False)])
@pytest.mark.parametrize("causal", [False, True])
def test_a_step_is_the_same_bit_for_bit(how: str, autocast: bool, causal: bool) -> None:
    """Dropout and stochastic depth included; backward happens outside of `autocast` and `formulation`."""
    architecture = small_reference(None if causal else dataclasses.replace(STREAM, causal=False))
    network = MoViNet(dataclasses.replace(architecture, dropout=0.3, drop_path=0.5)).train()
    randomise_(network)
    plain, again = (_step(network, checkpointing, how, autocast) for checkpointing in (False, True))
    assert plain.keys() == again.keys()
    before = dict(network.named_buffers())
    for name, expected in plain.items():
        assert torch.equal(again[name], expected), name
    assert not any(torch.equal(plain[name], before[name]) for name in before if name.endswith("running_mean"))


def test_layers_run_twice_in_training_and_once_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    network, count = MoViNet(small_reference()), 0
    original = layers.squeeze_gate

    def counted(*arguments: object) -> object:
        nonlocal count
        count += 1
        return original(*arguments)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(layers, "squeeze_gate", counted)
    network.checkpointing = True
    network.train().logits(clips(2, 2, 32)).sum().backward()
    bottlenecks = len(network.bottlenecks())
    assert count == 2 * bottlenecks
    with torch.no_grad():
        network.logits(clips(2, 2, 32))
    assert count == 3 * bottlenecks
