"""Dispatch: which kernel computes an operation at which shape, and the switch that turns all kernels off.

A kernel is an implementation of ours; an operation is a list of kernels, declared beside them, each with the condition
under which it is taken, the reason and a measurement. The first kernel whose condition holds is taken, and the last one
always applies. Kernels of an operation are equal but for rounding. The plain call of the library is what each of them
is tested against, and what `formulation("reference")` and other devices than the CPU always take.

Measured: float32 unless said, forward and backward, one thread of a Zen 4 core (AVX-512, 1 MiB of second-level cache),
torch 2.13; `python -m benchmarks.operations` measures it again, and prints all rows.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, Generic, NamedTuple, TypeVar

from torch import Tensor

FORMULATIONS = ("fast", "reference")
_current = "fast"


@contextlib.contextmanager
def formulation(name: str) -> Iterator[None]:
    """Chooses between kernels and plain library calls for all operations inside a `with` block, in every thread.

    Args:
        name: "fast" (the default everywhere), which takes kernels on the CPU; or "reference", which takes the library's
            plain calls.

    Raises:
        ValueError: another name.
    """
    global _current
    if name not in FORMULATIONS:
        raise ValueError(f"formulation {name!r}: allowed are {', '.join(FORMULATIONS)}")
    before, _current = _current, name
    try:
        yield
    finally:
        _current = before


def current() -> str:
    """The name of the formulation that is chosen."""
    return _current


def is_fast(x: Tensor) -> bool:
    """Whether kernels serve this tensor."""
    return _current == "fast" and x.device.type == "cpu"


class Shape(NamedTuple):
    """The shape of a call, as conditions of kernels read it; what an operation does not have stays at its default.

    Attributes:
        clips, frames, height, width: of the input.
        inputs, outputs: channels.
        bytes: of one element.
        taps: of the kernel in time, height and width, without those that never meet the map.
        stride: of height and width.
        groups: gates of squeeze-excitation a channel: clips, or clips x frames.
        valid: no padding in time.
    """

    clips: int = 1
    frames: int = 1
    height: int = 1
    width: int = 1
    inputs: int = 1
    outputs: int = 1
    bytes: int = 4
    taps: tuple[int, int, int] = (1, 1, 1)
    stride: int = 1
    groups: int = 1
    valid: bool = False

    @property
    def rows(self) -> int:
        """Positions of all clips and frames."""
        return self.clips * self.frames * self.height * self.width

    @property
    def area(self) -> int:
        """Positions of one frame's map."""
        return self.height * self.width

    @property
    def pointlike(self) -> bool:
        """Whether the kernel has one tap in space, and no stride."""
        return self.taps[1] == self.taps[2] == self.stride == 1


Run = TypeVar("Run", bound=Callable[..., Any])


@dataclasses.dataclass(frozen=True, slots=True)
class CpuKernel(Generic[Run]):
    """One row of an operation's dispatch.

    Attributes:
        name: of the kernel, unique in its operation.
        run: what computes.
        when: at which shapes it is taken, if no kernel before it is.
        reason: why this is the faster one there.
        measured: what was seen.
    """

    name: str
    run: Run
    when: Callable[[Shape], bool]
    reason: str
    measured: str


def otherwise(_: Shape) -> bool:
    """The condition of the last kernel of an operation: always."""
    return True


class Operation(Generic[Run]):
    """The kernels of one operation, in the order in which they are asked; all take and give the same.

    Args:
        name: of what is computed, unique in the project.
        kernels: the rows; the last one's condition is `otherwise`.
    """

    def __init__(self, name: str, *kernels: CpuKernel[Run]) -> None:
        assert name not in OPERATIONS, name
        assert [kernel.when is otherwise for kernel in kernels] == [False] * (len(kernels) - 1) + [True], name
        self.name, self.kernels = name, kernels
        OPERATIONS[name] = self

    def kernel(self, shape: Shape) -> CpuKernel[Run]:
        """The kernel that is taken at a shape."""
        for kernel in self.kernels:
            if kernel.when(shape):
                return kernel
        raise AssertionError(f"no kernel of {self.name!r} serves {shape}")


OPERATIONS: dict[str, Operation[Any]] = {}
"""Every operation by name; those of whole layers and frames are declared where they are computed."""
