"""Networks of one architecture each, and ensembles of them: layers, states, creation by name or file, weights."""

from networks.inference import FusedMoViNet
from networks.kernels import formulation
from networks.movinet import MoViNet
from networks.registry import build, register
from networks.states import gather, reset, scatter
from networks.stream import Stream
from networks.temporal import State
from networks.temporal_ensemble import FusedEnsemble, TemporalEnsemble
from networks.unfolding import is_folded, unfold_
from networks.video_network import Network, VideoNetwork
from networks.weights import Imported, Trained, create, import_weights, load, load_weights, save_trained, save_weights
from networks.weights import names as list

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
    "VideoNetwork",
    "build",
    "create",
    "formulation",
    "gather",
    "import_weights",
    "is_folded",
    "list",
    "load",
    "load_weights",
    "register",
    "reset",
    "save_trained",
    "save_weights",
    "scatter",
    "unfold_",
]
