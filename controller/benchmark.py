"""Searchers on a table whose truth is known: the same ask/tell, model, halving and local search as a real search.

A look is right answers on a batch of images of one trained copy; the truth is the mean of all copies. A search of some
number of looks is a search of its own, with a schedule of that length: no point of a curve is a longer search stopped
early, which would be unfair to whoever commits late.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from controller.adam import Schedule
from controller.arrays import Choices, Floats, generator
from controller.halving import Evaluation, Plan, Rung, within
from controller.looks import Looks
from controller.rewards import Kind, Reward
from controller.searcher import Searcher
from controller.searchers import create
from controller.selection import ABOVE, select
from controller.start import StartKind, largest_entropy
from controller.surrogate import Surrogate
from controller.table import Table
from controller.window import Window

BELOW = 0.05
"""A winner costs at most this part less than the target: a table is coarser than a space of millions."""

BATCH = 512
"""Images of a look, and of a batch of the re-scoring, each of one copy."""

PARALLEL = 32
"""Architectures of a step, as in TuNAS; fewer where a search would have less than `LEAST_STEPS` steps."""

LEAST_STEPS = 100


CANDIDATES = 64
"""Of the re-scoring, at most: as many as on the first rung of a real search."""

# Of a regret, which is a difference of means of accuracies that were counted on some thousand images.
_DIGITS = 6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """One search on a table; see `training.search.search_config` for settings of the same name.

    Attributes:
        target: cost to meet, in the table's unit.
        looks: architectures looked at, in all.
        searcher: `reinforce`, `random` or `evolution`.
        seed: of everything random.
        start: `budget` (largest entropy at the target) or `uniform`.
        window: samples further than this share from the target are rejected; 0 for none.
        reward: `absolute`, `soft` or `hard`.
        beta: weight of the cost in the reward.
        controller_rate: sum of the rates; 0 freezes the policy.
        known: whether REINFORCE takes the cost's part of an absolute reward from free samples.
        parallel: architectures a step, 0 for `PARALLEL` or fewer.
        candidates: of the re-scoring, at most.
        images: of the re-scoring, in all.

    Raises:
        ValueError: a number out of its range.
    """

    target: float
    looks: int
    searcher: str = "reinforce"
    seed: int = 0
    start: StartKind = "budget"
    window: float = 0.0
    reward: Kind = "absolute"
    beta: float = -0.1
    controller_rate: float = 100.0
    known: bool = True
    parallel: int = 0
    candidates: int = CANDIDATES
    images: int = 2_000_000

    def __post_init__(self) -> None:
        if self.looks < 2:
            raise ValueError(f"{self.looks} looks: a search needs at least 2")
        Reward(self.target, self.reward, self.beta)

    @property
    def per_step(self) -> int:
        """Architectures of a step."""
        return min(self.looks, self.parallel or max(1, min(PARALLEL, self.looks // LEAST_STEPS)))

    @property
    def steps(self) -> int:
        """Steps of the search; the last one may be smaller."""
        return -(-self.looks // self.per_step)


@dataclasses.dataclass(frozen=True)
class Choice:
    """An architecture that a search ended with, and the truth about it.

    Attributes:
        architecture: as `Decisions.encode` writes it.
        cost: in the table's unit.
        regret: how much its mean accuracy is below that of the best architecture within the budget, which allows 1 %
            more; negative only where it costs more than that.
    """

    architecture: str
    cost: float
    regret: float


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a search on a table came to.

    Attributes:
        favourite: the searcher's own: for REINFORCE the bare argmax, which may cost anything.
        reward_regret: reward of the favourite by the truth, below the best reward of the table.
        seen: the winner of the re-scoring among architectures seen, sampled and next to them.
        modelled: the winner where a model over decisions proposed candidates too.
        images: largest number of images that one of the two re-scorings took.
    """

    favourite: Choice
    reward_regret: float
    seen: Choice
    modelled: Choice
    images: int


