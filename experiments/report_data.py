"""Trained networks to be compared: what each measured and costs, and which of them differ in their seed alone."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scaling.member_gains import MemberGain
from searchspace import Cost, NetworkSpec, cost, published
from searchspace.commands import command
from searchspace.published_accuracy import KINETICS_600, published_accuracy
from searchspace.targets import Target
from searchspace.trained_folder import Record
from training.data_parts import FILES, JUDGED
from training.open_data import PLACE
from training.run import read_json
from training.run.evaluation_folders import RECORD, evaluations, home
from training.run.formats import EVALUATION

_SEED = "seed"
RETRAINING_SEED = "retraining_seed"
"""Of what a training writes into the provenance of its architecture."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """One trained network.

    Attributes:
        name: of its run or folder.
        path: its folder.
        architecture: the network.
        record: what its checkpoint says.
        accuracy: in [0, 1].
        videos: how many it was measured on; None where that is not recorded.
        measured: by what.
        judged: data that it was measured on by `nas evaluate`; None where that is not recorded.
    """

    name: str
    path: Path
    architecture: NetworkSpec
    record: Record
    accuracy: float
    videos: int | None
    measured: str
    judged: str | None = None

    @property
    def cost(self) -> Cost:
        """At its own clip."""
        return cost(self.architecture)

    @property
    def seed(self) -> int | None:
        """Of its training; None where it does not say."""
        seed = self.architecture.provenance.get(RETRAINING_SEED, self.record.recipe.get(_SEED))
        return seed if isinstance(seed, int) else None

    @property
    def kind(self) -> str:
        """Equal for networks that differ in nothing but the seed."""
        recipe = {key: value for key, value in self.record.recipe.items() if key != _SEED}
        origin = [self.architecture.provenance.get(key) for key in ("init", "teacher")]
        return json.dumps([self.architecture.key(), recipe, origin, self.data, self.measured], sort_keys=True)

    @property
    def data(self) -> str:
        """Equal for networks of the same data, wherever it lay; the seed of a split or of rendered clips makes no
        difference."""
        data = self.record.data
        split = (_SEED, "digest", "parts", JUDGED, *(("chosen", *PLACE) if FILES in data else ()))
        return json.dumps({key: value for key, value in data.items() if key not in split}, sort_keys=True)


@dataclasses.dataclass(frozen=True)
class Group:
    """Networks of one architecture, recipe and data.

    Attributes:
        name: of the first, or of what they share.
        entries: one a seed.
    """

    name: str
    entries: tuple[Entry, ...]

    @property
    def accuracy(self) -> float:
        """Mean over the seeds."""
        return statistics.fmean(entry.accuracy for entry in self.entries)

    @property
    def deviation(self) -> float:
        """Standard deviation over the seeds; NaN for one."""
        values = [entry.accuracy for entry in self.entries]
        return statistics.stdev(values) if len(values) > 1 else math.nan

    @property
    def error(self) -> float:
        """Standard error of the mean over the seeds; NaN for one."""
        return self.deviation / math.sqrt(len(self.entries))

    @property
    def bar(self) -> tuple[float, float]:
        """Length of the error bar below and above: the deviation over seeds, or the 95 % interval of a single one."""
        if len(self.entries) > 1:
            return self.deviation, self.deviation
        entry = self.entries[0]
        if entry.videos is None:
            return 0.0, 0.0
        from controller.front import wilson

        low, high = wilson(entry.accuracy, entry.videos)
        return max(0.0, entry.accuracy - float(low)), max(0.0, float(high) - entry.accuracy)

    @property
    def first(self) -> Entry:
        """The entry that stands for its architecture and cost."""
        return self.entries[0]


@dataclasses.dataclass(frozen=True)
class Reference:
    """A published network on the same data: its name, what it costs, its accuracy in [0, 1]."""

    name: str
    cost: Cost
    accuracy: float


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What a report shows.

    Attributes:
        groups: best first.
        references: published networks, where the data is theirs.
        notes: what a reader must know before comparing, one line each.
        family: whether the groups are the members of one family, cheapest first.
        steps: from each member of a family to the next.
        latencies: milliseconds by the groups' names, of those that a table has.
    """

    groups: tuple[Group, ...]
    references: tuple[Reference, ...]
    notes: tuple[str, ...]
    family: bool = False
    steps: tuple[MemberGain, ...] = ()
    latencies: Mapping[str, float] = dataclasses.field(default_factory=dict)


