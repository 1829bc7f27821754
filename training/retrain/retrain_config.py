"""Everything that decides a retraining, resolved: what a run folder stores and a resume compares."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from searchspace import Clip, Ensemble, NetworkSpec, load_spec
from searchspace.layer_specs import MAX_NAME
from searchspace.naming import absolute, located
from searchspace.schema import nearest
from searchspace.settings import setting
from searchspace.trained_folder import ARCHITECTURE
from training import recipe_files
from training.data_parts import Fold
from training.recipe import KIND, Recipe, check_recipe
from training.retrain.chosen_clip import fitting
from training.retrain.footprint import KEPT, check_batch, checkpoint_bytes
from training.run import RunFolder, SearchRun, check_settings, find_run, settled
from training.run_settings import MachineSettings, RunSettings, clip_text
from video.motion_classes import MOTION_CLASSES

MOTION_CLIP = "8x64x64@5"
"""Of the built-in data, for networks that were not searched on it: what a CPU trains on in minutes."""


SCRATCH = "none"
"""As `init`, on the command line: no weights, although there are some."""


class RetrainConfig(MachineSettings, RunSettings):
    """Settings of a retraining beside its recipe.

    Attributes:
        recipe: how to train.
    """

    arch: str = setting("what was asked for, as it was written", default="arch.json", form="ARCH")
    init: str | None = setting(
        f"trained network, file of weights, or run of nas search to start from, or {SCRATCH}",
        default=None,
        form="WEIGHTS",
        otherwise="those of ARCH, where it has any",
    )
    teacher: str | None = setting("a trained network whose answers are learned, too", default=None, form="NETWORK")
    ensemble: int = setting("members that take turns at the frames; 1: the network itself", 1, 16, "members", default=1)
    fold: str | None = setting(
        "fold of a cross-validation, such as 2/5: these groups test", default=None, reads=Fold.parse, form="K/N"
    )
    clip: str = setting(
        "clips to train on, for which the trained network is meant, such as 8x128x128@5",
        default=MOTION_CLIP,
        reads=clip_text,
        form="TxHxW@FPS",
        otherwise="as the architecture and the data say",
    )
    stream: bool = setting("the architecture in its causal form, which runs frame by frame", default=False)
    recipe_name: str = setting("name of the recipe before settings of the user's own", default="demo", form="RECIPE")
    recipe: Recipe
    keep: int = setting(
        "checkpoints to go on from that stay, beside the best and the last", 1, 10_000, "checkpoints", default=KEPT
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_recipe(self.recipe)

    @property
    def views(self) -> int:
        """Temporal crops that a clip is scored by; the built-in data has one."""
        return 1 if self.data is None else self.recipe.evaluation.views

    def to_dict(self) -> dict[str, Any]:
        """Plain data of one level, the recipe's by dotted names; for config.json."""
        plain = super().to_dict()
        del plain["recipe"]
        return plain | self.recipe.flat()

    @classmethod
    def stored(cls, data: Mapping[str, Any]) -> RetrainConfig:
        """Reads what `to_dict` gave.

        Raises:
            ValueError: other settings than this version has, or a value that is not allowed.
        """
        flat = {key: value for key, value in data.items() if "." in key}
        check_settings({*cls.declared, *Recipe().flat()}, data)
        return cls(recipe=Recipe.from_flat(flat), **{key: data[key] for key in cls.declared})


@dataclasses.dataclass(frozen=True)
class Resolved:
    """A configuration, the networks that it trains, and what to tell the user about choices that were made for them.

    Attributes:
        config: the settings.
        members: the networks to train, one unless there is an ensemble; classes are those of the file still.
        ensemble: of the members, or None.
        remarks: one line each.
    """

    config: RetrainConfig
    members: tuple[NetworkSpec, ...]
    ensemble: Ensemble | None
    remarks: tuple[str, ...]

    @property
    def checkpoint_bytes(self) -> int:
        """Disk that the checkpoints take; of a folder of videos with the classes of the architecture, about."""
        members = self.members
        if self.config.data is None:
            members = tuple(member.with_classes(len(MOTION_CLASSES)) for member in members)
        return checkpoint_bytes(members, self.config.recipe, self.config.keep)