class Images:
    """Re-scores architectures on simulated images, in batches of `BATCH`, each of one copy drawn at random.

    What an architecture was scored on before counts too: it gets as many more as it lacks.

    Attributes:
        taken: images in all.
    """

    def __init__(self, table: Table, seed: int, purpose: str = "") -> None:
        self._table, self._seed, self._purpose = table, seed, f"images/{purpose}"
        self._known: dict[str, tuple[int, int]] = {}
        self.taken = 0

    def __call__(self, choices: Choices, rung: Rung) -> Evaluation:
        """See `controller.halving.Evaluate`; the loss is the share of wrong answers."""
        key = self._table.key(choices)
        right, have = self._known.get(key, (0, 0))
        batches = -(-(rung.samples - have) // BATCH)
        if batches > 0:
            row = int(self._table.index(choices))
            rng = generator(self._seed, self._purpose, int(self._table.network[row]), have)
            accuracy = self._table.accuracy[row, rng.integers(self._table.accuracy.shape[1], size=batches)]
            right, have = right + int(rng.binomial(BATCH, accuracy).sum()), have + batches * BATCH
            self._known[key] = right, have
            self.taken += batches * BATCH
        return Evaluation(1 - right / have, right / have, have)


def window(table: Table, target: float) -> Window:
    """What a winner may cost.

    Raises:
        ValueError: no architecture of the table lies in it.
    """
    result = Window.around("cost", table.costs, target, BELOW, ABOVE)
    if not result.contains(table.every).any():
        nearest = table.cost[np.abs(table.cost - target).argmin()]
        raise ValueError(
            f"budget {target:g}: no architecture of table {table.name} costs -{BELOW:.0%} to +{ABOVE:.0%} of it; the "
            f"cheapest costs {table.cost.min():g}, the dearest {table.cost.max():g}, the nearest {nearest:g}"
        )
    return result


def search(table: Table, setting: Setting) -> tuple[Searcher, Looks]:
    """Runs the searcher and gives it back with all it looked at.

    Raises:
        ValueError: an unknown searcher, or a target that no architecture meets.
    """
    window(table, setting.target)
    reward = Reward(setting.target, setting.reward, setting.beta)

    def price(choices: Choices) -> Floats:
        return reward(np.zeros(len(choices)), table.costs(choices))

    share = setting.window
    searcher = create(
        setting.searcher,
        table.decisions,
        seed=setting.seed,
        schedule=Schedule(setting.steps, delay=0.0, total=setting.controller_rate),
        start=_start(table, setting),
        window=Window.around("cost", table.costs, setting.target, share, share) if share else None,
        known=price if setting.known and setting.reward == "absolute" else None,
    )
    rng = generator(setting.seed, "looks")
    seen, qualities = [], []
    for step in range(setting.steps):
        choices = searcher.ask(min(setting.per_step, setting.looks - step * setting.per_step))
        quality = table.look(choices, BATCH, rng)
        searcher.tell(choices, quality, reward(quality, table.costs(choices)), progress=step / setting.steps)
        seen.append(choices)
        qualities.append(quality)
    return searcher, Looks(np.concatenate(seen), np.concatenate(qualities))


def run(table: Table, setting: Setting) -> Outcome:
    """Runs a search, and chooses its winner twice from the same looks: with and without the model.

    Args:
        table: what to search.
        setting: how.

    Raises:
        ValueError: see `search`.
    """
    searcher, looks = search(table, setting)
    plan = within(setting.images, setting.candidates, BATCH)
    seen, first = _winner(table, setting, searcher, looks, plan, None)
    modelled, second = _winner(table, setting, searcher, looks, plan, Surrogate.fit(table.decisions, looks))
    reward = Reward(setting.target, setting.reward, setting.beta)(table.truth, table.cost)
    favourite = searcher.favourite()
    return Outcome(
        favourite=judge(table, setting.target, favourite),
        reward_regret=round(float(reward.max() - reward[table.index(favourite)]), _DIGITS),
        seen=judge(table, setting.target, seen),
        modelled=judge(table, setting.target, modelled),
        images=max(first, second),
    )


def judge(table: Table, target: float, choices: Choices) -> Choice:
    """The truth about an architecture, [D]."""
    row = int(table.index(choices))
    best = table.best(table.cost <= (1 + ABOVE) * target)
    regret = round(float(table.truth[best] - table.truth[row]), _DIGITS)
    return Choice(table.decisions.encode(choices), float(table.cost[row]), regret)


def _start(table: Table, setting: Setting) -> list[Floats]:
    if setting.start == "uniform":
        return table.decisions.uniform()
    return largest_entropy(table.decisions, table, "cost", setting.target).probabilities


def _winner(
    table: Table, setting: Setting, searcher: Searcher, looks: Looks, plan: Plan, model: Surrogate | None
) -> tuple[Choices, int]:
    images = Images(table, setting.seed, f"{setting.searcher}/{setting.target:g}/{setting.looks}")
    selection = select(searcher, looks, window(table, setting.target), plan, images, model, table.key)
    assert images.taken <= setting.images
    return selection.choices, images.taken
