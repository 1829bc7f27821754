"""Networks of one architecture each, and ensembles of them: layers, states of streams, creation by name or file."""

from networks.create import create, load_weights
from networks.create import names as list
from networks.ensemble import Network, TemporalEnsemble
from networks.formulations import formulation
from networks.movinet import MoViNet
from networks.states import gather, reset, scatter
from networks.stream import Stream
from networks.temporal import State

__all__ = [
    "MoViNet",
    "Network",
    "State",
    "Stream",
    "TemporalEnsemble",
    "create",
    "formulation",
    "gather",
    "list",
    "load_weights",
    "reset",
    "scatter",
]
