"""Networks of one architecture each, and ensembles of them: layers, states, creation by name or file, weights."""

from networks.create import create
from networks.create import names as list
from networks.ensemble import FusedEnsemble, Network, TemporalEnsemble
from networks.formulations import formulation
from networks.fused import FusedMoViNet
from networks.importing import Imported, import_weights
from networks.movinet import MoViNet
from networks.states import gather, reset, scatter
from networks.stream import Stream
from networks.temporal import State
from networks.trained import Trained, load, save_trained
from networks.unfolding import is_folded, unfold_
from networks.weights import load_weights, save_weights

__all__ = [
    "FusedEnsemble",
    "FusedMoViNet",
    "Imported",
    "MoViNet",
    "Network",
    "State",
    "Stream",
    "TemporalEnsemble",
    "Trained",
    "create",
    "formulation",
    "gather",
    "import_weights",
    "is_folded",
    "list",
    "load",
    "load_weights",
    "reset",
    "save_trained",
    "save_weights",
    "scatter",
    "unfold_",
]
