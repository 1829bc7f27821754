"""All networks of a space at once over one set of weights."""

from supernet.extraction import extract, recalibrate
from supernet.slicing import Statistics
from supernet.supernet import Path, Supernet
from supernet.warmup import STRATEGIES, central, warm_up

__all__ = ["STRATEGIES", "Path", "Statistics", "Supernet", "central", "extract", "recalibrate", "warm_up"]
