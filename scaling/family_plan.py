"""What training a family will do: which members, at which clips, with which seeds and settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from scaling.family_folder import Family, FamilyMember
from scaling.members import name_of, parse_members
from searchspace import Clip, ClipLike, cost
from searchspace.naming import located
from searchspace.schema import Fields
from searchspace.stored import Maybe
from training.retrain import retrain_config
from training.retrain.retrain_config import MOTION_CLIP, Resolved, RetrainConfig, resolve
from training.run import CONFIG, read_json, settled
from video.layout import find_videos

DEMO_MACS = 200e6
"""Of a training clip: members above are left out on the built-in data unless they are asked for."""
TEST_CLIPS = 2048
"""About; the best and the last network of a training are scored on them."""

MOST_SEEDS = 100
CONFIGURATION = "the trainings' configuration"

ONE_NETWORK = {"init": "trained weights fit one network", "ensemble": "an ensemble is made of one network"}


@dataclasses.dataclass(frozen=True)
class MemberTraining:
    """A member with a seed.

    Attributes:
        member: of the family.
        seed: of everything random in it.
        resolved: how it is trained.
        settings: the same, as `training.retrain.run_retrain.retrain` takes it.
    """

    member: FamilyMember
    seed: int
    resolved: Resolved
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Of its run."""
        return run_name(self.member.name, self.seed)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of a training clip."""
        return cost(self.resolved.members[0]).macs

    def work(self, clips: int) -> float:
        """Multiply-accumulates of training on so many clips, a backward pass counted twice, and of all scoring."""
        recipe = self.resolved.config.recipe
        epoch = (recipe.evaluation.clips or 0) + recipe.network.recalibrate
        return self.macs * (3.0 * clips + recipe.schedule.epochs * epoch + 2 * TEST_CLIPS)


@dataclasses.dataclass(frozen=True)
class FamilyPlan:
    """Everything that a family's training will do.

    Attributes:
        family: whose.
        config: what decides it: members, seeds, and the settings that the trainings share.
        trainings: cheapest first.
        remarks: choices that were made for the user, one line each.
    """

    family: Family
    config: Mapping[str, Any]
    trainings: tuple[MemberTraining, ...]
    remarks: tuple[str, ...]

    @property
    def clips(self) -> int | None:
        """MemberTraining clips of each; None where an annotation file would have to be looked through."""
        config = self.trainings[0].resolved.config
        schedule = config.recipe.schedule
        if config.data is None:
            return round(schedule.epochs * schedule.epoch_clips)
        data = located(config.data)
        return round(schedule.epochs * len(find_videos(data).train)) if data.is_dir() else None


def plan(
    found: Family, settings: Mapping[str, Any] | None = None, members: str | None = None, seeds: int | None = None
) -> FamilyPlan:
    """Settles what will be trained; nothing is written, torch is not needed.

    On the built-in data the base trains at the clip that `nas retrain` takes for it, on real data at its own; every
    other member at its own clip shrunk as the base's is, so that resolution and frame rate stay scaled.

    Args:
        found: the family.
        settings: of `training.retrain.run_retrain.retrain`; `clip` is the base's, `seed` the first one.
        members: such as `A0:A2`; None for all, or on the built-in data for those of at most 200 MMACs a training clip.
        seeds: how many trainings a member; None for 1.

    Raises:
        ValueError: a member that the family does not have, or a mistake in the settings.
    """
    given, remarks = settled(settings or {}), []
    for key, why in ONE_NETWORK.items():
        if key in given:
            raise ValueError(f"{key!r} is not for families: {why}; train a member, such as {found.folder / 'A0.json'}")
    if "data" not in given:
        home = read_json(found.folder / CONFIG, {"data?": Maybe(str), "videos?": Maybe(str), "group?": Maybe(str)})
        given = {key: home.get(key) for key in ("data", "videos", "group")} | given
        remarks.append(f"data: {given['data'] or 'built-in motion'}, on which the family was made")
    base, motion = Clip.parse(found.data["base"]["clip"]), given["data"] is None
    clip = given.pop("clip", MOTION_CLIP if motion else None)
    first = given.pop("seed", 0)
    count = Fields({} if seeds is None else {"seeds": seeds}, "setting").integer("seeds", 1, MOST_SEEDS, default=1)
    chosen = chosen_members(found, members)
    trainings = []
    for member in chosen:
        own = training_clip(member.architecture.clip, base, None if clip is None else Clip.of(clip))
        for seed in range(first, first + count):
            arch = str(found.folder / f"{member.name}.json")
            full = {**given, "arch": arch, "clip": str(own), "seed": seed}
            resolved = resolve(member.architecture, full)
            full["recipe"] = resolved.config.recipe_name
            trainings.append(MemberTraining(member, seed, resolved, full))
    if members is None and motion:
        cheap = [one for one in trainings if one.macs <= DEMO_MACS] or trainings[:count]
        if len(cheap) < len(trainings):
            last, every = cheap[-1].member.name, f"{chosen[0].name}:{chosen[-1].name}"
            remarks.append(
                f"members: up to {last}, those of at most {DEMO_MACS / 1e6:.0f} MMACs a clip; --members {every} "
                "trains all"
            )
        trainings = cheap
    remarks += [line for line in trainings[0].resolved.remarks if line.startswith("recipe")]
    if clip is not None:
        remarks.append(f"clip: {clip} for the base, other members' shrunk as the base's own {base} is")
    shared = trainings[0].resolved.config.to_dict() | {"clip": clip, "seed": first}
    del shared["arch"]
    names = list(dict.fromkeys(one.member.name for one in trainings))
    config = {"members": ",".join(names), "seeds": count, **shared}
    return FamilyPlan(found, config, tuple(trainings), tuple(remarks))


def run_name(member: str, seed: int) -> str:
    """The name of the run that trains a member with a seed."""
    return f"{member}-seed{seed}"


def training_clip(own: ClipLike, base: ClipLike, wanted: ClipLike | None) -> Clip:
    """A member's clip where the base trains at another one than its own: changed by the same factors.

    Args:
        own: the member's.
        base: the base's.
        wanted: what the base trains at; None for its own.
    """
    own, base = Clip.of(own), Clip.of(base)
    if wanted is None:
        return own
    wanted = Clip.of(wanted)
    frames = max(1, round(wanted.frames * own.frames / base.frames))
    height, width = (max(8, round(side)) for side in (
        wanted.height * own.height / base.height, wanted.width * own.width / base.width
    ))  # fmt: skip
    return Clip(frames, height, width, frames / wanted.seconds)


def chosen_members(found: Family, members: str | None) -> list[FamilyMember]:
    if members is None:
        return list(found.members)
    names = [name_of(exponent) for exponent in parse_members(members)]
    known = {member.name: member for member in found.members}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"{found.folder} has no member {unknown[0]}; it has {', '.join(known)}")
    return [known[name] for name in names]


def restore(found: Family, config: Mapping[str, Any]) -> FamilyPlan:
    """The plan of a folder that is gone on with, by its configuration; raises `ValueError` where that is damaged."""
    members, seeds = members_and_seeds(Fields(config, CONFIGURATION))
    shared = {key: value for key, value in config.items() if key not in ("members", "seeds")}
    RetrainConfig.stored({**shared, "arch": "A2", **({"clip": MOTION_CLIP} if shared.get("clip", "") is None else {})})
    settings = {key: value for key, value in shared.items() if key not in (*ONE_NETWORK, "recipe_name")}
    settings["recipe"] = shared["recipe_name"]
    if settings["clip"] is None:
        del settings["clip"]
    return plan(found, settings, members, seeds)


def members_and_seeds(fields: Fields) -> tuple[str, int]:
    """What a folder's configuration says of itself, beside the settings of its trainings."""
    return fields.text("members"), fields.integer("seeds", 1, MOST_SEEDS)


def comparable_plan(settings: Mapping[str, Any], members: str | None, seeds: int | None) -> dict[str, Any]:
    """What the user gave, as a folder's configuration has it, for a resume to compare."""
    given = retrain_config.comparable(settings)
    if members is not None:
        given["members"] = ",".join(name_of(exponent) for exponent in parse_members(members))
    return given | ({} if seeds is None else {"seeds": seeds})
