"""Names that settings take, of what is built with torch: here they can be read without it."""

from __future__ import annotations

OPTIMIZERS = {"sgd": 1, "adamw": 2, "rmsprop": 2}
"""Optimisers of `training.steps.optimizers`, and how many copies of the weights each keeps."""

FORMULATIONS = ("fast", "reference")
"""Those of `networks.formulation`."""

DEVICES = ("cpu", "cuda")
