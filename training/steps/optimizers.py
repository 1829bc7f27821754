"""Optimisers by name, and the RMSProp that the authors' recipes mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from searchspace.schema import nearest
from training.names import OPTIMIZERS


class RMSProp(Optimizer):
    """RMSProp as TensorFlow computes it.

    square <- decay * square + (1 - decay) * g^2;  step <- momentum * step + lr * g / sqrt(square + epsilon);
    w <- w - step. torch's own adds epsilon outside the root, multiplies by the rate after the momentum, and starts the
    square at 0.

    Args:
        parameters: to optimise.
        lr: rate.
        decay: of the square average.
        momentum: of the step.
        epsilon: inside the root.
        initial_square: what the square average starts from: 1 for TuNAS (TensorFlow 1), 0 for the MoViNet recipes
            (Keras).
    """

    def __init__(
        self,
        parameters: Iterable[Any],
        lr: float,
        decay: float = 0.9,
        momentum: float = 0.9,
        epsilon: float = 1.0,
        initial_square: float = 1.0,
    ) -> None:
        super().__init__(
            parameters,
            {
                "lr": lr,
                "decay": decay,
                "momentum": momentum,
                "epsilon": epsilon,
                "initial_square": initial_square,
            },
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights: list[Tensor] = [p for p in group["params"] if p.grad is not None]
            if not weights:
                continue
            gradients = [p.grad for p in weights if p.grad is not None]
            for p in weights:
                if not self.state[p]:
                    self.state[p]["square"] = torch.full_like(p, group["initial_square"])
                    self.state[p]["step"] = torch.zeros_like(p)
            squares = [self.state[p]["square"] for p in weights]
            steps = [self.state[p]["step"] for p in weights]
            torch._foreach_mul_(squares, group["decay"])
            torch._foreach_addcmul_(squares, gradients, gradients, value=1 - group["decay"])
            roots = torch._foreach_add(squares, group["epsilon"])
            torch._foreach_sqrt_(roots)
            torch._foreach_mul_(steps, group["momentum"])
            torch._foreach_addcdiv_(steps, gradients, roots, value=group["lr"])
            torch._foreach_sub_(weights, steps)
        return loss


def state_of(optimizer: Optimizer, parameter: Tensor) -> dict[str, Tensor]:
    """What an optimiser of `build` keeps of a parameter once it has moved it: tensors of that shape and type."""
    with torch.device("meta"):
        like, count = torch.empty_like(parameter, device="meta"), torch.empty((), dtype=torch.float32)
    if isinstance(optimizer, torch.optim.SGD):
        return {"momentum_buffer": like} if optimizer.defaults["momentum"] else {}
    if isinstance(optimizer, torch.optim.AdamW):
        return {"step": count, "exp_avg": like, "exp_avg_sq": like}
    assert isinstance(optimizer, RMSProp)
    return {"square": like, "step": like}


def build(name: str, parameters: Iterable[Any], lr: float, **options: Any) -> Optimizer:
    """An optimiser by name; weight decay is the caller's business, unless groups of parameters bring their own.

    Args:
        name: `sgd` (Nesterov momentum 0.9), `adamw` (betas 0.9, 0.999) or `rmsprop` (see `RMSProp`).
        parameters: to optimise, tensors or torch's groups of them.
        lr: rate.
        options: of the optimiser, such as `initial_square=0.0`.

    Raises:
        ValueError: an unknown name.
    """
    weights = list(parameters)
    if name == "sgd":
        options = {"momentum": 0.9, "fused": True, **options}
        return torch.optim.SGD(weights, lr, nesterov=options["momentum"] > 0, **options)
    if name == "adamw":
        return torch.optim.AdamW(weights, lr, **{"weight_decay": 0.0, "fused": True, **options})
    if name == "rmsprop":
        return RMSProp(weights, lr, **options)
    raise ValueError(f"optimizer {name!r} is not known{nearest(name, OPTIMIZERS)}; allowed: {', '.join(OPTIMIZERS)}")
