"""Colours of kernels, the same in every picture."""

from __future__ import annotations

from collections.abc import Iterable

import searchspace
from searchspace import Kernel

_FAMILIES = {
    "space": ("#a6c8ec", "#4b8fd4", "#155a9c", "#0b3564"),
    "time": ("#f5c46b", "#d98b16", "#9c5f05"),
    "shift": ("#c9b6e8", "#9271c9", "#5f3b9e", "#38196b"),
    "both": ("#74c08d", "#1f8a4c", "#c0392b", "#7d1f3f"),
}


def kernel_colours(kernels: Iterable[Kernel]) -> dict[Kernel, str]:
    """Blues for kernels in space, oranges in time, violets behind a shift, greens and reds in both: kin look alike.

    The kernels of the built-in space come first, so that they have the same colours beside whatever others.

    Returns:
        `#rrggbb` of each kernel, in the order of a legend: space, time, shift, both, small to large.
    """
    used = dict.fromkeys(_FAMILIES, 0)
    colours = {}
    wanted = set(kernels)
    for kernel in dict.fromkeys([*_ordered(searchspace.load("movinet").kernels), *_ordered(wanted)]):
        shades = _FAMILIES[_family(kernel)]
        colours[kernel] = shades[used[_family(kernel)] % len(shades)]
        used[_family(kernel)] += 1
    return {kernel: colours[kernel] for kernel in _ordered(wanted)}


def _family(kernel: Kernel) -> str:
    if kernel.shift:
        return "shift"
    return "space" if kernel.t == 1 else "time" if kernel.h == kernel.w == 1 else "both"


def _ordered(kernels: Iterable[Kernel]) -> list[Kernel]:
    return sorted(kernels, key=lambda kernel: (list(_FAMILIES).index(_family(kernel)), kernel))
