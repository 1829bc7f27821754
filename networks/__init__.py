"""Networks of one architecture each: layers, states of streams, and creation from a name, a file or an architecture."""

from networks.create import create, load_weights
from networks.create import names as list
from networks.formulations import formulation
from networks.movinet import MoViNet
from networks.states import gather, reset, scatter
from networks.stream import Stream
from networks.temporal import State

__all__ = ["MoViNet", "State", "Stream", "create", "formulation", "gather", "list", "load_weights", "reset", "scatter"]
