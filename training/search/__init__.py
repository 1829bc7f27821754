"""Searches: settings and recipes, the shared weights' steps, re-scoring, results; `search` runs one.

It is imported on first use, so that settings cost no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.search.run_search import search

__all__ = ["search"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'training.search' has no attribute {name!r}")
    return getattr(import_module("training.search.run_search"), name)
