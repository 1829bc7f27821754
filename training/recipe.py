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
from searchspace.settings import Settings, commented, setting
from training import recipe_files
from training.names import OPTIMIZERS
from training.precision import TRAINING
from video.augmentation import Augmentation

KIND = "retrain"
"""Folder of these recipes, and the command that takes them."""

GROUPS = ("kernels", "classifier", "biases", "norms", "scalars")
"""Kinds of parameters that weight decay tells apart; see `training.parameters`."""


class Schedule(Settings, where="schedule"):
    """How long, and the learning rate over it: linear warm-up, then cosine."""

    epochs: float = setting(default=10.0, low=0.001, high=1e6, unit="epochs", help="passes over the training clips")
    epoch_clips: int = setting(
        default=2048,
        low=1,
        high=1_000_000_000,
        unit="clips",
        help="what counts as an epoch of the built-in data, which has as many clips as one asks for: none comes twice; "
        "a folder of videos has epochs of its own",
    )
    least_steps: int = setting(
        default=0,
        low=0,
        high=1_000_000_000,
        unit="steps",
        help="of a training, whatever its epochs: of a few tens of clips these are a few steps",
    )
    warmup_epochs: float = setting(default=0.5, low=0, high=1e6, unit="epochs", help="of the linear rise")
    floor: float = setting(default=0.0, low=0, high=1, help="where the cosine ends, as a share of the peak")


class Optimizer(Settings, where="optimizer"):
    """Who moves the weights."""

    name: str = setting(
        default="sgd",
        words=OPTIMIZERS,
        help="of the weights: sgd with Nesterov momentum, rmsprop as TensorFlow computes it",
    )
    lr: float = setting(default=0.04, low=0, high=1000, help="peak of the learning rate")
    batch: int = setting(default=16, low=1, high=1_000_000, unit="clips", help="clips a step")
    momentum: float = setting(default=0.9, low=0, high=0.9999, help="of sgd and rmsprop; the first beta of adamw")
    decay: float | None = setting(
        default=None,
        low=0,
        high=0.999999,
        otherwise="0.9 in rmsprop, 0.999 in adamw",
        help="of the average of squared gradients: rho of rmsprop, second beta of adamw",
    )
    epsilon: float | None = setting(
        default=None, low=0, high=1e3, otherwise="1 in rmsprop, 1e-8 in adamw", help="inside the root in rmsprop"
    )
    weight_decay: float = setting(
        default=0.0, low=0, high=1, help="coefficient c of c/2 |w|^2; part of the gradient, in adamw apart from it"
    )
    decayed: tuple[str, ...] = setting(
        default=("kernels",), words=GROUPS, help="kinds of parameters that weight decay acts on"
    )
    clip_each: float = setting(
        default=0.0,
        low=0,
        high=1e6,
        help="largest norm of the gradient of any one parameter (clipnorm of Keras); 0 for none",
    )
    clip_all: float = setting(default=0.0, low=0, high=1e6, help="largest norm of all gradients together; 0 for none")


class Loss(Settings, where="loss"):
    """What is minimised."""

    label_smoothing: float = setting(
        default=0.1, low=0, high=0.9, help="share of the target that is spread over all classes"
    )
    balance: float = setting(
        default=0.0,
        low=0,
        high=1,
        help="1 has every class count as much as any other, however many clips it has; 0 every clip; between them, "
        "clips of a class count as its size to the power of -balance",
    )
    mixup: float = setting(
        default=0.0,
        low=0,
        high=100,
        help="alpha of the Beta distribution of mixed pairs of clips (Zhang et al., arXiv 1710.09412); 0 for none",
    )
    distillation: float = setting(
        default=0.5,
        low=0,
        high=1,
        help="weight of the teacher against the labels, where there is a teacher (Hinton et al., arXiv 1503.02531)",
    )
    temperature: float = setting(default=2.0, low=0.01, high=100, help="of the teacher and the student in distillation")
    smoothness: float = setting(
        default=0.0,
        low=0,
        high=100,
        help="weight of the acceleration of features from frame to frame (training/losses.py); 0 for none",
    )


class Network(Settings, where="network"):
    """What training changes in the network."""

    dropout: float | None = setting(
        default=None, low=0, high=0.99, otherwise="the architecture's", help="before the classifier"
    )
    drop_path: float | None = setting(
        default=None,
        low=0,
        high=0.99,
        otherwise="the architecture's",
        help="stochastic depth of the last layer, which grows linearly from the first",
    )
    residual: float = setting(
        default=0.0,
        low=0,
        high=2,
        help="where residual scalars start; the authors' 0 makes a short training slow to begin",
    )
    average: float = setting(
        default=0.0,
        low=0,
        high=0.999999,
        help="decay of the moving average of weights that is evaluated and kept; 0 for none",
    )
    recalibrate: int = setting(
        default=0,
        low=0,
        high=1_000_000,
        unit="clips",
        help="training clips that BatchNorm's statistics are taken from whenever the network is scored and kept; 0 for "
        "its moving averages, which lag behind in a training of a few hundred steps",
    )
    freeze_epochs: float = setting(
        default=0.0, low=0, high=1e6, unit="epochs", help="epochs in which only the classifier learns, after --init"
    )


class Compute(Settings, where="compute"):
    """How the same step is computed with less memory or time. Clips are channels-last in memory always."""

    precision: str = setting(
        default="float32",
        words=TRAINING,
        help="of the maps: bfloat16 by autocast, float16 by autocast with a scaled loss (CUDA only)",
    )
    accumulate: int = setting(
        default=1,
        low=1,
        high=65536,
        unit="pieces",
        help="pieces that a batch is cut into, one after another; BatchNorm sees a piece",
    )
    subclips: int = setting(
        default=1,
        low=1,
        high=4096,
        unit="pieces",
        help="pieces that a clip of a causal network is cut into in time, with its state carried and detached from one "
        "to the next; memory is that of one piece",
    )
    checkpointing: bool = setting(default=False, help="compute activations twice instead of keeping them")
    compile: bool = setting(default=False, help="run the network through torch.compile")


class Evaluation(Settings, where="evaluation"):
    """How it is watched."""

    clips: int | None = setting(
        default=None,
        low=1,
        high=1_000_000_000,
        unit="clips",
        otherwise="all",
        help="held-out clips scored after every epoch, which decide the best checkpoint",
    )
    least_steps: int = setting(
        default=0,
        low=0,
        high=1_000_000_000,
        unit="steps",
        help="between two scorings, which of a few tens of clips are not worth their time after every epoch",
    )
    patience: int = setting(
        default=0,
        low=0,
        high=1_000_000,
        unit="scorings",
        help="scorings in a row without a better one after which the training ends; 0 never ends it early",
    )
    views: int = setting(
        default=1,
        low=1,
        high=100,
        unit="crops",
        help="temporal crops of each clip of a real video, whose probabilities are averaged",
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
    fields = Fields(data, where)
    given = {name: fields.raw(name, None) for name in kind.declared}
    fields.done()
    try:
        return kind(**{name: value for name, value in given.items() if fields.has(name)})
    except ValueError as error:
        raise ValueError(f"{where.partition(':')[0]}: {error}") from None
