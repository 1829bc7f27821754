"""Warm-up: what runs in place of the sampled choices while the shared weights are young.

The progress of a warm-up goes from 0 to 1; from 1 on, nothing is replaced. A decision that was replaced carries no
gradient for the controller.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from searchspace import Choices, Kernel, Space
from supernet.supernet import Path

Replaced = npt.NDArray[np.bool_]
Strategy = Callable[[Space, Choices, float, np.random.Generator], tuple[list[Path], Replaced]]

STRATEGIES = ("boot", "tunas", "sandwich", "uniform")
CENTRE_KERNEL, CENTRE_EXPANSION, CENTRE_DEPTH = Kernel(3, 3, 3), 2.0, 2


def warm_up(
    name: str, space: Space, choices: Choices, progress: float, rng: np.random.Generator, centre: Choices | None = None
) -> tuple[list[Path], Replaced]:
    """The paths that train.

    Args:
        name: `boot`: each decision is replaced, with a probability that falls from 1 to 0, by that of one central
            network, so that it learns first and the others grow out of it (ours). `tunas`: with the same probability
            a kernel or squeeze-excitation decision runs all its choices and averages them, and a width, expansion or
            (our choice) depth takes its largest value. `sandwich`: the first path is the largest network, the second
            the smallest, the others are as sampled. `uniform`: nothing is replaced.
        space: the space.
        choices: sampled, canonical int8 [K, D].
        progress: of the warm-up, in [0, 1].
        rng: of this step.
        centre: of `boot`, [D]; by default `central(space)`.

    Returns:
        K paths, and which decisions were replaced, bool [K, D].

    Raises:
        ValueError: an unknown name.
    """
    if name not in STRATEGIES:
        raise ValueError(f"warm-up {name!r}: allowed are {', '.join(STRATEGIES)}")
    nothing = np.zeros(choices.shape, dtype=bool)
    if progress >= 1 or name == "uniform":
        return [Path(space.architecture(row)) for row in choices], nothing
    if name == "sandwich":
        return _sandwich(space, choices)
    drawn: Replaced = rng.random(choices.shape) < 1 - progress
    if name == "boot":
        middle = central(space) if centre is None else centre
        ran = space.decisions.canonical(np.where(drawn, middle, choices).astype(np.int8))
        return [Path(space.architecture(row)) for row in ran], drawn
    return _tunas(space, choices, drawn)


def central(space: Space) -> Choices:
    """The central network of `boot`: middle widths, depth 2, kernel 3x3x3, expansion 2 and squeeze-excitation, or what
    comes closest in each block, int8 [D]."""
    return _central(space.decisions.paths, space.decisions.values, tuple(block.base for block in space.blocks))


@functools.lru_cache(maxsize=8)
def _central(paths: tuple[str, ...], values: tuple[tuple[object, ...], ...], bases: tuple[int, ...]) -> Choices:
    row = []
    for path, offered in zip(paths, values, strict=True):
        kind = path.rsplit("/", 1)[-1]
        if kind == "kernel":
            far = [
                sum(abs(a - b) for a, b in zip(kernel, CENTRE_KERNEL, strict=True))
                for kernel in offered
                if isinstance(kernel, Kernel)
            ]
            row.append(int(np.argmin(far)))
        elif kind == "se":
            row.append(len(offered) - 1)
        elif kind in ("expansion", "depth"):
            wanted = CENTRE_DEPTH if kind == "depth" else CENTRE_EXPANSION * bases[int(path.split("/")[1])]
            row.append(int(np.argmin([abs(float(str(value)) - wanted) for value in offered])))
        else:
            row.append(len(offered) // 2)
    result = np.array(row, dtype=np.int8)
    result.setflags(write=False)
    return result


def _sandwich(space: Space, choices: Choices) -> tuple[list[Path], Replaced]:
    ran = choices.copy()
    replaced = np.zeros(choices.shape, dtype=bool)
    for k, dearest in enumerate([True, False][: len(choices)]):
        ran[k], replaced[k] = space.costs().extreme("macs", dearest), True
    return [Path(space.architecture(row)) for row in ran], replaced


def _tunas(space: Space, choices: Choices, drawn: Replaced) -> tuple[list[Path], Replaced]:
    decisions = space.decisions
    kinds = np.array([path.rsplit("/", 1)[-1] for path in decisions.paths])
    is_operation = np.isin(kinds, ("kernel", "se"))
    largest = (decisions.sizes - 1).astype(np.int8)
    ran = decisions.canonical(np.where(drawn & ~is_operation, largest, choices).astype(np.int8))
    paths = []
    for row, replaced in zip(ran, drawn, strict=True):
        acts = np.flatnonzero(replaced & is_operation & decisions.active(row) & (decisions.sizes > 1))
        averaged = set()
        for d in acts:
            _, block, _, layer, kind = decisions.paths[d].split("/")
            averaged.add((int(block), int(layer), kind))
        paths.append(Path(space.architecture(row), frozenset(averaged)))
    return paths, drawn
