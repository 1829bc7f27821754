"""What `nas search` says: how it understood the budget, what it plans, what came out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from controller.front import wilson
from experiments.text import terminal as tables
from searchspace import Budget, Clip, Space, cost, format_quantity, published, published_names
from searchspace.commands import command
from searchspace.cost import halve
from training.retrain.expectation import gained
from training.run import SearchRun
from training.search.search_problem import Problem

if TYPE_CHECKING:
    from training.search.search_estimate import Estimate

SAMPLES = 5000


def understood(problem: Problem) -> list[str]:
    """The budgets with their clip and a published network beside each, and what to know about the proxy."""
    lines = []
    for number, budget in enumerate(problem.budgets):
        kind = "budget" if number == 0 else "at most"
        lines.append(f"{kind}: {budget.echo(problem.clip)} ({_beside(budget, problem)})")
    return lines + small_maps(problem.space, problem.train_clip)


def _beside(budget: Budget, problem: Problem) -> str:
    """The published network whose cost is nearest."""
    clip, stream = problem.clip, problem.space.form.causal
    limit = budget.limit(clip)
    costs = {name: budget.of(cost(published(name, stream), clip)) for name in published_names()}
    name = min(costs, key=lambda item: abs(np.log(costs[item] / limit)))
    amount = format_quantity(budget.quantity, costs[name]).replace(" multiply-accumulates", "")
    return f"published {name.upper()}{' stream' * stream} here: {amount.removesuffix(' parameters')}"


def small_maps(space: Space, clip: Clip) -> list[str]:
    """Points out, in a line, the blocks whose kernels are larger than their map at the training resolution."""
    height, width = halve(clip.height, 2), halve(clip.width, 2)
    found = []
    for number, block in enumerate(space.blocks, start=1):
        height, width = halve(height, block.stride), halve(width, block.stride)
        large = [str(k) for k in block.kernels if k.h > height or k.w > width or k.t > clip.frames]
        if large:
            found.append(f"block {number} ({clip.frames}x{height}x{width}) {' '.join(large)}")
    if not found:
        return []
    reason = "maps smaller than these kernels, whose size it therefore cannot judge"
    return [f"note: at {clip} the search sees {reason}: {'; '.join(found)}"]


def plan(problem: Problem) -> dict[str, Any]:
    """Where the budget lies in the space, as plain data."""
    low, high = problem.costs.bounds(problem.quantity)
    rng = np.random.default_rng(problem.config.seed)
    uniform = problem.cost(problem.space.decisions.sample(rng, SAMPLES))
    start = problem.cost(problem.space.decisions.sample(rng, SAMPLES, problem.start))
    return {
        "space": problem.space.name,
        "encodings": str(problem.space.encodings()),
        "networks": str(problem.space.networks()),
        "budgets": [budget.text for budget in problem.budgets],
        "quantity": problem.quantity,
        "target": problem.target,
        "cheapest": low,
        "dearest": high,
        "uniform": {"mean": float(uniform.mean()), "std": float(uniform.std())},
        "share_below_target": float(np.mean(uniform <= problem.target)),
        "start": {"mean": float(start.mean()), "std": float(start.std())},
        "train_clip": str(problem.train_clip),
        "config": problem.config.to_dict(),
    }


def planned(problem: Problem) -> list[str]:
    """The same for people."""
    data, config, quantity = plan(problem), problem.config, problem.quantity

    def amount(value: float) -> str:
        text = format_quantity(quantity, value)
        return text.removesuffix(" multiply-accumulates").removesuffix(" parameters")

    uniform, start = data["uniform"], data["start"]
    spread = f"mean {amount(uniform['mean'])}, standard deviation {amount(uniform['std'])}"
    name = problem.space.name + ", causal form" * problem.space.form.causal
    return [
        f"space {name}: {tables.power_of_ten(problem.space.networks())} networks, "
        f"{amount(data['cheapest'])} to {amount(data['dearest'])}",
        f"uniform samples: {spread}; {data['share_below_target']:.1%} of them lie below the budget",
        f"the policy starts ({config.start}): mean {amount(start['mean'])}, deviation {amount(start['std'])}",
        f"training: {config.steps:,} steps of {config.paths} x {config.micro_batch} clips {problem.train_clip}, "
        f"{config.recipe} recipe ({config.kernels} kernels, {config.warmup} warm-up, {config.optimizer}), "
        f"{config.searcher}, data {config.data or 'built-in motion'}",
    ]


def expected(problem: Problem, estimate: Estimate) -> list[str]:
    """What it will take on this machine."""
    minutes = (estimate.training_seconds + estimate.rescoring_seconds) / 60
    share = estimate.rescoring_seconds / max(1e-9, estimate.training_seconds + estimate.rescoring_seconds)
    return [
        f"memory: about {estimate.memory_bytes / 1e9:.1f} GB at the dearest step; "
        f"disk: {estimate.checkpoint_bytes / 1e9:.1f} GB of checkpoints",
        f"time: about {minutes:.1f} minutes, {share:.0%} of them re-scoring, by a few steps measured just now"
        + ("" if problem.config.data is None else "; decoding the videos not counted"),
    ]


def with_interval(accuracy: float, clips: int) -> str:
    """`87.5% (86.0% to 88.9%) on 2,048 clips`: the accuracy with its binomial 95 % interval (Wilson)."""
    low, high = wilson(accuracy, clips)
    return f"{accuracy:.1%} ({float(low):.1%} to {float(high):.1%}) on {clips:,} clips"


def result(found: SearchRun) -> list[str]:
    """What came out of a finished run, and what to type next."""
    summary = found.summary
    winner, argmax, controls = summary["winner"], summary["argmax"], summary["controls"]
    uniform, gain, steering = (
        controls["uniform_at_budget"],
        controls["policy_minus_uniform_accuracy"],
        controls["steering"],
    )
    quantity = summary["budget"]["quantity"]
    seconds = summary["seconds"]
    total = sum(seconds.values())
    lines = [
        f"winner: accuracy {with_interval(winner['accuracy'], winner['clips'])} that neither weights nor controller "
        f"saw ({winner['times_chance']:.1f} x chance), {format_quantity(quantity, winner['cost'])}, "
        f"{winner['cost_over_target'] - 1:+.1%} of the target; from: {winner['origin']}",
        f"bare argmax of the policy: {argmax['cost_over_target'] - 1:+.1%} of the target; "
        f"repair changed {argmax['decisions_changed_by_repair']} decisions",
        f"winner against {uniform['count']} uniform samples repaired to the budget, same clips: lower loss than "
        f"{uniform['beaten_by_winner']}; their mean accuracy is {uniform['accuracy']:.1%}",
        f"policy minus uniform at the same costs: {_gain(gain)}",
        f"steering: median distance to the target {steering['policy']:.1%}, {steering['start']:.1%} at the start",
    ]
    right = round(winner["accuracy"] * winner["clips"])
    lines += gained(
        summary.get("probes") or [], right, winner["clips"], "the winner", "the clips that chose the winner"
    )
    if summary["validation"] is not None:
        held = summary["validation"]
        lines.append(f"validation set: accuracy {with_interval(held['accuracy'], held['clips'])}")
    shares = {name: value / total if total else 0.0 for name, value in seconds.items()}
    lines.append(
        f"time: {total / 60:.1f} minutes; {shares['training']:.0%} training, {shares['selection']:.0%} choosing the "
        f"winner, {shares['front_and_controls']:.0%} scoring the front and the controls"
    )
    front = sum(point.on_front for point in found.front)
    lines += [
        f"architecture: {found.folder / 'best' / 'arch.json'}",
        f"front: {front} networks, {found.folder / 'pareto.html'} and .png; policy: {found.folder / 'policy.png'}",
        f"next: {command('retrain', found.folder)}",
        f"      {command('show', found.folder)}",
        f"      {command('cost', found.folder / 'best' / 'arch.json', clip='16x172x172@5')}",
    ]
    return lines


def _gain(gain: dict[str, Any]) -> str:
    if gain["mean"] is None:
        return "no uniform sample could be brought to such a cost"
    if gain["low"] is None:
        return f"{gain['mean']:+.1%} accuracy (1 pair)"
    interval = f"95 % interval {gain['low']:+.1%} to {gain['high']:+.1%}, {gain['pairs']} pairs"
    return f"{gain['mean']:+.1%} accuracy ({interval})"
