"""Activation checkpointing: a layer keeps its input only and is computed again in the backward pass.

Costs a second forward pass, saves nearly all memory of what lies inside the layers (arXiv 1604.06174). The second time
has the random numbers (dropout, stochastic depth), the precision and the formulation of the first, and does not move
the moving statistics of BatchNorm again.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from torch.utils.checkpoint import checkpoint

from networks.kernels import current, formulation

Result = TypeVar("Result")
_local = threading.local()


def checkpointed(layer: Callable[..., Result], *arguments: Any) -> Result:
    """Calls a layer that is to be computed again; the same values and gradients as `layer(*arguments)`."""
    name = current()

    def contexts() -> tuple[contextlib.AbstractContextManager[None], contextlib.AbstractContextManager[None]]:
        return contextlib.nullcontext(), _again(name)

    result: Result = checkpoint(layer, *arguments, use_reentrant=False, context_fn=contexts)
    return result


def is_repeated() -> bool:
    """Whether the backward pass is computing a layer again: what a layer does to the outside it has done already."""
    return getattr(_local, "again", False)


@contextlib.contextmanager
def _again(name: str) -> Iterator[None]:
    _local.again = True
    try:
        with formulation(name):
            yield
    finally:
        _local.again = False
