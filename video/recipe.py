"""What the built-in motion clips are made of: the classes, and the ranges that their nuisances are drawn from.

Units, throughout the data set: lengths in *units* of the frame's shorter side (0 in the middle, so a square frame spans
-0.5 to 0.5), frequencies in cycles per unit, speeds in units per second, time in seconds with 0 in the middle of the
clip. At 32 x 32 and 5 frames per second, 1 pixel per frame is 0.156 units per second.
"""

import dataclasses
from typing import Any, NamedTuple

from searchspace.schema import show

Range = tuple[float, float]

NOMINAL_SECONDS = 1.6
"""Length of a clip at 8 frames and 5 frames per second. The order classes' events fit into it; in a shorter clip their
timing (not their speed) is compressed, so that they still happen on screen."""


class MotionClass(NamedTuple):
    """One label: which waves of the texture move together, along which direction, and how over time."""

    name: str
    direction: tuple[float, float]
    """Unit vector (x to the right, y downwards) of the first movement; (0, 0) for a zoom."""
    band: str
    """Which waves carry the motion: "all", "coarse" (longer than the middle of the band) or "fine". The other band's
    waves wander, each in a direction of its own."""
    speed: str
    """Name of the recipe's range: "slow", "fast", "order", "coarse", "fine" or "zoom"."""
    profile: str
    """"steady", or "return": one push along the direction, a rest, one push back."""
    zoom: int = 0
    """+1: the picture grows, -1: it shrinks."""


_DIRECTIONS = {"left": (-1.0, 0.0), "right": (1.0, 0.0), "up": (0.0, -1.0), "down": (0.0, 1.0)}
_OPPOSITE = {"left": "right", "right": "left", "up": "down", "down": "up"}

MOTION_CLASSES: tuple[MotionClass, ...] = (
    *(MotionClass(f"slow_{name}", way, "all", "slow", "steady") for name, way in _DIRECTIONS.items()),
    *(MotionClass(f"fast_{name}", way, "all", "fast", "steady") for name, way in _DIRECTIONS.items()),
    *(MotionClass(f"{a}_then_{_OPPOSITE[a]}", way, "all", "order", "return") for a, way in _DIRECTIONS.items()),
    MotionClass("zoom_in", (0.0, 0.0), "all", "zoom", "steady", zoom=1),
    MotionClass("zoom_out", (0.0, 0.0), "all", "zoom", "steady", zoom=-1),
    *(MotionClass(f"coarse_{name}", _DIRECTIONS[name], "coarse", "coarse", "steady") for name in ("left", "right")),
    *(MotionClass(f"fine_{name}", _DIRECTIONS[name], "fine", "fine", "steady") for name in ("left", "right")),
)
"""The 18 classes. What each family asks of a network: the order classes a long temporal range, fine early temporal
kernels (its waves are gone after the first strides), coarse a wide view (the fine waves over it say nothing), slow,
fast and zoom any motion at all; `benchmarks.alone reasons` measures it."""


