"""Networks of one architecture each: layers, formulations, and creation from a name, a file or an architecture."""

from networks.create import create, load_weights, names
from networks.formulations import formulation
from networks.movinet import MoViNet

__all__ = ["MoViNet", "create", "formulation", "load_weights", "names"]