def resolve(
    architecture: NetworkSpec, given: Mapping[str, Any], weights: str | os.PathLike[str] | None = None
) -> Resolved:
    """Fills what was not given, from where the architecture came from.

    Args:
        architecture: what to train.
        weights: that come with it, to start from where no others are given; those of a search on the data of the search
            only.
        given: settings of `RetrainConfig` by name, those of the recipe by dotted name; `recipe` is the name of one or
            the path of a file.

    Raises:
        ValueError: an unknown setting (names the nearest), a value that is not allowed, or data that is not there.
    """
    settings = settled(given)
    name = settings.pop("recipe", None)
    dotted = {key: settings.pop(key) for key in list(settings) if "." in key}
    known = [field.name for field in dataclasses.fields(RetrainConfig) if field.name != "recipe_name"]
    for key in settings:
        if key not in known:
            every = [*known, *Recipe().flat()]
            ends = [full for full in every if full.partition(".")[2] == key]
            near = f"; did you mean '{ends[0]}'?" if ends else nearest(key, every)
            raise ValueError(f"unknown setting {key!r}{near} (nas config --print lists those of a recipe)")
    origin, remarks = architecture.provenance, []
    if "data" not in settings:
        data, remark = _data(origin)
        remarks.append(remark)
        settings["data"] = data
        if data is not None:
            settings = {"group": origin.get("group"), "videos": origin.get("videos"), **settings}
    if "init" not in settings and weights is not None:
        shared = isinstance(find_run(weights), SearchRun)
        if not shared or (settings["data"] is not None and settings["data"] == origin.get("data")):
            settings["init"] = absolute(weights)
            which = f"the shared ones of {weights}, trained on this data" if shared else f"those of {weights}"
            remarks.append(f"weights: {which} (--init {SCRATCH} starts from scratch)")
    if settings.get("init") == SCRATCH:
        settings["init"] = None
    if name is None:
        name, remark = _recipe(origin, settings)
        remarks.append(remark)
    found = Recipe.load(name).changed(_as_long_as_asked(dotted))
    if "clip" not in settings:
        clip, remark = _clip(architecture, settings["data"], settings.get("videos"))
        settings["clip"] = str(clip)
        remarks += [remark] if remark else []
    config = RetrainConfig(recipe=found, recipe_name=_recipe_name(name), **settings)
    members, ensemble = networks_of(architecture, config)
    for member in members:
        check_batch(member, found, found.optimizer.batch)
    return Resolved(config, members, ensemble, tuple(remarks))


def _as_long_as_asked(dotted: Mapping[str, Any]) -> Mapping[str, Any]:
    """Epochs that were asked for are all that is trained, whatever a recipe takes for the least."""
    asked = "schedule.epochs" in dotted
    return {"schedule.least_steps": 0, **dotted} if asked else dotted


