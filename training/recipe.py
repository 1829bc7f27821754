"""A recipe: everything that decides how a network is trained, apart from the network, the data and the machine.

Recipes are small YAML files in `training/recipes/retrain`, or the user's own; what a file leaves out has the default
below.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from searchspace.schema import Fields, dump_yaml, nearest, show
from searchspace.settings import Settings, commented, given_in, setting
from training import recipe_files
from training.machine.precision import TRAINING
from training.names import OPTIMIZERS
from video.augmentation import Augmentation

KIND = "retrain"
"""Folder of these recipes, and the command that takes them."""

GROUPS = ("kernels", "classifier", "biases", "norms", "scalars")
"""Kinds of parameters that weight decay tells apart; see `training.steps.parameter_groups`."""


class Schedule(Settings, where="schedule"):
    """How long, and the learning rate over it: linear warm-up, then cosine."""

    epochs: float = setting("passes over the training clips", 0.001, 1e6, "epochs", default=10.0)
    epoch_clips: int = setting(
        "of an epoch of the built-in data, which never repeats; a folder has its own", 1, 10**9, "clips", default=2048
    )
    least_steps: int = setting(
        "of a training at least: epochs of a few tens of clips are a few steps", 0, 10**9, "steps", default=0
    )
    warmup_epochs: float = setting("of the linear rise", 0, 1e6, "epochs", default=0.5)
    floor: float = setting("where the cosine ends, as a share of the peak", 0, 1, default=0.0)


class Optimizer(Settings, where="optimizer"):
    """Who moves the weights."""

    name: str = setting(
        "of the weights: sgd with Nesterov momentum, rmsprop as TensorFlow computes it", default="sgd", words=OPTIMIZERS
    )
    lr: float = setting("peak of the learning rate", 0, 1000, default=0.04)
    batch: int = setting("clips a step", 1, 1_000_000, "clips", default=16)
    momentum: float = setting("of sgd and rmsprop; the first beta of adamw", 0, 0.9999, default=0.9)
    decay: float | None = setting(
        "of the average of squared gradients",
        0,
        0.999999,
        default=None,
        otherwise="0.9 (rho) in rmsprop, 0.999 (second beta) in adamw",
    )
    epsilon: float | None = setting(
        "inside the root in rmsprop", 0, 1e3, default=None, otherwise="1 in rmsprop, 1e-8 in adamw"
    )
    weight_decay: float = setting(
        "coefficient c of c/2 |w|^2; part of the gradient, in adamw apart from it", 0, 1, default=0.0
    )
    decayed: tuple[str, ...] = setting(
        "kinds of parameters that weight decay acts on", default=("kernels",), words=GROUPS
    )
    clip_each: float = setting(
        "largest norm of the gradient of any one parameter (clipnorm of Keras); 0 for none", 0, 1e6, default=0.0
    )
    clip_all: float = setting("largest norm of all gradients together; 0 for none", 0, 1e6, default=0.0)


class Loss(Settings, where="loss"):
    """What is minimised."""

    label_smoothing: float = setting("share of the target that is spread over all classes", 0, 0.9, default=0.1)
    balance: float = setting(
        "clips count as the size of their class to the power of -balance: 1: all classes alike", 0, 1, default=0.0
    )
    mixup: float = setting(
        "alpha of the Beta distribution of mixed pairs (Zhang et al., arXiv 1710.09412); 0 for none",
        0,
        100,
        default=0.0,
    )
    distillation: float = setting(
        "weight of the teacher against the labels, with --teacher (Hinton et al., arXiv 1503.02531)", 0, 1, default=0.5
    )
    temperature: float = setting("of the teacher and the student in distillation", 0.01, 100, default=2.0)
    smoothness: float = setting(
        "weight of the acceleration of features over time, see training/steps/losses.py; 0 for none",
        0,
        100,
        default=0.0,
    )


class Network(Settings, where="network"):
    """What training changes in the network."""

    dropout: float | None = setting("before the classifier", 0, 0.99, default=None, otherwise="the architecture's")
    drop_path: float | None = setting(
        "stochastic depth of the last layer, linear over layers", 0, 0.99, default=None, otherwise="the architecture's"
    )
    residual: float = setting(
        "where residual scalars start; the authors' 0 makes a short training slow to begin", 0, 2, default=0.0
    )
    average: float = setting(
        "decay of the moving average of weights that is evaluated and kept; 0 for none", 0, 0.999999, default=0.0
    )
    recalibrate: int = setting(
        "training clips for BatchNorm's statistics at a scoring; 0: moving averages", 0, 1_000_000, "clips", default=0
    )
    freeze_epochs: float = setting(
        "epochs in which only the classifier learns, after --init", 0, 1e6, "epochs", default=0.0
    )


class Compute(Settings, where="compute"):
    """How the same step is computed with less memory or time. Clips are channels-last in memory always."""

    precision: str = setting(
        "of the maps, by autocast; float16 has a scaled loss, and is for CUDA only", default="float32", words=TRAINING
    )
    accumulate: int = setting(
        "pieces that a batch is cut into, one after another; BatchNorm sees a piece", 1, 65536, "pieces", default=1
    )
    subclips: int = setting(
        "pieces in time of a causal network's clips; the state goes on, detached", 1, 4096, "pieces", default=1
    )
    checkpointing: bool = setting("compute activations twice instead of keeping them", default=False)
    compile: bool = setting("run the network through torch.compile", default=False)


class Evaluation(Settings, where="evaluation"):
    """How it is watched."""

    clips: int | None = setting(
        "held-out clips scored after every epoch, for the best checkpoint",
        1,
        10**9,
        "clips",
        default=None,
        otherwise="all",
    )
    least_steps: int = setting(
        "between two scorings, at least: of a few clips they cost more than the training", 0, 10**9, "steps", default=0
    )
    patience: int = setting(
        "scorings in a row without a better one that end the training; 0 for none", 0, 1_000_000, "scorings", default=0
    )
    views: int = setting(
        "temporal crops of each clip of a real video, whose probabilities are averaged", 1, 100, "crops", default=1
    )


SECTIONS: dict[str, type[Settings]] = {
    "schedule": Schedule,
    "optimizer": Optimizer,
    "loss": Loss,
    "network": Network,
    "augmentation": Augmentation,
    "compute": Compute,
    "evaluation": Evaluation,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """A whole recipe; every section refuses values that it cannot have when it is made (raises `ValueError`)."""

    schedule: Schedule = dataclasses.field(default_factory=Schedule)
    optimizer: Optimizer = dataclasses.field(default_factory=Optimizer)
    loss: Loss = dataclasses.field(default_factory=Loss)
    network: Network = dataclasses.field(default_factory=Network)
    augmentation: Augmentation = dataclasses.field(default_factory=Augmentation)
    compute: Compute = dataclasses.field(default_factory=Compute)
    evaluation: Evaluation = dataclasses.field(default_factory=Evaluation)

    def __post_init__(self) -> None:
        for name, kind in SECTIONS.items():
            if not isinstance(getattr(self, name), kind):
                raise ValueError(f"{name} is {show(getattr(self, name))}; allowed: {kind.__name__}(...)")
        pieces = self.compute.accumulate
        if self.optimizer.batch % pieces:
            raise ValueError(
                f"optimizer.batch is {self.optimizer.batch}, which compute.accumulate = {pieces} does not divide; "
                "allowed: pieces of equal size"
            )

    @classmethod
    def from_dict(cls, data: object, where: str) -> Recipe:
        """Reads nested plain data; raises `ValueError` for an unknown key (names the nearest) or value."""
        top = Fields(data, where)
        sections = {name: _section(kind, top.raw(name, {}), f"{where}: {name}") for name, kind in SECTIONS.items()}
        top.done()
        return cls(**sections)

    @classmethod
    def load(cls, name_or_path: str | os.PathLike[str]) -> Recipe:
        """A recipe of ours by name, or the user's file.

        Raises:
            ValueError: no such recipe or file, unknown keys, values that are not allowed.
        """
        return cls.from_dict(recipe_files.read(KIND, name_or_path), str(name_or_path))

    @classmethod
    def from_flat(cls, data: Mapping[str, Any]) -> Recipe:
        """Undoes `flat`."""
        return cls().changed(data)

    def changed(self, settings: Mapping[str, Any]) -> Recipe:
        """The recipe with some values changed, by their dotted names such as `optimizer.lr`.

        Raises:
            ValueError: an unknown name (names the nearest), or a value that is not allowed.
        """
        known = self.flat()
        sections: dict[str, dict[str, Any]] = {}
        for key, value in settings.items():
            if key not in known:
                ends = [name for name in known if name.partition(".")[2] == key]
                near = f"; did you mean '{ends[0]}'?" if ends else nearest(key, known)
                raise ValueError(f"unknown setting {key!r}{near} (nas config --print lists them)")
            section, _, name = key.partition(".")
            sections.setdefault(section, {})[name] = value
        return dataclasses.replace(
            self, **{section: dataclasses.replace(getattr(self, section), **some) for section, some in sections.items()}
        )

    def flat(self) -> dict[str, Any]:
        """Plain data, one level, by dotted names: what a run's configuration stores and a resume compares."""
        return {f"{s}.{key}": value for s, section in self.to_dict().items() for key, value in section.items()}

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Nested plain data."""
        return {name: getattr(self, name).to_dict() for name in SECTIONS}

    def to_yaml(self) -> str:
        """The text of a recipe file with every value in it."""
        return dump_yaml(self.to_dict())

    def commented(self) -> str:
        """The same, with what every value means and what is allowed above it."""
        return "".join(f"{name}:\n{commented(getattr(self, name), '  ')}" for name in SECTIONS)


def check_recipe(value: object) -> None:
    """Refuses a setting that is no recipe (raises `ValueError`)."""
    if not isinstance(value, Recipe):
        raise ValueError(f"recipe is {show(value)}; allowed: a Recipe, such as Recipe.load('demo')")


def _section(kind: type[Settings], data: object, where: str) -> Any:
    given = given_in(kind, data, where)
    try:
        return kind(**given)
    except ValueError as error:
        raise ValueError(f"{where.partition(':')[0]}: {error}") from None
