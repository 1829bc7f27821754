"""What the built-in motion clips are made of: the classes, and the ranges that their nuisances are drawn from.

Units, throughout the data set: lengths in *units* of the frame's shorter side (0 in the middle, so a square frame spans
-0.5 to 0.5), frequencies in cycles per unit, speeds in units per second, time in seconds with 0 in the middle of the
clip. At 32 x 32 and 5 frames per second, 1 pixel per frame is 0.156 units per second.
"""

from typing import NamedTuple

from searchspace.schema import show
from searchspace.settings import Settings, setting

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
    """Name of the range in `MotionRanges`: "slow", "fast", "order", "coarse", "fine" or "zoom"."""
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


class MotionRanges(Settings, where="motion"):
    """Ranges of the nuisances; every clip draws its own values uniformly from them.

    `MotionRanges.at(difficulty)` gives those of a difficulty between 0 and 1; each field can also be set by hand.
    """

    waves: int = setting("plane waves that a texture is the sum of", 2, 10000, "waves", default=20)
    band: Range = setting(
        "frequencies of the waves: 24.6 to 3.2 pixels at 32 x 32", 0.1, 100.0, "cycles per unit", default=(1.3, 10.0)
    )
    slow: Range = setting(
        "0.6 to 1.1 pixels a frame at 32 x 32 and 5 frames a second", 0, 10, "units per second", default=(0.09, 0.17)
    )
    fast: Range = setting("2 to 3 pixels per frame", 0, 10, "units per second", default=(0.31, 0.47))
    order: Range = setting(
        "mean speed during each of the two pushes of an order class", 0, 10, "units per second", default=(0.19, 0.31)
    )
    coarse: Range = setting(
        "speed of the long waves in the coarse classes", 0, 10, "units per second", default=(0.22, 0.4)
    )
    fine: Range = setting(
        "speed of the short waves in the fine classes", 0, 10, "units per second", default=(0.12, 0.22)
    )
    zoom: Range = setting("growth or shrinking", 0, 10, "e-folds per second", default=(0.45, 0.8))
    push: Range = setting("duration of each push of an order class", 0, NOMINAL_SECONDS, "seconds", default=(0.4, 0.55))
    rest: Range = setting("rest between the two pushes", 0, NOMINAL_SECONDS, "seconds", default=(0.05, 0.35))
    turn: float = setting(
        "the middle of the rest lies within plus or minus so many seconds of the middle of the clip",
        0,
        NOMINAL_SECONDS,
        "seconds",
        default=0.15,
    )
    contrast: Range = setting(
        "standard deviation of the texture, as a fraction of the full scale of 0 to 1", 0, 1, default=(0.11, 0.19)
    )
    brightness: Range = setting("mean of each colour channel", 0, 1, default=(0.35, 0.65))
    tint: float = setting(
        "how far the waves' colours scatter around grey: 0 grey, 1 strongly coloured", 0, 1, default=0.8
    )
    coherence: float = setting(
        "share of the band's waves that follow the class; the others wander like distractors", 0, 1, default=0.72
    )
    wander: Range = setting(
        "speed of the wandering waves, any direction", 0, 10, "units per second", default=(0.0, 0.4)
    )
    shake: float = setting("amplitude of the camera's shake (0.3 pixels at 32 x 32)", 0, 0.5, "units", default=0.01)
    noise: float = setting("standard deviation of the pixel noise, a share of full scale", 0, 1, default=0.1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.band[0] < self.band[1]:
            raise ValueError(f"motion.band is {show(self.band)}; allowed: two different frequencies")
        if self.push[0] <= 0.0:
            raise ValueError(f"motion.push is {show(self.push)}; allowed: longer than 0 seconds")

    @classmethod
    def at(cls, difficulty: float) -> "MotionRanges":
        """The ranges of a difficulty: 0 (clean, strong, all waves agree) to 1 (drowned in noise and wandering waves).

        Raises:
            ValueError: difficulty outside 0 to 1.
        """
        if type(difficulty) not in (int, float) or not 0.0 <= difficulty <= 1.0:
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
