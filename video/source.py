"""What every data set offers to training: labelled clips by part and index."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from searchspace.clip import Clip, ClipLike
    from video.augmentation import Augmentation

Frames = NDArray[np.uint8]

SEARCH_PARTS = ("weights", "controller", "rescoring")
"""The three parts that a search splits training data into: what the weights learn from, what the controller's rewards
are measured on, and what the final candidates are scored on, which neither has seen."""


class Source(Protocol):
    """A data set. Every item is a function of (seed, part, epoch, index) alone, whichever process asks, and when."""

    @property
    def kind(self) -> str:
        """What it is, as `describe` says it: "motion" for the built-in clips, "folder" for files."""

    @property
    def clip(self) -> "Clip":
        """Shape and frame rate of the clips that come out."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; a label is an index into them."""

    @property
    def parts(self) -> Mapping[str, int]:
        """Number of items in "weights", "controller", "rescoring", and in "val" where there is a validation set."""

    def item(self, part: str, index: int, epoch: int = 0, training: bool = False, view: int = 0) -> tuple[Frames, int]:
        """One clip, uint8 [T, H, W, 3], and its label.

        Args:
            part: one of `parts`.
            index: 0 up to the part's size.
            epoch: selects the random draws where `training`.
            training: random crops, and whatever else `augmented` was told; otherwise the crop is fixed.
            view: which temporal crop where not `training`; 0 is the middle of the video.
        """

    def batch(
        self, part: str, indices: Sequence[int], epoch: int = 0, training: bool = False, view: int = 0
    ) -> tuple[Frames, NDArray[np.int64]]:
        """The same for several indices at once: uint8 [N, T, H, W, 3] and labels [N]."""

    def labels(self, part: str) -> NDArray[np.int64]:
        """Labels of a whole part, [size]."""

    def at(self, clip: "ClipLike") -> "Source":
        """The same data, parts and labels at another clip shape."""

    def augmented(self, augmentation: "Augmentation") -> "Source":
        """The same data with training clips varied in that way; raises `ValueError` for what it cannot do."""

    def share(self, processes: int) -> None:
        """Called in each of several worker processes: keep to that share of the memory for caches."""

    def describe(self) -> dict[str, Any]:
        """Plain data that tells this data set from another: for the record of a run, and to refuse a changed one."""


def check_request(source: Source, part: str, indices: Iterable[int]) -> None:
    """Raises ValueError for a part that the source lacks and IndexError for an index outside it."""
    if part not in source.parts:
        raise ValueError(f"part {part!r} is not in this data set: it has {', '.join(source.parts)}")
    size = source.parts[part]
    for index in indices:
        if not 0 <= index < size:
            raise IndexError(f"index {index} is outside part {part!r} of {size} clips")
