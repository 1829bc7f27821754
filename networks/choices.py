"""Which formulation computes an operation at which shape, as data: the only place where that is decided.

The first row of an operation that applies is taken. Formulations are equal but for rounding; "library" is the plain
call, which every row is measured against, and which `formulation("reference")` and other devices than the CPU always
take. What the names mean stands where the operation is: `networks.formulations`, `networks.joined`,
`networks.depthwise`, `networks.frame`.

Measured: float32 unless said, forward and backward, one thread of a Zen 4 core (AVX-512, 1 MiB of second-level cache),
torch 2.13; `python -m benchmarks.operations` measures it again.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

from searchspace.cost import GATED_POSITIONS


@dataclasses.dataclass(frozen=True, slots=True)
class Shape:
    """What a choice may depend on; what an operation does not have stays at its default.

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


@dataclasses.dataclass(frozen=True)
class Choice:
    """One row of the table.

    Attributes:
        operation: name of what is computed.
        formulation: how.
        when: the condition in words.
        applies: the condition.
        reason: why this is the faster one.
        measured: what was seen.
    """

    operation: str
    formulation: str
    when: str
    applies: Callable[[Shape], bool]
    reason: str
    measured: str


MIB = 1 << 20
MANY_TAPS = 45  # 5x3x3
STRIP = 3  # columns: the widest kernel whose 2-D depthwise weight gradient is fast in the library


def _always(_: Shape) -> bool:
    return True


