"""When training goes wrong: which layer was the first, and what to do about it."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch
from torch import Tensor, nn

import video
from training.steps.trainer import Outcome, Trainer

IN_A_ROW = 5
"""Steps that may be skipped one after another before training stops."""

IN_A_ROW_FLOAT16 = 20
"""The same with float16, whose scale halves at every one of them."""


class NotFinite(ValueError):
    """Training stopped, since loss or gradients were not finite in several steps in a row.

    Attributes:
        layers: what the last of these steps looked like, for a file: one record a layer.
    """

    def __init__(self, message: str, layers: list[dict[str, Any]]) -> None:
        super().__init__(message)
        self.layers = layers


@dataclasses.dataclass
class Watch:
    """Stops a training whose steps are skipped one after another; called after every step."""

    trainer: Trainer

    def __call__(self, outcome: Outcome, clips: Tensor) -> None:
        """Raises `NotFinite` with a diagnosis on these clips; skipped steps have left the weights as they were."""
        trainer = self.trainer
        most = IN_A_ROW_FLOAT16 if trainer.recipe.compute.precision == "float16" else IN_A_ROW
        if not outcome.skipped or trainer.in_a_row < most:
            return
        layers = diagnose(trainer, clips)
        first = next((layer for layer in layers if layer["output"] is None), None)
        where = f"the first layer whose output is not finite is {first['layer']}" if first else _largest(layers)
        what = "loss" if not math.isfinite(outcome.loss) else "gradient"
        raise NotFinite(
            f"the {what} was not finite in {most} steps in a row, up to step {trainer.done}; {where}; "
            f"lower optimizer.lr (it is {trainer.recipe.optimizer.lr:g}), warm up for longer, or "
            "clip gradients with optimizer.clip_all=5",
            layers,
        )


@torch.no_grad()
def diagnose(trainer: Trainer, clips: Tensor) -> list[dict[str, Any]]:
    """Runs clips as training does, and tells of each bottleneck what is largest in it.

    Args:
        trainer: its network; BatchNorm's statistics are put back.
        clips: uint8 [N, 3, T, H, W].

    Returns:
        A record a layer: `layer`, its largest absolute `weight`, `gradient` and `output`, and the residual `scale`;
        None where a value is not finite.
    """
    network = trainer.network
    kept = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    outputs: dict[str, float | None] = {}
    handles = []
    names = set(network.layer_names())
    for name, module in network.named_modules():
        if name in names:
            handles.append(module.register_forward_hook(_keep(outputs, name)))
    network.train()
    network.compute(video.to_float(clips.to(trainer.device)))
    for handle in handles:
        handle.remove()
    network.load_state_dict(kept)
    records = []
    for name, largest in outputs.items():
        layer = network.get_submodule(name)
        gradients = [p.grad for p in layer.parameters() if p.grad is not None]
        records.append(
            {
                "layer": name,
                "weight": _most(list(layer.parameters())),
                "gradient": _most(gradients),
                "output": largest,
                "scale": next((_finite(float(p)) for own, p in layer.named_parameters() if own == "scale"), None),
            }
        )
    return records


def _keep(outputs: dict[str, float | None], name: str) -> Any:
    def hook(_: nn.Module, __: object, result: Tensor | tuple[Tensor, object]) -> None:
        outputs[name] = _most([result if isinstance(result, Tensor) else result[0]])

    return hook


def _most(tensors: list[Tensor] | list[nn.Parameter]) -> float | None:
    if not tensors:
        return 0.0
    return _finite(float(torch.stack([tensor.detach().abs().max().float() for tensor in tensors]).max()))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _largest(layers: list[dict[str, Any]]) -> str:
    most = max(layers, key=lambda layer: layer["output"])
    return f"all layers' outputs are finite, the largest ({most['output']:.3g}) that of {most['layer']}"
