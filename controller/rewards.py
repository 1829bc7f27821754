"""What a searcher maximises: accuracy against cost.

With r = T / T0, T the cost of an architecture and T0 the target (TuNAS, `search_space_utils.py`; MnasNet):

* absolute: R = Q + beta * |r - 1|. The target is a point: cheaper is punished as dearer is, since a network that uses
  the whole budget is expected to be the better one. One search lands at T0.
* soft: R = Q * r ** beta. T0 only rescales R, so the cost that wins does not depend on it (shown in the tests).
* hard: R = Q * min(r ** beta, 1). Nothing is gained below the target.

Every further budget is a cap: R loses |beta| * max(T / T_cap - 1, 0), the one-sided form of the same penalty.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from controller.arrays import Floats

Kind = Literal["absolute", "soft", "hard"]
KINDS: tuple[str, ...] = get_args(Kind)


@dataclass(frozen=True)
class Reward:
    """A reward as a function of quality and costs.

    Attributes:
        target: T0, in the units of the cost; what the first budget says.
        kind: the form, see the top of the file.
        beta: accuracy lost for a cost error of 100 % (absolute, caps), or the exponent (soft, hard); at most 0.
            -0.1 is TuNAS's: ten per cent over the target costs one point of accuracy.
        caps: T_cap of every further budget.

    Raises:
        ValueError: an unknown kind, a positive beta, a target or a cap that is not positive and finite.
    """

    target: float
    kind: Kind = "absolute"
    beta: float = -0.1
    caps: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"reward {self.kind!r}: must be one of {', '.join(KINDS)}")
        if not (self.beta <= 0 and math.isfinite(self.beta)):
            raise ValueError(f"beta {self.beta}: must be 0 or negative, for example -0.1; a positive one rewards cost")
        for name, value in (("target", self.target), *(("cap", cap) for cap in self.caps)):
            if not (value > 0 and math.isfinite(value)):
                raise ValueError(f"{name} {value}: a cost must be positive and finite")

    def __call__(self, quality: NDArray[Any], cost: NDArray[Any], caps: NDArray[Any] | None = None) -> Floats:
        """Rewards [N].

        Args:
            quality: accuracies in [0, 1], [N].
            cost: T, [N].
            caps: the costs that `self.caps` bounds, [N, M]; needed exactly when there are caps.
        """
        ratio = np.asarray(cost, dtype=np.float64) / self.target
        quality = np.asarray(quality, dtype=np.float64)
        if self.kind == "absolute":
            reward = quality + self.beta * np.abs(ratio - 1)
        elif self.kind == "soft":
            reward = quality * ratio**self.beta
        else:
            reward = quality * np.minimum(ratio**self.beta, 1)
        given = 0 if caps is None else np.shape(caps)[-1]
        if given != len(self.caps):
            raise ValueError(f"costs of {given} caps given, the reward has {len(self.caps)}: pass one column a cap")
        if caps is not None:
            over = np.maximum(np.asarray(caps, dtype=np.float64) / np.asarray(self.caps) - 1, 0)
            reward = reward + self.beta * over.sum(axis=-1)
        return np.asarray(reward, dtype=np.float64)
