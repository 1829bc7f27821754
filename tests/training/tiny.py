"""A trained network of nothing: tiny, with live weights, in a run's folders."""

import dataclasses
from pathlib import Path

import numpy as np

import networks
from networks import save_trained
from searchspace import Architecture, parse_yaml
from searchspace.space import read_space
from tests.networks.live_networks import randomise_
from tests.training.small import SPACE


def tiny(classes: int = 3, stream: bool = False, seed: int = 0) -> Architecture:
    """A network of the small space at 4x32x32@5."""
    space = read_space(parse_yaml(SPACE, "small"), "small").with_classes(classes)
    architecture = space.architecture(space.decisions.sample(np.random.default_rng(seed), 1)[0], f"tiny-{seed}")
    return architecture.streaming() if stream else architecture


def trained_run(
    folder: Path,
    classes: tuple[str, ...] = ("a", "b", "c"),
    *,
    stream: bool = True,
    seed: int = 0,
    architecture: int = 0,
    accuracy: float = 0.5,
    data: dict[str, object] | None = None,
) -> Path:
    """Writes `checkpoints/best` into a run's folder and returns that folder."""
    made = tiny(len(classes), stream, architecture)
    network = networks.create(dataclasses.replace(made, provenance={"retraining_seed": seed}))
    randomise_(network, seed)
    save_trained(
        folder / "checkpoints" / "best",
        network,
        classes=classes,
        recipe={"name": "demo"},
        data=data or {},
        metrics={"accuracy": accuracy},
        step=100,
    )
    return folder