def is_number(value: object) -> bool:
    """Whether a setting is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_range(value: object, low: float, high: float) -> bool:
    """Whether a setting is two numbers, the first no larger than the second, from `low` to `high`."""
    if not (isinstance(value, tuple | list) and len(value) == 2 and all(map(is_number, value))):
        return False
    return bool(low <= value[0] <= value[1] <= high)


def _check_range(name: str, value: Range, low: float, high: float) -> None:
    if not is_range(value, low, high):
        allowed = f"two increasing numbers within {low:g} to {high:g}"
        raise ValueError(f"motion recipe: {name} = {show(value)} must be {allowed}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MotionRecipe:
    """Ranges of the nuisances; every clip draws its own values uniformly from them.

    `MotionRecipe.at(difficulty)` gives the recipe of a difficulty between 0 and 1; each field can also be set by hand.
    """

    waves: int = 20
    """Plane waves that a texture is the sum of."""
    band: Range = (1.3, 10.0)
    """Frequencies of the waves, cycles per unit: 24.6 to 3.2 pixels of wavelength at 32 x 32."""
    slow: Range = (0.09, 0.17)
    """Units per second; 0.6 to 1.1 pixels per frame at 32 x 32 and 5 frames per second."""
    fast: Range = (0.31, 0.47)
    """Units per second; 2 to 3 pixels per frame."""
    order: Range = (0.19, 0.31)
    """Mean speed during each of the two pushes of an order class, units per second."""
    coarse: Range = (0.22, 0.40)
    """Speed of the long waves in the coarse classes, units per second."""
    fine: Range = (0.12, 0.22)
    """Speed of the short waves in the fine classes, units per second."""
    zoom: Range = (0.45, 0.80)
    """Growth or shrinking, in e-folds per second."""
    push: Range = (0.40, 0.55)
    """Duration of each push of an order class, seconds."""
    rest: Range = (0.05, 0.35)
    """Rest between the two pushes, seconds."""
    turn: float = 0.15
    """The middle of the rest lies within plus or minus this many seconds of the middle of the clip."""
    contrast: Range = (0.11, 0.19)
    """Standard deviation of the texture, as a fraction of the full scale of 0 to 1."""
    brightness: Range = (0.35, 0.65)
    """Mean of each colour channel."""
    tint: float = 0.8
    """How far the waves' colours scatter around grey: 0 grey, 1 strongly coloured."""
    coherence: float = 0.72
    """Share of the band's waves that follow the class; the others wander like distractors."""
    wander: Range = (0.0, 0.40)
    """Speed of the wandering waves, units per second, any direction."""
    shake: float = 0.010
    """Amplitude of the camera's shake, units (0.3 pixels at 32 x 32)."""
    noise: float = 0.10
    """Standard deviation of the pixel noise, as a fraction of full scale; independent per pixel, channel and frame."""

    def __post_init__(self) -> None:
        if type(self.waves) is not int or self.waves < 2:
            raise ValueError(f"motion recipe: waves = {show(self.waves)} must be a whole number, at least 2")
        _check_range("band", self.band, 0.1, 100.0)
        if not self.band[0] < self.band[1]:
            raise ValueError(f"motion recipe: band = {show(self.band)} must be two different frequencies")
        for name in ("slow", "fast", "order", "coarse", "fine", "zoom", "wander"):
            _check_range(name, getattr(self, name), 0.0, 10.0)
        for name in ("push", "rest"):
            _check_range(name, getattr(self, name), 0.0, NOMINAL_SECONDS)
        for name in ("contrast", "brightness"):
            _check_range(name, getattr(self, name), 0.0, 1.0)
        for name, top in (("tint", 1.0), ("coherence", 1.0), ("shake", 0.5), ("noise", 1.0), ("turn", NOMINAL_SECONDS)):
            value = getattr(self, name)
            if not is_number(value) or not 0.0 <= value <= top:
                raise ValueError(f"motion recipe: {name} = {show(value)} must lie within 0 to {top:g}")
        if self.push[0] <= 0.0:
            raise ValueError(f"motion recipe: push = {show(self.push)} must be longer than 0 seconds")

    @classmethod
    def at(cls, difficulty: float) -> "MotionRecipe":
        """The recipe of a difficulty: 0 (clean, strong, all waves agree) to 1 (drowned in noise and wandering waves).

        Raises:
            ValueError: difficulty outside 0 to 1.
        """
        if not is_number(difficulty) or not 0.0 <= difficulty <= 1.0:
            raise ValueError(f"difficulty {show(difficulty)} is not allowed: give a number from 0 (easy) to 1 (hard)")

        def between(easy: float, hard: float) -> float:
            return round(easy + (hard - easy) * difficulty, 6)

        return cls(
            contrast=(between(0.16, 0.06), between(0.22, 0.16)),
            coherence=between(1.0, 0.5),
            shake=between(0.0, 0.02),
            noise=between(0.02, 0.18),
            slow=(between(0.11, 0.07), between(0.15, 0.19)),
            fast=(between(0.34, 0.28), between(0.44, 0.50)),
        )

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain data, for the record of a run."""
        return dataclasses.asdict(self)
