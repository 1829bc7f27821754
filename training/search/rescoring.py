"""After training: the winner, the front and the controls, all scored on the final weights and the same clips."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from controller.front import non_dominated, spread, wilson
from controller.halving import Evaluation, Plan, Rung, plan
from controller.looks import Looks
from controller.repair import repair_to, try_repair
from controller.searcher import Searcher
from controller.selection import ABOVE, BELOW, Selection, select
from controller.steering import Difference, Steering, paired, steering
from controller.surrogate import Surrogate
from controller.window import Window
from searchspace import Choices
from training.evaluation.classification_scores import Score
from training.search.search_config import SearchConfig
from training.search.search_problem import Problem
from training.search.shared_weight_scores import Scorer
from training.seeds import generator

FRONT_BINS, FRONT_PER_BIN = 10, 8
PAIRS = 64
UNFILTERED = 1000


@dataclasses.dataclass(frozen=True)
class Point:
    """An architecture of the front's picture.

    Attributes:
        choices: [D].
        cost: in the unit of the first budget.
        score: on the clips that all points share.
        low, high: 95 % interval of its accuracy (Wilson).
        on_front: whether no other point costs no more and has a lower loss.
    """

    choices: Choices
    cost: int
    score: Score
    low: float
    high: float
    on_front: bool


@dataclasses.dataclass(frozen=True)
class Controls:
    """How the policy stands against chance, on the final weights and the same clips.

    Attributes:
        accuracy: of samples of the policy less uniform samples repaired to the same costs, pair by pair; None where no
            uniform sample could be brought to such a cost.
        loss: the same of losses; below 0 the policy is better.
        steering: distance to the target of unfiltered samples, against the start distribution.
        uniform_accuracy, uniform_loss: means over uniform samples repaired to the budget.
        winner: the winner on the clips of these samples.
        winner_rank: how many of the uniform samples the winner beats by loss.
        uniform: how many there are.
    """

    accuracy: Difference | None
    loss: Difference | None
    steering: Steering
    uniform_accuracy: float
    uniform_loss: float
    winner: Score
    winner_rank: int
    uniform: int


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much the last phase scores, computed from steps and clip before the start, never from a clock.

    Attributes:
        plan: of the winner's choice.
        per_bin: architectures of the front a bin.
        front_clips: clips that every point of the front is scored on.
        pairs: samples of the policy, and as many uniform ones.
    """

    plan: Plan
    per_bin: int
    front_clips: int
    pairs: int

    @property
    def at_budget(self) -> int:
        """Uniform samples that are repaired to the budget."""
        return max(2, self.pairs // 4)

    def clips(self, covered: Callable[[int], int] = lambda clips: clips) -> int:
        """Clips scored at most in all: for the winner, the front, the controls. No network runs twice on a clip.

        Args:
            covered: how many clips run where so many are asked for; see `Scorer.covered`.
        """
        *_, last = rungs = self.plan.rungs
        total, before = 0, 0
        for rung in rungs:
            total += rung.candidates * (covered(rung.samples) - before)
            before = covered(rung.samples)
        local, front = covered(self.plan.local.samples), covered(self.front_clips)
        total += self.plan.local.candidates * local + max(0, covered(last.samples) - local)
        total += rungs[0].candidates * max(0, front - covered(rungs[0].samples))
        return total + (FRONT_BINS * self.per_bin + 2 * self.pairs + self.at_budget) * front


def sizes(problem: Problem, available: int) -> Sizes:
    """Sizes for a problem with `available` re-scoring clips."""
    clip, steps = problem.train_clip, problem.config.steps
    side = max(1, round((clip.height * clip.width) ** 0.5))
    chosen = plan(steps, side, clip.frames, available, SearchConfig.steps)
    share = chosen.rungs[0].candidates / 64
    return Sizes(
        plan=chosen,
        per_bin=max(1, round(FRONT_PER_BIN * share)),
        front_clips=chosen.rungs[-1].samples if problem.config.long else chosen.rungs[0].samples,
        pairs=max(2, round(PAIRS * share)),
    )


def choose(
    problem: Problem, searcher: Searcher, looks: Looks, scorer: Scorer, chosen: Plan
) -> tuple[Selection, Surrogate | None]:
    """Chooses the winner; see `controller.selection.select`. The model is None with fewer than two looks."""
    model = Surrogate.fit(problem.space.decisions, looks) if len(looks) >= 2 else None
    purposes = {rung: f"rung{i}" for i, rung in enumerate(chosen.rungs)}

    def score(choices: Choices, rung: Rung) -> Evaluation:
        result = scorer(choices, rung.samples, purposes.get(rung, "local"))
        return Evaluation(result.loss, result.accuracy, result.clips)

    return select(searcher, looks, problem.window(), chosen, score, model), model


def front(
    problem: Problem, searcher: Searcher, scorer: Scorer, selection: Selection, model: Surrogate | None, size: Sizes
) -> list[Point]:
    """Scores architectures spread over 0.4 to 2 times the budget, and those of the first rung, on the same clips."""
    pools = [selection.choices[None], *(selection.pool.choices[i][None] for i, _ in selection.halving.history[0][1])]
    if not problem.budgets[0].row.maximum:
        bins = spread(
            searcher.policy,
            problem.costs,
            problem.quantity,
            problem.cost,
            problem.target,
            seed=problem.config.seed,
            per_bin=size.per_bin,
            bins=FRONT_BINS,
            rank=None if model is None else model.predict,
        )
        pools += [item.choices for item in bins]
    rows = np.concatenate(pools)
    _, first = np.unique(rows, axis=0, return_index=True)
    rows = rows[np.sort(first)]
    scores = [scorer(row, size.front_clips, "front") for row in rows]
    costs = problem.cost(rows)
    best = non_dominated(costs, np.array([-score.loss for score in scores]))
    points = []
    for row, cost, score, on_front in zip(rows, costs, scores, best, strict=True):
        low, high = wilson(score.accuracy, score.clips)
        points.append(Point(row, int(cost), score, float(low), float(high), bool(on_front)))
    return sorted(points, key=lambda point: (point.cost, point.score.loss))


def controls(problem: Problem, searcher: Searcher, scorer: Scorer, winner: Choices, size: Sizes) -> Controls:
    """Compares samples of the policy, and the winner, with uniform samples repaired to the same costs."""
    decisions, seed = problem.space.decisions, problem.config.seed
    sampled = searcher.samples(generator(seed, "controls/policy"), size.pairs)
    uniform = decisions.sample(generator(seed, "controls/uniform"), size.pairs)
    same_cost = repair_to(decisions, uniform, problem.quantity, problem.cost, problem.cost(sampled).astype(np.float64))
    ours = [scorer(row, size.front_clips, "policy") for row in sampled[same_cost.inside]]
    theirs = [scorer(row, size.front_clips, "uniform") for row in same_cost.choices[same_cost.inside]]
    at_budget = _brought_to_budget(problem, uniform[: size.at_budget])
    chance = [scorer(row, size.front_clips, "uniform") for row in (at_budget if len(at_budget) else winner[None])]
    won = scorer(winner, size.front_clips, "winner")
    start = decisions.sample(generator(seed, "controls/start"), UNFILTERED, problem.start)
    unfiltered = searcher.samples(generator(seed, "controls/unfiltered"), UNFILTERED)
    pairs = bool(ours)
    return Controls(
        accuracy=paired([s.accuracy for s in ours], [s.accuracy for s in theirs]) if pairs else None,
        loss=paired([s.loss for s in ours], [s.loss for s in theirs]) if pairs else None,
        steering=steering(problem.cost(unfiltered), problem.cost(start), problem.target),
        uniform_accuracy=float(np.mean([s.accuracy for s in chance])),
        uniform_loss=float(np.mean([s.loss for s in chance])),
        winner=won,
        winner_rank=sum(won.loss < s.loss for s in chance),
        uniform=len(chance),
    )


def _brought_to_budget(problem: Problem, rows: Choices) -> Choices:
    """Those of the rows that come to the target's cost, or in a space without such a network into its window."""
    decisions, quantity, cost = problem.space.decisions, problem.quantity, problem.cost
    near = repair_to(decisions, rows, quantity, cost, np.full(len(rows), problem.target))
    wide = Window.around(quantity, cost, problem.target, BELOW, ABOVE)
    far = try_repair(decisions, rows[~near.inside], wide)
    return np.concatenate([near.choices[near.inside], far.choices[far.inside]])


def plain(controls: Controls) -> dict[str, Any]:
    """The controls as plain data, for the summary; None for what is not finite, such as the interval of one pair."""

    def difference(found: Difference | None) -> dict[str, float | None]:
        if found is None:
            return {"mean": None, "low": None, "high": None, "pairs": 0}
        return {key: finite(value) for key, value in dataclasses.asdict(found).items()}

    return {
        "policy_minus_uniform_accuracy": difference(controls.accuracy),
        "policy_minus_uniform_loss": difference(controls.loss),
        "steering": {
            "policy": controls.steering.policy,
            "start": controls.steering.start,
            "ratio": finite(controls.steering.ratio),
        },
        "uniform_at_budget": {
            "accuracy": controls.uniform_accuracy,
            "loss": controls.uniform_loss,
            "count": controls.uniform,
            "beaten_by_winner": controls.winner_rank,
        },
    }


def finite(value: float) -> float | None:
    """A number as JSON can hold it: None for what is not finite."""
    return value if math.isfinite(value) else None
