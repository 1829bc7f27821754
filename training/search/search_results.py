"""What a search leaves in its folder: best/arch.json, the architectures of the front, pareto.csv, summary.json."""

from __future__ import annotations

import csv
import dataclasses
import io
from typing import Any

import numpy as np

from controller.selection import Selection
from searchspace import Architecture, Choices
from searchspace.schema import write_atomically
from training.evaluation.classification_scores import Score
from training.run import SUMMARY, RunFolder
from training.search import rescoring
from training.search.search_problem import Problem
from video import Source

COLUMNS = ("macs", "params", "accuracy", "low", "high", "loss", "clips", "on_front", "winner", "choices", "path")


def write_results(
    folder: RunFolder,
    problem: Problem,
    source: Source,
    selection: Selection,
    points: list[rescoring.Point],
    controls: rescoring.Controls,
    held_out: Score | None,
    probes: list[dict[str, Any]],
    seconds: dict[str, float],
) -> None:
    """Writes every file of a finished search, the summary last: its presence says that the run is finished.

    Args:
        folder: of the run.
        problem: the search.
        source: its data.
        selection: the winner.
        points: of the front.
        controls: the comparison with uniform samples.
        held_out: the winner on the user's validation set with recalibrated BatchNorm, or None without one.
        probes: what linear classifiers have without any network (`training.run.formats.PROBED`), of real videos.
        seconds: of each phase.
    """
    winner, evaluation = selection.choices, selection.evaluation
    score = Score(evaluation.samples, round(evaluation.accuracy * evaluation.samples), evaluation.loss)
    best = _architecture(problem, folder, winner, score)
    (folder.path / "best").mkdir(exist_ok=True)
    best.save(folder.path / "best" / "arch.json")
    (folder.path / "front").mkdir(exist_ok=True)
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for point in points:
        is_winner = bool((point.choices == winner).all())
        architecture = best if is_winner else _architecture(problem, folder, point.choices, point.score)
        path = "best/arch.json" if is_winner else ""
        if point.on_front and not is_winner:
            path = f"front/{architecture.provenance['macs'] / 1e6:.0f}M-{architecture.key()}.json"
            architecture.save(folder.path / path)
        writer.writerow(
            {
                "macs": architecture.provenance["macs"],
                "params": architecture.provenance["params"],
                "accuracy": f"{point.score.accuracy:.6f}",
                "low": f"{point.low:.6f}",
                "high": f"{point.high:.6f}",
                "loss": f"{point.score.loss:.6f}",
                "clips": point.score.clips,
                "on_front": int(point.on_front),
                "winner": int(is_winner),
                "choices": problem.space.decisions.encode(point.choices),
                "path": path,
            }
        )
    write_atomically(folder.path / "pareto.csv", table.getvalue())
    summary = _summary(problem, source, selection, score, controls, held_out, best, seconds)
    folder.write_json(SUMMARY, summary | ({"probes": probes} if probes else {}))


def _architecture(problem: Problem, folder: RunFolder, choices: Choices, score: Score) -> Architecture:
    """With where it came from: enough to know what its accuracy means."""
    config = problem.config
    return problem.space.architecture(
        choices,
        f"{folder.path.name}-{int(problem.costs.macs(choices[None])[0]) / 1e6:.0f}M",
        run=folder.path.name,
        seed=config.seed,
        step=config.steps,
        searcher=config.searcher,
        data=config.data or "motion",
        videos=config.videos,
        group=config.group,
        trained_at=str(problem.train_clip),
        accuracy=round(score.accuracy, 6),
        loss=round(score.loss, 6),
        clips=score.clips,
        measured="path of the shared weights, BatchNorm by batch statistics",
        macs=int(problem.costs.macs(choices[None])[0]),
        params=int(problem.costs.params(choices[None])[0]),
        encoding=problem.space.decisions.encode(choices),
    )


def _summary(
    problem: Problem,
    source: Source,
    selection: Selection,
    score: Score,
    controls: rescoring.Controls,
    held_out: Score | None,
    best: Architecture,
    seconds: dict[str, float],
) -> dict[str, Any]:
    argmax = selection.pool.argmax
    cost = int(problem.cost(selection.choices[None])[0])
    rescored = {
        f"rung{i}": {"candidates": len(entries), "clips": entries[0][1].samples}
        for i, (_, entries) in enumerate(selection.halving.history)
    }
    return {
        "budget": {
            "texts": list(problem.config.budgets),
            "quantity": problem.quantity,
            "target": problem.target,
            "clip": str(problem.clip),
        },
        "classes": len(source.classes),
        "winner": {
            "architecture": best.key(),
            "choices": problem.space.decisions.encode(selection.choices),
            "cost": cost,
            "cost_over_target": cost / problem.target,
            "macs": best.provenance["macs"],
            "params": best.provenance["params"],
            "accuracy": score.accuracy,
            "loss": score.loss,
            "clips": score.clips,
            "times_chance": score.accuracy * len(source.classes),
            "origin": selection.origin,
        },
        "argmax": {
            "cost": int(problem.cost(argmax[None])[0]),
            "cost_over_target": float(np.divide(problem.cost(argmax[None])[0], problem.target)),
            "decisions_changed_by_repair": selection.pool.changes,
        },
        "selection": {
            "rungs": rescored,
            "neighbours": len(selection.local.scored) - 1,
            "moves": selection.local.moves,
        },
        "controls": rescoring.plain(controls),
        "validation": None if held_out is None else _validation(held_out),
        "seconds": seconds,
    }


def _validation(score: Score) -> dict[str, Any]:
    return {**dataclasses.asdict(score), "loss": rescoring.finite(score.loss), "accuracy": score.accuracy}