def read_entry(target: Target) -> Entry:
    """Reads a trained network and its newest evaluation.

    Args:
        target: a run, the folder of a trained network, or a file in it.

    Raises:
        ValueError: there is none, it is damaged, or nothing says how accurate it is.
    """
    folder = target.trained
    if folder is None:
        raise ValueError(f"{target} holds no trained network; {target.instead()}")
    record, architecture = Record.read(folder), target.architecture()
    place = home(folder)
    name = (folder if place == folder.parent else place).resolve().name
    found, judged = _evaluation(place, folder), None
    if found is not None:
        accuracy, measured = float(found["accuracy"]), "nas evaluate"
        videos: int | None = int(found["videos"])
        judged = found["data"]
    elif "accuracy" in record.metrics:
        accuracy, measured = record.metrics["accuracy"], "end of training"
        videos = int(record.metrics["clips"]) if "clips" in record.metrics else None
    else:
        raise ValueError(
            f"{folder} does not say how accurate it is; measure it with: {command('evaluate', str(target))}"
        )
    return Entry(name, folder, architecture, record, accuracy, videos, measured, judged)


def _evaluation(run: Path, folder: Path) -> dict[str, Any] | None:
    """The newest single-clip result of that very network; wherever the run lay when it was judged."""
    for evaluation in reversed(evaluations(run)):
        content = read_json(evaluation / RECORD, EVALUATION)
        if Path(content["checkpoint"]).parts[-2:] != folder.resolve().parts[-2:]:
            continue
        for result in content["protocols"]:
            if result["protocol"] == "clip":
                return {**result, "data": content.get("data")}
    return None


def compare(entries: Sequence[Entry]) -> Comparison:
    """Groups the networks that differ in their seed alone, and says what makes others hard to compare."""
    kinds: dict[str, list[Entry]] = {}
    for entry in entries:
        kinds.setdefault(entry.kind, []).append(entry)
    groups = [Group(_shared_name([e.name for e in members]), tuple(members)) for members in kinds.values()]
    notes = []
    if len({entry.data for entry in entries}) > 1:
        notes.append("These networks were trained on different data: their accuracies do not compare.")
    if len({entry.measured for entry in entries}) > 1:
        notes.append("They were measured in different ways; nas evaluate measures all alike.")
    judged = sorted({entry.judged for entry in entries if entry.judged is not None})
    if len(judged) > 1:
        notes.append(f"They were measured on different videos: {', '.join(judged)}.")
    if len({(e.architecture.clip.height, e.architecture.clip.width) for e in entries}) > 1:
        notes.append("Costs are those of each network's own clip; the clips differ in size.")
    for group in groups:
        if len({entry.seed for entry in group.entries}) < len(group.entries):
            notes.append(f"{group.name}: some of its runs have the same seed, so their spread says little.")
    references = []
    for stream in sorted({entry.architecture.causal for entry in entries}) if _is_kinetics_600(entries) else ():
        for name, accuracy in published_accuracy(stream).items():
            network = published(name, stream)
            references.append(Reference(network.name, cost(network), accuracy))
    return Comparison(tuple(sorted(groups, key=lambda g: -g.accuracy)), tuple(references), tuple(notes))


def _is_kinetics_600(entries: Sequence[Entry]) -> bool:
    """Whether all were trained from an annotation file of Kinetics with 600 classes."""
    return all(len(e.record.classes) == KINETICS_600 and e.record.data.get("annotations") for e in entries)


def _shared_name(names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    first, last = min(names), max(names)
    length = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return re.sub(r"[-_. ]\d*$", "", first[:length]) or first
