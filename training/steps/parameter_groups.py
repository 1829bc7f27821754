"""Kinds of parameters, which recipes treat differently, and the moving average of them."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from networks import Network


def kind(name: str, parameter: Tensor) -> str:
    """One of `training.recipe.GROUPS`: what a parameter of a network is, by its name there and its axes.

    Kernels are the weights of all convolutions and linear layers but the last one, which is the classifier.
    """
    if name.startswith("classifier."):
        return "classifier" if parameter.dim() > 1 else "biases"
    if parameter.dim() == 0:
        return "scalars"
    if ".norm." in f".{name}":
        return "norms"
    return "kernels" if parameter.dim() > 1 else "biases"


def of_kinds(network: nn.Module, kinds: tuple[str, ...]) -> list[nn.Parameter]:
    """Parameters of these kinds, in the order of the network."""
    return [p for name, p in network.named_parameters() if kind(name, p) in kinds]


class Average:
    """Exponential moving average of a network: of its weights and of BatchNorm's statistics.

    The decay grows to its value, as min(decay, (1 + n) / (10 + n)) after n updates (TensorFlow's
    ExponentialMovingAverage), so that the beginning is forgotten.

    Args:
        network: copied; the copy is in evaluation mode.
        decay: in [0, 1).

    Attributes:
        network: the average.
    """

    def __init__(self, network: Network, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self._decay = decay
        self._ours = [t for t in self.network.state_dict().values() if t.is_floating_point()]
        self._theirs = [t for t in network.state_dict().values() if t.is_floating_point()]

    @torch.no_grad()
    def update(self, updates: int) -> None:
        """Moves towards the network as it is now, after so many updates before."""
        decay = min(self._decay, (1 + updates) / (10 + updates))
        torch._foreach_lerp_(self._ours, self._theirs, 1.0 - decay)
