"""A row of the table of formulations names code that there is."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import networks
from networks import choices, formulations
from networks.choices import TABLE
from networks.depthwise import depthwise
from tests.networks.test_movinet import small


def _depthwise(of_weight: bool = False) -> Tensor:
    x, weight = torch.ones(1, 2, 3, 8, 8), torch.ones(2, 1, 3, 3, 3)
    return depthwise(x.requires_grad_(not of_weight), weight.requires_grad_(of_weight))


def _frame() -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fresh weights
        stream = networks.Stream(networks.create(small().streaming()).eval().fuse())
    return stream.push(torch.zeros(3, 16, 16))


OPERATIONS: dict[str, Callable[[], object]] = {
    "pointwise": lambda: formulations.pointwise(torch.ones(1, 2, 1, 2, 2), torch.ones(3, 2)),
    "gated pointwise": lambda: formulations.pointwise(torch.ones(1, 2, 1, 2, 2), torch.ones(3, 2), torch.ones(1, 2)),
    "pointwise, BatchNorm, activation": lambda: formulations.is_folded(torch.ones(1, 2, 1, 2, 2), torch.ones(3, 2)),
    "depthwise": _depthwise,
    "depthwise input gradient": lambda: _depthwise().sum().backward(),
    "depthwise weight gradient": lambda: _depthwise(of_weight=True).sum().backward(),
    "streamed frames": _frame,
}


@pytest.mark.parametrize("operation", sorted({row.operation for row in TABLE}))
def test_a_name_without_code_is_not_the_last_branch(operation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    OPERATIONS[operation]()
    renamed = tuple(dataclasses.replace(row, formulation="renamed") for row in choices._ROWS[operation])
    monkeypatch.setitem(choices._ROWS, operation, renamed)
    with pytest.raises(AssertionError, match="renamed"):
        OPERATIONS[operation]()
