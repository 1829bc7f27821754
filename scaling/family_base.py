"""What a family starts from: a network in its space, whose cost is the base of all members' targets."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import numpy as np

import searchspace
from controller.repair import try_repair
from controller.selection import ABOVE, BELOW
from controller.start import largest_entropy
from controller.window import Window
from scaling.map_choices import bring_to
from scaling.members import check_scaled_by
from searchspace import (
    Architecture,
    Budget,
    Choices,
    Clip,
    ClipLike,
    Probabilities,
    Space,
    cost,
    format_quantity,
    tabulate,
)
from searchspace.layer_specs import MAX_NAME
from training.run import SUMMARY, SearchRun, accept, find_run
from training.search.budget_bounds import check_budgets
from training.seeds import generator

PROXY_MACS = 45e6
PROXY_GRID, PROXY_LEAST = 8, 16


@dataclasses.dataclass(frozen=True)
class Base:
    """The member of exponent 0.

    Attributes:
        space: whose scalings are tried; its clip is the one at which costs are counted.
        architecture: a point of it.
        notes: how it was understood, for people.
        policy: probabilities of a search in this space, or None.
    """

    space: Space
    architecture: Architecture
    notes: tuple[str, ...]
    policy: Probabilities | None = None

    @property
    def choices(self) -> Choices:
        """The architecture as a row of choices, int8 [D]."""
        return self.space.choices(self.architecture)

    @functools.cached_property
    def macs(self) -> int:
        """Multiply-accumulates at the space's clip."""
        return cost(self.architecture, self.space.clip).macs

    def proxy_side(self, wanted: int | None = None) -> int:
        """Shorter side at which its short trainings run: the largest multiple of 8 that costs at most 45 MMACs."""
        clip = self.space.clip
        most = min(clip.height, clip.width)
        if wanted is not None:
            if wanted > most:
                raise ValueError(f"search resolution {wanted} is above the {most} pixels of clip {clip}; lower it")
            return wanted
        sides = range(most // PROXY_GRID * PROXY_GRID, PROXY_LEAST, -PROXY_GRID)
        cheap = (side for side in sides if cost(self.architecture, clip.at(side)).macs <= PROXY_MACS)
        return next(cheap, min(most, PROXY_LEAST))

    def networks(self, count: int, seed: int) -> Choices:
        """The base, and further networks of its cost: from the policy, or by largest entropy, int8 [count, D].

        Raises:
            ValueError: none could be brought to the cost.
        """
        decisions, costs = self.space.decisions, tabulate(self.space)
        rows = self.choices[None]
        if count > 1:
            start = self.policy or largest_entropy(decisions, costs, "macs", self.macs, nearest=True).probabilities
            drawn = decisions.sample(generator(seed, "networks of a trial"), count - 1, start)
            found = try_repair(decisions, drawn, Window.around("macs", costs.macs, float(self.macs), BELOW, ABOVE))
            if not found.inside.all():
                raise ValueError(f"no {count} networks of {_amount(self.macs)} were found in {self.space.name!r}")
            rows = np.concatenate([rows, found.choices])
        return rows


def newest_search(runs: Path) -> Path | None:
    """The newest finished search run in a folder of runs, if there is one."""
    found = [run for path in runs.glob(f"*/{SUMMARY}") if isinstance(run := find_run(path.parent), SearchRun)]
    newest = max(found, key=lambda run: ((run.folder / SUMMARY).stat().st_mtime_ns, run.name), default=None)
    return None if newest is None else newest.folder


def find_base(word: str, runs: Path, budget: str, clip: ClipLike | None, classes: int) -> Base:
    """Reads what a family should start from.

    Args:
        word: a built-in space or its YAML file; a search run, by path or by name in `runs`; or an architecture: a
            published name, or the path of an arch.json or of what has one.
        runs: folder of all runs.
        budget: cost of the base that is made of a space; not for runs and architectures, which have their own.
        clip: shape at which costs are counted, in any form that `Clip.of` takes; None for the base's own.
        classes: of a base that is made of a space.

    Raises:
        ValueError: nothing of that name, an unfinished run, an ensemble, or a budget outside the space.
    """
    wanted = None if clip is None else Clip.of(clip)
    if word in searchspace.names() or word.endswith((".yaml", ".yml")):
        space = searchspace.load(word).with_classes(classes)
        return _of_space(space if wanted is None else space.at(wanted), budget)
    target = accept("scale", word, runs, searchspace.names())
    if isinstance(target, SearchRun):
        return _of_search(target, wanted)
    found = target.architecture()
    if not isinstance(found, Architecture):
        raise ValueError(f"{word!r} is an ensemble; give one of its members, or a run, a space or an architecture")
    return _of_architecture(found, wanted)


def _of_search(run: SearchRun, clip: Clip | None) -> Base:
    if not run.finished:
        raise run.unfinished()
    architecture = run.best
    space = run.space.with_classes(architecture.classes)
    policy = None
    if run.policy:
        policy = [np.array(vector, dtype=np.float64) for vector in run.policy[-1].probabilities.values()]
    note = f"base: the winner of {run.folder}"
    return _point(space.at(clip or architecture.clip), architecture, note, policy)


def _of_architecture(architecture: Architecture, clip: Clip | None) -> Base:
    named = architecture.provenance.get("space")
    space = searchspace.load(named if isinstance(named, str) and named in searchspace.names() else "movinet")
    space = (space.streaming() if architecture.causal else space).with_classes(architecture.classes)
    return _point(space.at(clip or architecture.clip), architecture, f"base: {architecture.name}", None)


def _point(space: Space, architecture: Architecture, note: str, policy: Probabilities | None) -> Base:
    """An architecture in a space: itself, or the nearest point brought to its cost."""
    found = space.nearest(architecture)
    macs = cost(architecture, space.clip).macs
    row, notes = found.choices, [f"{note}, {_amount(macs)} at clip {space.clip}"]
    if found.changes:
        shown = ", ".join(found.changes[:3]) + (" ..." if len(found.changes) > 3 else "")
        notes.append(f"note: not a point of space {space.name!r}: {len(found.changes)} things differ ({shown})")
        window = Window.around("macs", tabulate(space).macs, float(macs), BELOW, ABOVE)
        row = _repaired(space, row, window, f"of {_amount(macs)}")
    name = architecture.name if not found.changes else f"{architecture.name} in {space.name}"
    return Base(space, space.architecture(row, name[:MAX_NAME]), tuple(notes), policy)


def _of_space(space: Space, budget: str) -> Base:
    found = check_budgets(space, space.clip, [check_scaled_by(Budget.parse(budget))], seed=0)
    target = format_quantity(found.asked[0].quantity, found.limits[0])
    a2 = searchspace.published("a2")
    if len(a2.blocks) == len(space.blocks):
        row, which = space.nearest(a2).choices, "nearest to the published A2"
    else:  # nothing published is like it
        row, which = (
            space.decisions.canonical(((space.decisions.sizes - 1) // 2).astype(np.int8)),
            "nearest to its middle",
        )
    architecture = space.architecture(_repaired(space, row, found.window(), f"of {target}"), f"{space.name}-base")
    note = f"base: the point of space {space.name!r} {which}, {target} at clip {space.clip}"
    return Base(space, architecture, (note,))


def _repaired(space: Space, row: Choices, window: Window, what: str) -> Choices:
    found = bring_to(space, row[None], window)
    if not found.inside[0]:
        raise ValueError(f"no network {what} was found in space {space.name!r}; give another base or budget")
    repaired: Choices = found.choices[0]
    return repaired


def _amount(macs: float) -> str:
    return format_quantity("macs", macs)
