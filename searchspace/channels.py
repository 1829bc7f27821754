"""Numbers of channels as a space offers them: ratios of a base width, rounded to multiples of 8."""

from __future__ import annotations

import math
from typing import Any

from searchspace.schema import Fields, show


def round_width(exact: float) -> int:
    """Multiple of 8 by floor(x / 8 + 0.5) * 8, at least 8; fits every width of the released A2."""
    return max(8, math.floor(exact / 8 + 0.5) * 8)


def read_channels(
    source: Fields, key: str, ratios: list[Any], owner: Fields, base: float, most: int
) -> tuple[int, ...]:
    """Channels of each ratio of `source.key` times the base width of `owner`, rounded, ascending, equal ones merged.

    Raises:
        ValueError: a ratio that is no number above 0, is above 64, or gives more than `most` channels.
    """
    for ratio in ratios:
        if type(ratio) not in (int, float) or not 0 < ratio <= 64 or base * ratio > most:
            raise ValueError(
                f"{source.where}.{key} holds {show(ratio)}; allowed: numbers above 0 and at most 64 "
                f"that times the width {base:g} of {owner.where} are at most {most}"
            )
    return tuple(sorted({round_width(base * ratio) for ratio in ratios}))
