"""A space at an exponent: its depths, base widths, clip size and frame rate multiplied and rounded."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Collection, Sequence
from typing import Any

from scaling.coefficients import Coefficients
from searchspace import Clip, Space, tabulate
from searchspace.channels import round_width
from searchspace.clip import MAX_FRAMES, MAX_SIDE
from searchspace.layer_specs import MAX_LAYERS
from searchspace.naming import named_after
from searchspace.space import MAX_NAME_OF_SPACE, read_space
from training.seeds import generator

SAMPLES = 2000
MOST_CORRECTIONS = 8
CLOSE = 0.005


@functools.lru_cache(maxsize=32)  # a trial comes back to its spaces, whose cost tables take a while, on every rung
def scale(space: Space, coefficients: Coefficients, exponent: float, ending: str = "") -> Space:
    """The space at an exponent.

    Depths are rounded to whole layers. Base widths keep their fraction; widths, expansions and the stem are rounded to
    multiples of 8, once, so that no two change places. Height, width and frames of the clip are rounded to the space's
    grid; the duration stays, and the frame rate follows from the frames.

    Args:
        space: the base.
        coefficients: of one step.
        exponent: phi; 0 gives the base's choices, negative ones smaller spaces.
        ending: of the name, behind the base's; by default the exponent.

    Raises:
        ValueError: a dimension leaves what a space can hold; names it.
    """
    factor = {key: value**exponent for key, value in coefficients.to_dict().items()}

    def layers(depths: Sequence[int]) -> list[int]:
        found = sorted({max(1, math.floor(depth * factor["depth"] + 0.5)) for depth in depths})
        if found[-1] > MAX_LAYERS:
            raise ValueError(_beyond(space, exponent, f"blocks of {found[-1]} layers", MAX_LAYERS, "depth"))
        return found

    def rescaled(part: dict[str, Any], key: str, change: Callable[[Any], Any]) -> dict[str, Any]:
        return {**part, key: change(part[key])} if key in part else part

    def width(value: float) -> float:
        exact = round(value * factor["width"], 3)
        return int(exact) if exact.is_integer() else exact

    source = dict(space.source)
    source["name"] = named_after(space.name, ending or f"{exponent:+g}", MAX_NAME_OF_SPACE)
    source["clip"] = str(scaled_clip(space, coefficients, exponent))
    if exponent:  # the stem has no multipliers, and the base's own need not be a multiple of 8
        source["stem"] = rescaled(source["stem"], "width", lambda value: round_width(value * factor["width"]))
    source["choices"] = rescaled(source.get("choices", {}), "depth", layers)
    source["blocks"] = [rescaled(rescaled(block, "depth", layers), "width", width) for block in source["blocks"]]
    source["head"] = rescaled(source["head"], "width", width)
    if not source["choices"]:
        del source["choices"]
    return read_space(source, source["name"])


def scaled_clip(space: Space, coefficients: Coefficients, exponent: float) -> Clip:
    """The space's clip at an exponent, on the space's grid."""
    clip = space.clip
    if exponent == 0:
        return clip
    side, rate = coefficients.resolution**exponent, coefficients.frame_rate**exponent

    def on_grid(exact: float, step: int, most: int, what: str) -> int:
        found = max(step, math.floor(exact / step + 0.5) * step)
        if found > most:
            raise ValueError(_beyond(space, exponent, f"clips of {found} {what}", most, what))
        return found

    frames = on_grid(clip.frames * rate, space.grid.frames, MAX_FRAMES, "frames")
    height = on_grid(clip.height * side, space.grid.resolution, MAX_SIDE, "pixels")
    width = on_grid(clip.width * side, space.grid.resolution, MAX_SIDE, "pixels")
    return Clip(frames, height, width, frames / clip.seconds)


def _beyond(space: Space, exponent: float, what: str, most: int, dimension: str) -> str:
    return (
        f"space {space.name!r} at exponent {exponent:g} would hold {what}; allowed: at most {most}; give smaller "
        f"coefficients ({dimension} here) or fewer members"
    )


def expected_macs(space: Space) -> float:
    """Mean multiply-accumulates at the space's own clip over 2,000 uniform samples, always drawn alike."""
    rows = space.decisions.sample(generator(0, "expected cost"), SAMPLES)
    return float(tabulate(space).macs(rows).mean())


@dataclasses.dataclass(frozen=True, slots=True)
class Normalised:
    """Coefficients with what a step of them does.

    Attributes:
        coefficients: of one step.
        growth: factor of the expected cost a step, measured on the rounded spaces: the geometric mean over the range.
    """

    coefficients: Coefficients
    growth: float


def normalise(space: Space, weights: Sequence[float], ratio: float, exponents: Collection[int]) -> Normalised:
    """Coefficients in given proportions of which a step multiplies the expected cost by a ratio.

    The formula alone misses the ratio by what rounding does and by what does not scale (the classifier, the stem's
    three colours), so the growth is measured on the scaled spaces and corrected until it fits within half a percent, or
    as well as rounding lets it.

    Args:
        space: the base.
        weights: proportions of the logarithm that depth, width, resolution and frame rate take.
        ratio: wanted factor a step, above 1.
        exponents: of the members; the growth is measured from the least to the greatest, which must differ.

    Raises:
        ValueError: the scaled spaces leave what a space can hold.
    """
    return _normalise(space, tuple(weights), ratio, min(exponents), max(exponents))


@functools.lru_cache(maxsize=64)
def _normalise(space: Space, weights: tuple[float, ...], ratio: float, low: int, high: int) -> Normalised:
    wanted = math.log(ratio)
    logarithm, best = wanted, None
    below, above = 0.0, math.inf
    for _ in range(MOST_CORRECTIONS):
        coefficients = Coefficients.shared_out(weights, math.exp(logarithm))
        found = measure(space, coefficients, (low, high))
        if best is None or abs(math.log(found.growth) - wanted) < abs(math.log(best.growth) - wanted):
            best = found
        if abs(found.growth / ratio - 1) < CLOSE:
            break
        if found.growth < ratio:
            below = max(below, logarithm)
        else:
            above = min(above, logarithm)
        logarithm *= wanted / max(math.log(found.growth), wanted / 2)
        if not below < logarithm < above:  # rounding makes steps, over which the correction would jump to and fro
            logarithm = (below + above) / 2
    assert best is not None
    return best


def measure(space: Space, coefficients: Coefficients, exponents: Collection[int]) -> Normalised:
    """Measures what a step of given coefficients does; see `normalise`."""
    low, high = min(exponents), max(exponents)
    least, most = (expected_macs(scale(space, coefficients, exponent)) for exponent in (low, high))
    return Normalised(coefficients, float((most / least) ** (1 / (high - low))))
