"""Retrainings: settings, weights to start from, one network's training, cross-validation; `retrain` runs one.

It is imported on first use, so that settings cost no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.retrain.run_retrain import retrain

__all__ = ["retrain"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'training.retrain' has no attribute {name!r}")
    return getattr(import_module("training.retrain.run_retrain"), name)