def comparable(given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as a run's configuration has them, for a resume to compare.

    Of a recipe of ours that is the name; a file of the user's is compared value by value, for it may have changed.
    """
    found = settled(given)
    if found.get("init") == SCRATCH:
        found["init"] = None
    name = found.pop("recipe", None)
    if name is None:
        return found
    if recipe_files.is_file(name):
        dotted = {key: value for key, value in found.items() if "." in key}
        found |= Recipe.load(name).changed(dotted).flat()
    return {**found, "recipe_name": _recipe_name(name)}


def _recipe_name(name: Any) -> str:
    """As a configuration stores it: the name of a recipe of ours, or the absolute path of a file."""
    return absolute(name) if recipe_files.is_file(name) else str(name)


def restored(folder: RunFolder) -> Resolved:
    """Of a run that goes on, from its own copies; raises `ValueError` where they are damaged."""
    config = folder.settings(RetrainConfig.stored)
    architecture = load_spec(folder.path / ARCHITECTURE)
    return Resolved(config, *networks_of(architecture, config), ())


def networks_of(
    architecture: NetworkSpec, config: RetrainConfig, classes: int | None = None
) -> tuple[tuple[NetworkSpec, ...], Ensemble | None]:
    """The networks that a configuration trains, at its clip, and the ensemble of them where there is one.

    Raises:
        ValueError: a clip whose frames the members of an ensemble cannot share.
    """
    clip, recipe = Clip.parse(config.clip), config.recipe
    architecture = architecture.streaming() if config.stream else architecture

    def shaped(member: NetworkSpec, own: Clip) -> NetworkSpec:
        frames = recipe.augmentation.clip_of(own).frames
        if frames % recipe.compute.subclips:
            raise ValueError(
                f"compute.subclips is {recipe.compute.subclips}, which clips of {frames} frames do not split into; "
                f"give a number that divides {frames}"
            )
        return member.trained_as(own, classes, recipe.network.dropout, recipe.network.drop_path)

    if isinstance(architecture, Ensemble):
        if config.ensemble > 1:
            raise ValueError(f"{config.arch} is an ensemble already; leave --ensemble out")
        members = []
        for i, member in enumerate(architecture.members):
            height, width = architecture.size(i, clip.height, clip.width)
            frames, stride = architecture.frames(i, clip.frames), architecture.stride(i)
            own = Clip(frames, height, width, clip.fps / stride)
            members.append(dataclasses.replace(member, architecture=shaped(member.architecture, own)))
        ensemble = dataclasses.replace(architecture, clip=clip, members=tuple(members))
        return tuple(member.architecture for member in members), ensemble
    count = config.ensemble
    if count == 1:
        return (shaped(architecture, clip),), None
    if clip.frames % count:
        raise ValueError(
            f"--ensemble {count}: clips of {clip.frames} frames do not split among {count} members; give a clip whose "
            f"frames are a multiple of {count}, such as --clip {count * -(-clip.frames // count)}x{clip.height}x"
            f"{clip.width}@{clip.fps:g}"
        )
    own = Clip(clip.frames // count, clip.height, clip.width, clip.fps / count)
    each = (shaped(architecture, own),) * count
    return each, Ensemble.interleave(each, f"{architecture.name[: MAX_NAME - 4]}-x{count}")


def _data(origin: Mapping[str, Any]) -> tuple[str | None, str]:
    data = origin.get("data")
    if data is None:
        return None, "data: built-in motion (none was given, and the architecture names none)"
    if data == "motion":
        return None, "data: built-in motion, on which the architecture was found"
    if not located(str(data)).exists():
        raise ValueError(
            f"the architecture was found on {str(data)!r}, which is not there now; give its new place with --data"
        )
    return str(data), f"data: {data}, on which the architecture was found"


def _recipe(origin: Mapping[str, Any], settings: Mapping[str, Any]) -> tuple[str, str]:
    other = "(--recipe chooses another)"
    if settings.get("data") is None:
        return "demo", f"recipe: demo, for the built-in data {other}"
    if settings.get("init") is not None and not isinstance(find_run(settings["init"]), SearchRun):
        return "finetune", f"recipe: finetune, for weights that are trained already {other}"
    named = origin.get("recipe")
    if isinstance(named, str) and named in recipe_files.names(KIND) and named not in ("demo", "finetune"):
        return named, f"recipe: {named}, with which the network was trained {other}"
    return "videos", f"recipe: videos, for real ones from scratch {other}"


def _clip(architecture: NetworkSpec, data: str | None, videos: str | None) -> tuple[Clip, str]:
    own, origin = architecture.clip, architecture.provenance
    if data is not None:
        if origin.get("data") == data or not isinstance(data, str) or not located(data).exists():
            return own, ""
        return fitting(own, data, videos)
    if origin.get("data") == "motion":
        return own, f"clip: {own}, the architecture's own; --clip {MOTION_CLIP} trains in minutes"
    return Clip.parse(MOTION_CLIP), f"clip: {MOTION_CLIP} for the built-in data (--clip chooses another)"
