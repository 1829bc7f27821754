"""All networks of a space over one set of weights: slicing, warm-up, extraction, recalibration.

The names below are imported on first use: the command line reads the names of warm-ups without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from supernet.extraction import extract, recalibrate
    from supernet.path import Path
    from supernet.supernet import Statistics, Supernet
    from supernet.warmup import Centre, Warmup

__all__ = ["Centre", "Path", "Statistics", "Supernet", "Warmup", "extract", "recalibrate"]

_HOME = {
    "Centre": "warmup",
    "Path": "path",
    "Statistics": "supernet",
    "Supernet": "supernet",
    "Warmup": "warmup",
    "extract": "extraction",
    "recalibrate": "extraction",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'supernet' has no attribute {name!r}")
    return getattr(import_module(f"supernet.{_HOME[name]}"), name)
