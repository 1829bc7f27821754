"""A recipe: everything that decides how a network is trained, apart from the network, the data and the machine.

Recipes are small YAML files in `training/recipes`, or the user's own; what a file leaves out has the default below.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from importlib import resources
from typing import Any

from searchspace.naming import located
from searchspace.schema import Fields, dump_yaml, nearest, parse_yaml, read_text, show
from video.augmentation import Augmentation

GROUPS = ("kernels", "classifier", "biases", "norms", "scalars")
"""Kinds of parameters that weight decay tells apart; see `training.parameters`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long, and the learning rate over it: linear warm-up, then cosine.

    Attributes:
        epochs: passes over the training clips.
        epoch_clips: what counts as an epoch of the built-in data, which has as many clips as one asks for: none comes
            twice. A folder of videos has epochs of its own.
        least_steps: of a training, whatever its epochs: of a few tens of clips these are a few steps.
        warmup_epochs: of the linear rise.
        floor: where the cosine ends, as a share of the peak.
    """

    epochs: float = 10.0
    epoch_clips: int = 2048
    least_steps: int = 0
    warmup_epochs: float = 0.5
    floor: float = 0.0

    def __post_init__(self) -> None:
        fields = Fields(dataclasses.asdict(self), "schedule")
        fields.number("epochs", 0.001, 1e6)
        fields.integer("epoch_clips", 1, 1_000_000_000)
        fields.integer("least_steps", 0, 1_000_000_000)
        fields.number("warmup_epochs", 0, 1e6)
        fields.number("floor", 0, 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Optimizer:
    """Who moves the weights.

    Attributes:
        name: `sgd` (Nesterov), `adamw` or `rmsprop` (as TensorFlow computes it).
        lr: peak of the learning rate.
        batch: clips a step.
        momentum: of sgd and rmsprop; the first beta of adamw.
        decay: of the average of squared gradients; None for 0.9 in rmsprop (its rho), 0.999 in adamw (second beta).
        epsilon: None for 1 in rmsprop (inside the root), 1e-8 in adamw.
        weight_decay: coefficient c of c/2 |w|^2; part of the gradient, in adamw apart from it.
        decayed: kinds of parameters that weight decay acts on (`GROUPS`).
        clip_each: largest norm of the gradient of any one parameter (Keras' clipnorm); 0 for none.
        clip_all: largest norm of all gradients together; 0 for none.
    """

    name: str = "sgd"
    lr: float = 0.04
    batch: int = 16
    momentum: float = 0.9
    decay: float | None = None
    epsilon: float | None = None
    weight_decay: float = 0.0
    decayed: tuple[str, ...] = ("kernels",)
    clip_each: float = 0.0
    clip_all: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "decayed", tuple(self.decayed) if isinstance(self.decayed, list) else self.decayed)
        fields = Fields(dataclasses.asdict(self), "optimizer")
        fields.one_of("name", ["sgd", "adamw", "rmsprop"])
        fields.number("lr", 0, 1000)
        fields.integer("batch", 1, 1_000_000)
        fields.number("momentum", 0, 0.9999)
        for key, high in (("decay", 0.999999), ("epsilon", 1e3)):
            if getattr(self, key) is not None:
                fields.number(key, 0, high)
        fields.number("weight_decay", 0, 1)
        if not isinstance(self.decayed, tuple):
            raise fields.refuse("decayed", self.decayed, f"a list of {', '.join(GROUPS)}")
        for kind in self.decayed:
            Fields({"decayed": kind}, "optimizer").one_of("decayed", GROUPS)
        fields.number("clip_each", 0, 1e6)
        fields.number("clip_all", 0, 1e6)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loss:
    """What is minimised.

    Attributes:
        label_smoothing: share of the target that is spread over all classes.
        balance: 1 has every class count as much as any other, however many clips it has; 0 every clip; between them,
            clips of a class count as its size to the power of -balance.
        mixup: alpha of the Beta distribution of mixed pairs of clips (Zhang et al., arXiv 1710.09412); 0 for none.
        distillation: weight of the teacher against the labels, where there is a teacher (Hinton et al., 1503.02531).
        temperature: of the teacher and the student in distillation.
        smoothness: weight of the acceleration of features from frame to frame (`training.losses`); 0 for none.
    """

    label_smoothing: float = 0.1
    balance: float = 0.0
    mixup: float = 0.0
    distillation: float = 0.5
    temperature: float = 2.0
    smoothness: float = 0.0

    def __post_init__(self) -> None:
        fields = Fields(dataclasses.asdict(self), "loss")
        fields.number("label_smoothing", 0, 0.9)
        fields.number("balance", 0, 1)
        fields.number("mixup", 0, 100)
        fields.number("distillation", 0, 1)
        fields.number("temperature", 0.01, 100)
        fields.number("smoothness", 0, 100)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network:
    """What training changes in the network.

    Attributes:
        dropout: before the classifier; None for the architecture's own.
        drop_path: stochastic depth of the last layer, which grows linearly from the first; None for the architecture's.
        residual: where residual scalars start; the authors' 0 makes a short training slow to begin.
        average: decay of the moving average of weights that is evaluated and kept; 0 for none.
        recalibrate: training clips that BatchNorm's statistics are taken from whenever the network is scored and kept;
            0 for its moving averages, which lag behind in a training of a few hundred steps.
        freeze_epochs: epochs in which only the classifier learns, after `--init`.
    """

    dropout: float | None = None
    drop_path: float | None = None
    residual: float = 0.0
    average: float = 0.0
    recalibrate: int = 0
    freeze_epochs: float = 0.0

    def __post_init__(self) -> None:
        fields = Fields(dataclasses.asdict(self), "network")
        for key in ("dropout", "drop_path"):
            if getattr(self, key) is not None:
                fields.number(key, 0, 0.99)
        fields.number("residual", 0, 2)
        fields.number("average", 0, 0.999999)
        fields.integer("recalibrate", 0, 1_000_000)
        fields.number("freeze_epochs", 0, 1e6)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compute:
    """How the same step is computed with less memory or time. Clips are channels-last in memory always.

    Attributes:
        precision: `float32`, `bfloat16` (autocast), or `float16` (autocast with a scaled loss; CUDA only).
        accumulate: pieces that a batch is cut into, one after another; BatchNorm sees a piece.
        subclips: pieces that a clip of a causal network is cut into in time, with its state carried and detached from
            one to the next; memory is that of one piece.
        checkpointing: compute activations twice instead of keeping them.
        compile: run the network through torch.compile.
    """

    precision: str = "float32"
    accumulate: int = 1
    subclips: int = 1
    checkpointing: bool = False
    compile: bool = False

    def __post_init__(self) -> None:
        fields = Fields(dataclasses.asdict(self), "compute")
        fields.one_of("precision", ["float32", "bfloat16", "float16"])
        fields.integer("accumulate", 1, 65536)
        fields.integer("subclips", 1, 4096)
        fields.boolean("checkpointing")
        fields.boolean("compile")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How it is watched.

    Attributes:
        clips: held-out clips scored after every epoch, which decide the best checkpoint; None for all.
        least_steps: between two scorings, which of a few tens of clips are not worth their time after every epoch.
        patience: scorings in a row without a better one after which the training ends; 0 never ends it early.
        views: temporal crops of each clip of a real video, whose probabilities are averaged.
    """

    clips: int | None = None
    least_steps: int = 0
    patience: int = 0
    views: int = 1

    def __post_init__(self) -> None:
        fields = Fields(dataclasses.asdict(self), "evaluation")
        if self.clips is not None:
            fields.integer("clips", 1, 1_000_000_000)
        fields.integer("least_steps", 0, 1_000_000_000)
        fields.integer("patience", 0, 1_000_000)
        fields.integer("views", 1, 100)


SECTIONS: dict[str, type[Any]] = {
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
        if str(name_or_path) in names():
            text = resources.files("training").joinpath(f"recipes/{name_or_path}.yaml").read_text(encoding="utf-8")
        elif is_file(name_or_path):
            text = read_text(located(name_or_path), "recipe")
        else:
            raise ValueError(
                f"recipe {str(name_or_path)!r} is not known{nearest(str(name_or_path), names())} "
                f"(known: {', '.join(names())}; or give a .yaml file)"
            )
        return cls.from_dict(parse_yaml(text, str(name_or_path)) or {}, str(name_or_path))

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
            self,
            **{section: dataclasses.replace(getattr(self, section), **some) for section, some in sections.items()},
        )

    def flat(self) -> dict[str, Any]:
        """Plain data, one level, by dotted names: what a run's configuration stores and a resume compares."""
        return {f"{s}.{key}": value for s, section in self.to_dict().items() for key, value in section.items()}

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Nested plain data."""
        data: dict[str, dict[str, Any]] = dataclasses.asdict(self)
        plain = {name: {k: list(v) if isinstance(v, tuple) else v for k, v in s.items()} for name, s in data.items()}
        return plain

    def to_yaml(self) -> str:
        """The text of a recipe file with every value in it."""
        return dump_yaml(self.to_dict())


def check_recipe(value: object) -> None:
    """Refuses a setting that is no recipe (raises `ValueError`)."""
    if not isinstance(value, Recipe):
        raise ValueError(f"recipe is {show(value)}; allowed: a Recipe, such as Recipe.load('demo')")


def is_file(name_or_path: str | os.PathLike[str]) -> bool:
    """Whether a recipe is meant as a user's file, not by name."""
    return str(name_or_path).endswith((".yaml", ".yml"))


def names() -> tuple[str, ...]:
    """The recipes that come with the project."""
    found = (item.name for item in resources.files("training").joinpath("recipes").iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in found if name.endswith(".yaml")))


def _section(kind: type[Any], data: object, where: str) -> Any:
    fields = Fields(data, where)
    given = {}
    for field in dataclasses.fields(kind):
        if fields.has(field.name):
            value = fields.raw(field.name)
            given[field.name] = tuple(value) if isinstance(value, list) else value
        else:
            fields.raw(field.name, None)
    fields.done()
    try:
        return kind(**given)
    except ValueError as error:
        raise ValueError(f"{where.partition(':')[0]}: {error}") from None
