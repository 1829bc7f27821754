"""How much reading a file may cost before it is given up: no file holds a scan or a training for ever."""

import dataclasses
import math
import os


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """What is spent on one file; our choices, each settable by an environment variable, which worker processes inherit.

    Attributes:
        read_bytes: bytes that are read without a frame coming out (MOVINAS_READ_BYTES).
        read_seconds: seconds that pass without a frame coming out (MOVINAS_READ_SECONDS).
        item_seconds: seconds that a worker process may take for one video before it is replaced (MOVINAS_ITEM_SECONDS).
    """

    read_bytes: int = 64 << 20
    read_seconds: float = 10.0
    item_seconds: float = 60.0


def limits() -> Limits:
    """The limits in force.

    Raises:
        ValueError: a variable that is no number above 0.
    """
    default = Limits()
    return Limits(
        int(_number("MOVINAS_READ_BYTES", default.read_bytes)),
        _number("MOVINAS_READ_SECONDS", default.read_seconds),
        _number("MOVINAS_ITEM_SECONDS", default.item_seconds),
    )


def _number(variable: str, default: float) -> float:
    text = os.environ.get(variable)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ValueError(f"{variable}={text!r} is not allowed: give a number above 0, such as {default:g}")
    return value
