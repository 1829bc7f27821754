"""Which items a step sees: a function of (seed, part, step) alone, so that a resumed run sees the same."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from training.seeds import generator


class Order:
    """Shuffled batches over a part of a data set, epoch after epoch, without state.

    A batch never crosses the end of an epoch; the few items left over come in other epochs, under other shuffles.

    Args:
        part: name of the part, which has its own shuffles.
        size: number of its items.
        batch: items a batch; at most `size` are taken.
        seed: of the shuffles.
    """

    def __init__(self, part: str, size: int, batch: int, seed: int) -> None:
        assert size > 0 and batch > 0
        self.part, self.size, self.batch, self.seed = part, size, min(batch, size), seed
        self._shuffle = functools.lru_cache(maxsize=4)(self._shuffle_uncached)

    def at(self, number: int) -> tuple[int, tuple[int, ...]]:
        """The epoch and the item indices of batch `number` (0, 1, 2, ...)."""
        per_epoch = self.size // self.batch
        epoch, position = divmod(number, per_epoch)
        indices = self._shuffle(epoch)[position * self.batch : (position + 1) * self.batch]
        return epoch, tuple(int(i) for i in indices)

    def _shuffle_uncached(self, epoch: int) -> npt.NDArray[np.int64]:
        return generator(self.seed, f"order/{self.part}", epoch).permutation(self.size)
