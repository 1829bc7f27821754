"""The four coefficients of a compound scaling, and what the published networks say about them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from searchspace import Architecture, cost, published
from searchspace.schema import Fields, show

DIMENSIONS = ("depth", "width", "resolution", "frame_rate")
POWERS = (1, 2, 2, 1)
"""Multiply-accumulates grow with depth, the squares of width and resolution, and the frame rate."""

MOST = 8.0
PUBLISHED = ("a0", "a1", "a2", "a3", "a4", "a5")
BASE_MEMBER = 2
"""A2 is the base: its exponent is 0."""


@dataclasses.dataclass(frozen=True, slots=True)
class Coefficients:
    """What one step of the compound exponent multiplies each dimension by (Tan and Le, arXiv 1905.11946, section 3).

    Attributes:
        depth: numbers of layers (alpha).
        width: base widths, the stem's and the head's too (beta).
        resolution: height and width of the clip (gamma).
        frame_rate: frames a second over the same duration (delta).
    """

    depth: float
    width: float
    resolution: float
    frame_rate: float

    def __post_init__(self) -> None:
        for name in DIMENSIONS:
            value = getattr(self, name)
            if type(value) not in (int, float) or not 1 <= value <= MOST:
                raise ValueError(
                    f"coefficient of {name} is {show(value)}; allowed: from 1, where the dimension stays, to {MOST:g}"
                )

    @classmethod
    def parse(cls, text: str) -> Coefficients:
        """Reads `1.36,1.18,1.16,1.24`: depth, width, resolution, frame rate.

        Raises:
            ValueError: not four numbers from 1 to 8, or none above 1.
        """
        parts = text.split(",")
        try:
            values = [float(part) for part in parts]
        except ValueError:
            values = []
        if len(values) != len(DIMENSIONS):
            raise ValueError(
                f"coefficients {show(text)}: write depth, width, resolution and frame rate, such as 1.36,1.18,1.16,1.24"
            )
        result = cls(*values)
        if result.product == 1:
            raise ValueError(f"coefficients {show(text)} scale nothing; raise one of them above 1")
        return result

    @classmethod
    def read(cls, data: object, where: str) -> Coefficients:
        """Reads what `to_dict` gave; raises `ValueError` that names the key."""
        fields = Fields(data, where)
        result = cls(*(fields.number(name, 1, MOST) for name in DIMENSIONS))
        fields.done()
        return result

    @classmethod
    def shared_out(cls, weights: Sequence[float], growth: float) -> Coefficients:
        """Coefficients whose product is `growth`, each dimension with its share of the logarithm.

        Args:
            weights: of the dimensions, none negative, not all 0; only their proportions count.
            growth: what one step multiplies the cost by, by the formula; at least 1.
        """
        total = math.fsum(weights)
        return cls(*(growth ** (w / total / power) for w, power in zip(weights, POWERS, strict=True)))

    @property
    def product(self) -> float:
        """depth * width^2 * resolution^2 * frame_rate: the growth of cost a step, by the formula."""
        return math.prod(value**power for value, power in zip(self.values(), POWERS, strict=True))

    def values(self) -> tuple[float, ...]:
        """In the order of `DIMENSIONS`."""
        return tuple(float(getattr(self, name)) for name in DIMENSIONS)

    def to_dict(self) -> dict[str, float]:
        """Plain data."""
        return dict(zip(DIMENSIONS, self.values(), strict=True))

    def __str__(self) -> str:
        return ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in self.to_dict().items())


@dataclasses.dataclass(frozen=True)
class PublishedScaling:
    """How the published networks grow from one to the next.

    Attributes:
        steps: geometric means a step from A2 to A5, of the coefficients and of `macs`.
        fit: the same by least squares of logarithms over A0 to A5.
    """

    steps: Mapping[str, float]
    fit: Mapping[str, float]

    @property
    def coefficients(self) -> Coefficients:
        """Those of the fit."""
        return Coefficients(*(self.fit[name] for name in DIMENSIONS))


def published_scaling() -> PublishedScaling:
    """Measures the released networks: total layers, width of the last block, side and frames of the clip, MACs.

    All their clips cover about ten seconds, so that frames stand for the frame rate.
    """
    networks = [network for network in map(published, PUBLISHED) if isinstance(network, Architecture)]
    rows = np.log([[a.depth, a.blocks[-1].width, a.clip.height, a.clip.frames, cost(a).macs] for a in networks])
    exponents = np.arange(len(PUBLISHED)) - BASE_MEMBER
    slopes = np.polyfit(exponents, rows, 1)[0]
    last = exponents[-1]
    names = (*DIMENSIONS, "macs")

    def named(logs: Sequence[float]) -> dict[str, float]:
        return dict(zip(names, np.exp(logs).tolist(), strict=True))

    return PublishedScaling(steps=named((rows[-1] - rows[BASE_MEMBER]) / last), fit=named(slopes))