TABLE = (
    Choice(
        "pointwise",
        "conv2d",
        "two frames or more, maps of 9 positions or more",
        lambda s: s.clips * s.frames > 1 and s.area >= 9,
        "frames folded into the batch keep channels-last memory in the library's 2-D convolution",
        "40 -> 120, 16384 rows: 12.8 ms, linear 15.3",
    ),
    Choice(
        "pointwise",
        "linear",
        "otherwise",
        _always,
        "on small maps and single frames the library convolves in a slower way",
        "480 -> 144, 128 rows: 0.7 ms, conv3d 0.8",
    ),
    Choice(
        "pointwise, BatchNorm, activation",
        "folded",
        "float32 and wider, results of 16 MiB or more that are wider than the input, which has 64 channels or fewer",
        lambda s: s.bytes >= 4 and s.inputs <= 64 and s.inputs < s.outputs and s.rows * s.outputs * s.bytes >= 16 * MIB,
        "the wide map is written once instead of passing through memory a dozen times; it is computed twice",
        "16 -> 40, 262144 rows: 66-80 ms, in turn 154; at 1.9 MiB and less no gain; bfloat16: twice as slow",
    ),
    Choice(
        "pointwise, BatchNorm, activation",
        "in turn",
        "otherwise",
        _always,
        "what fits the third-level cache gains nothing from pieces, and each costs some calls",
        "72 -> 240, 4096 rows: 8.7 ms, folded 10.0",
    ),
    Choice(
        "gated pointwise",
        "weights",
        f"{GATED_POSITIONS} positions or more a gate",
        lambda s: s.rows // s.groups >= GATED_POSITIONS,
        "gates scale the few weights, not the wide map: a pass less forward, three less backward",
        "120 -> 40, 8 x 2048 rows: 9.9 ms, map 17.3; bfloat16 4.0, map 5.5",
    ),
    Choice(
        "gated pointwise",
        "map",
        "otherwise",
        _always,
        "products of many small matrices are slow",
        "480 -> 144, 8 x 32 rows: 1.4 ms, weights 2.6",
    ),
    Choice(
        "depthwise",
        "product",
        "one tap, no stride",
        lambda s: s.taps == (1, 1, 1) and s.stride == 1,
        "no convolution is needed",
        "1x1 maps",
    ),
    Choice(
        "depthwise",
        "over time",
        "one tap in space, no stride",
        lambda s: s.pointlike,
        "the library runs kt x 1 x 1 at 1-4 GFLOP/s in three dimensions, and fast in two: time by flattened map",
        "5x1x1, 184 channels, 8x8 map: 1.5 ms, library 19",
    ),
    Choice(
        "depthwise",
        "conv3d",
        "otherwise",
        _always,
        "in channels-last memory the library's forward pass is the fastest there is",
        "3x3x3, 80 channels, 16x16 map: forward 0.8 ms",
    ),
    Choice(
        "depthwise input gradient",
        "product",
        "one tap, no stride",
        lambda s: s.taps == (1, 1, 1) and s.stride == 1,
        "as forward",
        "1x1 maps",
    ),
    Choice(
        "depthwise input gradient",
        "over time",
        "one tap in space, no stride",
        lambda s: s.pointlike,
        "as forward",
        "5x1x1, 184 channels, 8x8 map: 1.5 ms, library 19",
    ),
    Choice(
        "depthwise input gradient",
        "flipped",
        "no stride",
        lambda s: s.stride == 1,
        "a forward convolution of the output gradient with the flipped kernel; the library's own runs at 1-4 GFLOP/s",
        "3x3x3, 80 channels, 16x16 map: 0.9 ms",
    ),
    Choice(
        "depthwise input gradient",
        "2-D library",
        "one frame, float32 and wider",
        lambda s: s.taps[0] == 1 and s.bytes >= 4,
        "the library's strided 2-D gradient is fast in float32, and spreads no zeros",
        "1x5x5 stride 2, 24 channels, 64x64 map: 5.5 ms, spread 8.4; bfloat16 78, spread 6.1",
    ),
    Choice(
        "depthwise input gradient",
        "by parity",
        f"a stride, {MANY_TAPS} taps and more, maps from 8x8 on (bfloat16: 16x16)",
        lambda s: s.stride == 2 and math.prod(s.taps) >= MANY_TAPS and s.area * s.bytes >= 256,
        "even and odd rows and columns apart: four convolutions without stride and without the zeros in between",
        "5x3x3, 384 channels, 8x8 map: 2.3 ms, spread 2.8; 3x3x3, 80 channels, 32x32 map: 5.4, spread 4.8",
    ),
    Choice(
        "depthwise input gradient",
        "spread",
        "otherwise",
        _always,
        "the output gradient spread with zeros, then as without stride",
        "3x3x3 stride 2, 80 channels, 32x32 map: 6.3 ms",
    ),
    Choice(
        "depthwise weight gradient",
        "product",
        "one tap, no stride",
        lambda s: s.taps == (1, 1, 1) and s.stride == 1,
        "as forward",
        "1x1 maps",
    ),
    Choice(
        "depthwise weight gradient",
        "over time",
        "one tap in space, no stride",
        lambda s: s.pointlike,
        "one 2-D gradient over time by flattened map",
        "5x1x1, 184 channels, 8x8 map: 0.3 ms",
    ),
    Choice(
        "depthwise weight gradient",
        "by rows",
        "no stride, padded in time, kernels to 3 wide: 5 frames and more on maps to 8x8, 3 or 4 on maps to 2x2",
        lambda s: (
            s.stride == 1
            and not s.valid
            and s.taps[2] <= STRIP
            and s.frames >= s.taps[0] >= 3
            and s.area <= (64 if s.taps[0] >= 5 else 4)
        ),
        "a 2-D gradient kt x kw over time by map for each of kh rows: fewer calls, no seams between clips",
        "5x3x3, 184 channels, 8x8 map: 2.1 ms",
    ),
    Choice(
        "depthwise weight gradient",
        "by taps",
        "a stride, padded in time, 5 frames and more, maps to 8x8",
        lambda s: s.stride > 1 and not s.valid and s.taps[0] >= 5 and s.area <= 64,
        "a 2-D gradient over time by map for each of kh x kw taps, of the positions that it meets",
        "5x3x3 stride 2, 384 channels, 8x8 map: 4.3 ms, by frames 8.7; 16x16 map: 16.3, by frames 8.9",
    ),
    Choice(
        "depthwise weight gradient",
        "by frames",
        "otherwise",
        _always,
        "a 2-D gradient kh x 3 over the map for each of kt frames and each 3 columns: what the library does fast",
        "3x3x3, 80 channels, 16x16 map: 1.7 ms; 1x5x5 stride 2, 24 channels, 64x64 map: 10.4",
    ),
    Choice(
        "streamed frames",
        "program",
        "one frame at a time, float32",
        lambda s: s.frames == 1 and s.bytes == 4,
        "maps are small: memory, views and layouts that are prepared once cost as much as what is computed",
        "A0 172x172: 1.2-1.4 times as fast as the general path, A1 1.2-1.3, A2 1.2",
    ),
    Choice(
        "streamed frames",
        "general",
        "otherwise",
        _always,
        "calls on several frames are long enough",
        "as above",
    ),
)


def choose(operation: str, shape: Shape) -> str:
    """The formulation of an operation at a shape: that of the first row that applies."""
    return next(row.formulation for row in _ROWS[operation] if row.applies(shape))


def is_first(operation: str, shape: Shape, first: str, second: str) -> bool:
    """Whether the first of the two formulations that there are of an operation is chosen, and not the second."""
    name = choose(operation, shape)
    assert name in (first, second), f"{operation}: there is no formulation {name!r}"
    return name == first


_ROWS: dict[str, tuple[Choice, ...]] = {
    row.operation: tuple(other for other in TABLE if other.operation == row.operation) for row in TABLE
}
