"""All networks of a space over one set of weights: slicing, warm-up, extraction, recalibration."""

from supernet.extraction import extract, recalibrate
from supernet.path import Path
from supernet.supernet import Statistics, Supernet
from supernet.warmup import Centre, Warmup

__all__ = ["Centre", "Path", "Statistics", "Supernet", "Warmup", "extract", "recalibrate"]
