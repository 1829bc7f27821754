"""How a stored picture is turned and mirrored for display, from the matrix that containers keep beside it."""

import dataclasses
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av.video.frame import VideoFrame


@dataclasses.dataclass(frozen=True, slots=True)
class Orientation:
    """One of the eight ways to lay a picture: mirrored left to right first, then turned.

    Attributes:
        quarters: quarter turns counter-clockwise, 0 to 3.
        mirrored: whether left and right are swapped before.
    """

    quarters: int = 0
    mirrored: bool = False

    @property
    def swaps_sides(self) -> bool:
        """Whether height and width change places."""
        return self.quarters % 2 == 1

    def apply(self, picture_HWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture as displayed, contiguous in memory."""
        mirrored = picture_HWC[:, ::-1] if self.mirrored else picture_HWC
        return np.ascontiguousarray(np.rot90(mirrored, self.quarters))


def orientation_of(frame: "VideoFrame") -> Orientation:
    """As the frame's display matrix says; upright where it has none, or one that is singular."""
    side_data: Any = frame.side_data.get("DISPLAYMATRIX")
    return Orientation() if side_data is None else from_matrix(struct.unpack_from("=9i", memoryview(side_data)))


def from_matrix(matrix: tuple[int, ...]) -> Orientation:
    """The orientation nearest to a display matrix (ISO 14496-12, 6.2.2): nine numbers a b u, c d v, x y w.

    A point (p, q) of the stored picture, to the right and down, is displayed at (a p + c q, b p + d q). Angles between
    quarter turns take the nearest, unlike in FFmpeg, which turns by any angle and fills the corners.
    """
    a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
    if not (a or c) or not (b or d) or not (a or b) or not (c or d):
        return Orientation()
    if abs(a) + abs(d) >= abs(b) + abs(c):  # what points right keeps to right or left, likewise down
        left, up = a < 0, d < 0
        return Orientation(2 if up else 0, left != up)
    left, up = (
        c < 0,
        b < 0,
    )  # what points down comes to point right or left, what points right comes to point down or up
    return Orientation(3 if left else 1, left == up)
