"""What `nas retrain` says: what it plans, what came out, and what to type next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from controller.front import wilson
from searchspace import cost, format_quantity
from searchspace.commands import command
from searchspace.cost import FLOAT_BYTES
from training.retrain.expectation import gained
from training.retrain.footprint import LIBRARIES
from training.retrain.retrain_config import Resolved


def planned(resolved: Resolved) -> list[str]:
    """Length, cost and memory of a training, without torch."""
    config, recipe = resolved.config, resolved.config.recipe
    lines = []
    for member in resolved.members:
        amount = cost(member, member.clip)
        lines.append(
            f"{member.name}: {format_quantity('macs', amount.macs)} at {member.clip}, "
            f"{format_quantity('params', amount.params)}"
        )
    schedule, optimizer = recipe.schedule, recipe.optimizer
    if config.data is None:
        clips = round(schedule.epochs * schedule.epoch_clips)
        lines.append(f"{clips:,} clips in {clips // optimizer.batch:,} steps of {optimizer.batch}")
    else:
        least = f", at least {schedule.least_steps:,} steps" if schedule.least_steps else ""
        lines.append(f"{schedule.epochs:g} epochs of {config.data} in steps of {optimizer.batch} clips{least}")
    most = max(resolved.members, key=lambda member: cost(member, member.clip).macs)
    pieces = recipe.compute.accumulate * recipe.compute.subclips
    activations = optimizer.batch * most.saved_bytes(recipe.augmentation.clip_of(most.clip)) / pieces
    weights = FLOAT_BYTES * cost(most, most.clip).params
    lines.append(
        f"memory: about {(LIBRARIES + activations + 6 * weights) / 1e9:.1f} GB"
        + ("" if not recipe.compute.checkpointing else ", less by activation checkpointing")
        + f"; disk: about {max(1, resolved.checkpoint_bytes / 1e6):,.0f} MB of checkpoints"
    )
    return lines


def result(folder: Path, summary: dict[str, Any]) -> list[str]:
    """What came out of a finished run."""
    lines = []
    members = summary["members"]
    if len(members) > 1:
        for i, member in enumerate(members, start=1):
            lines.append(f"member {i} alone, at its frame rate: accuracy {_with_interval(member['best'])}")
    what = "ensemble" if len(members) > 1 else "best checkpoint"
    lines.append(f"{what}: accuracy {_with_interval(summary)} of the test part, {summary['times_chance']:.1f} x chance")
    if len(members) == 1:
        lines.append(f"last checkpoint: accuracy {_with_interval(members[0]['last'])}")
    correct = round(summary["accuracy"] * summary["clips"])
    lines += gained(summary.get("probes") or [], correct, summary["clips"])
    skipped = sum(member["skipped"] for member in members)
    if skipped:
        lines.append(f"{skipped} steps were skipped: their loss or gradient was not finite")
    best = folder / "checkpoints" / "best"
    return [
        *lines,
        f"time: {summary['seconds'] / 60:.1f} minutes",
        f"network: {best}",
        f"curves: {folder / 'curves.html'} and .png; answers: {folder / 'confusion.png'}",
        f"next: {command('evaluate', folder)}",
        f"      {command('predict', folder, 'VIDEO')}",
        f"      {command('report', folder)}",
    ]


def _with_interval(score: dict[str, Any]) -> str:
    low, high = wilson(score["accuracy"], score["clips"])
    return f"{score['accuracy']:.1%} ({float(low):.1%} to {float(high):.1%}) on {score['clips']:,} clips"
