"""Weights in files: ours, those of other projects, trained networks as folders; and networks created with them."""

from networks.weights.convert_weights import Imported, import_weights
from networks.weights.create_network import create, names
from networks.weights.saved_weights import check_size, load_weights, misfit, save_weights
from networks.weights.trained_network import Trained, load, save_trained

__all__ = [
    "Imported",
    "Trained",
    "check_size",
    "create",
    "import_weights",
    "load",
    "load_weights",
    "misfit",
    "names",
    "save_trained",
    "save_weights",
]
