"""What the authors measured of the published networks: top-1 on Kinetics-600, one centred clip, as released.

From the README of the released weights (tensorflow/models, official/projects/movinet), base and stream.
"""

from __future__ import annotations

KINETICS_600 = 600
"""Number of its classes."""

_TOP1 = {
    "a0": (0.7228, 0.7205),
    "a1": (0.7669, 0.7645),
    "a2": (0.7862, 0.7840),
    "a3": (0.8179, 0.8009),
    "a4": (0.8348, 0.8149),
    "a5": (0.8427, 0.8237),
}


def published_accuracy(stream: bool = False) -> dict[str, float]:
    """Top-1 in [0, 1] by name."""
    return {name: pair[stream] for name, pair in _TOP1.items()}
