"""How the depthwise kernels of a layer share weights: nested, small ones within large ones, or each its own."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

Kernels: TypeAlias = Literal["nested", "separate"]
KERNELS: tuple[str, ...] = get_args(Kernels)
