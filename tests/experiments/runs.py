"""Run folders made up by code, in the format that a search writes, so that pictures can be drawn in a second."""

import csv
import functools
import json
import math
from pathlib import Path

import numpy as np

import searchspace
from controller.front import non_dominated, wilson
from controller.start import largest_entropy
from searchspace import Clip, tabulate

CLASSES = 18
COLUMNS = ("macs", "params", "accuracy", "low", "high", "loss", "clips", "on_front", "winner", "choices", "path")


def made_up_run(
    folder: Path,
    *,
    seed: int = 0,
    steps: int = 1000,
    clip: str = "8x128x128@5",
    target: float = 600e6,
    finished: bool = True,
    quality: float = 0.62,
) -> Path:
    """Writes a run: the policy drifts to 3x3x3 kernels in early blocks, and so do the looks' accuracies."""
    rng = np.random.default_rng(seed)
    space = searchspace.load("movinet")
    decisions, costs = space.decisions, tabulate(space, Clip.parse(clip))
    folder.mkdir(parents=True)
    config = {
        "command": "search",
        "budgets": [f"{target / 1e6:.0f}MFLOPs"],
        "space": "movinet",
        "clip": clip,
        "search_resolution": 32,
        "data": None,
        "steps": steps,
        "searcher": "reinforce",
        "seed": seed,
    }
    (folder / "config.json").write_text(json.dumps(config))
    start = _start(clip, target)
    taste = [_taste(path, values) for path, values in zip(decisions.paths, decisions.values, strict=True)]

    def policy(progress: float) -> list[np.ndarray]:
        strength = 3.0 * max(0.0, progress - 0.35) / 0.65
        tilted = [p * np.exp(strength * t) for p, t in zip(start, taste, strict=True)]
        return [p / p.sum() for p in tilted]

    def liking(rows: np.ndarray) -> np.ndarray:
        active = decisions.active(rows)
        columns = [t[rows[:, d]] * active[:, d] for d, t in enumerate(taste)]
        return np.tanh(np.sum(columns, axis=0) / 8)

    def accuracy(rows: np.ndarray) -> np.ndarray:
        cost = np.log2(costs.macs(rows) / target)
        return np.clip(quality + 0.14 * liking(rows) + 0.06 * np.tanh(cost), 0.02, 0.98)

    with (
        open(folder / "ledger.jsonl", "w") as ledger,
        open(folder / "metrics.csv", "w") as metrics,
        open(folder / "policy.jsonl", "w") as moments,
    ):
        metrics.write("step,loss,accuracy,reward,cost_ratio,entropy,data_ms,step_ms\n")
        for step in range(1, steps + 1):
            progress = step / steps
            probabilities = policy(progress)
            learned = progress > 0.35
            entropy = sum(float(-(p * np.log(p)).sum()) for p in probabilities)
            row = decisions.sample(rng, 1, probabilities)
            macs = int(costs.macs(row)[0])
            learnt = 1 / (1 + math.exp(-10 * (progress - 0.35)))
            expected = 1 / CLASSES + (float(accuracy(row)[0]) - 1 / CLASSES) * learnt
            look = float(rng.binomial(64, expected) / 64)
            reward = look - 0.1 * abs(macs / target - 1)
            if learned or step % 10 == 0:
                ledger.write(
                    json.dumps(
                        {
                            "step": step - 1,
                            "architecture": decisions.encode(row[0]),
                            "macs": macs,
                            "quality": look,
                            "loss": -math.log(max(expected, 1e-3)),
                            "reward": reward,
                            "progress": progress,
                            "learned": learned,
                        }
                    )
                    + "\n"
                )
            seen = f"{look:.4f},{reward:.4f}" if learned else ","
            metrics.write(f"{step},{2.9 - 2 * learnt:.4f},{seen},{macs / target:.4f},{entropy:.3f},2.1,210.5\n")
            if step % max(1, steps // 20) == 0:
                moments.write(
                    json.dumps(
                        {
                            "step": step,
                            "entropy": entropy,
                            "expected_macs": costs.expected("macs", probabilities)[0],
                            "probabilities": {
                                path: [round(float(x), 5) for x in vector]
                                for path, vector in zip(decisions.paths, probabilities, strict=True)
                            },
                        }
                    )
                    + "\n"
                )
    if finished:
        _finish(folder, space, costs, decisions.sample(rng, 4000, policy(1.0)), accuracy, rng, target)
    return folder


@functools.cache
def _start(clip: str, target: float) -> list[np.ndarray]:
    space = searchspace.load("movinet")
    return largest_entropy(space.decisions, tabulate(space, Clip.parse(clip)), "macs", target).probabilities


def _finish(folder, space, costs, pool, accuracy, rng, target) -> None:
    """Networks over a range of costs, scored on 256 clips; the winner is the likeliest near the target."""
    uniform = space.decisions.sample(rng, 4000)
    pool = np.concatenate([pool, uniform])
    macs = costs.macs(pool)
    chosen: list[int] = []
    for low in np.linspace(0.4, 1.84, 10) * target:
        inside = np.flatnonzero((macs >= low) & (macs < low + 0.16 * target))
        chosen += list(inside[np.argsort(-accuracy(pool[inside]))][:80:10])
    near = np.flatnonzero((macs > 0.97 * target) & (macs < 1.01 * target))
    winner = int(near[np.argmax(accuracy(pool[near]))])
    chosen = sorted({*chosen, winner}, key=lambda i: macs[i])
    truth = accuracy(pool[chosen])
    correct = rng.binomial(256, truth)
    losses = -np.log(truth) + rng.normal(0, 0.03, len(truth))
    on_front = non_dominated(macs[chosen], -losses)
    (folder / "best").mkdir()
    (folder / "front").mkdir()
    with open(folder / "pareto.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for i, right, loss, front in zip(chosen, correct, losses, on_front, strict=True):
            architecture = space.architecture(pool[i], f"{folder.name}-{macs[i] / 1e6:.0f}M")
            path = "best/arch.json" if i == winner else f"front/{architecture.key()}.json" if front else ""
            if path:
                architecture.save(folder / path)
            low, high = wilson(right / 256, 256)
            writer.writerow(
                {
                    "macs": macs[i],
                    "params": costs.params(pool[i][None])[0],
                    "accuracy": f"{right / 256:.6f}",
                    "low": f"{low:.6f}",
                    "high": f"{high:.6f}",
                    "loss": f"{loss:.6f}",
                    "clips": 256,
                    "on_front": int(front),
                    "winner": int(i == winner),
                    "choices": space.decisions.encode(pool[i]),
                    "path": path,
                }
            )
    best = float(accuracy(pool[winner][None])[0])
    cost = int(macs[winner])
    summary = {
        "budget": {"texts": ["600MFLOPs"], "quantity": "macs", "target": target, "clip": "8x128x128@5"},
        "classes": CLASSES,
        "winner": {
            "cost": cost,
            "cost_over_target": cost / target,
            "macs": cost,
            "params": int(costs.params(pool[winner][None])[0]),
            "accuracy": best,
            "loss": -math.log(best),
            "clips": 2000,
            "times_chance": best * CLASSES,
            "origin": "surrogate",
        },
        "argmax": {"cost": cost, "cost_over_target": cost / target, "decisions_changed_by_repair": 7},
        "controls": {
            "policy_minus_uniform_accuracy": {"mean": 0.081, "low": 0.052, "high": 0.11, "pairs": 64},
            "policy_minus_uniform_loss": {"mean": -0.2, "low": -0.3, "high": -0.1, "pairs": 64},
            "steering": {"policy": 0.05, "start": 0.1, "ratio": 0.5},
            "uniform_at_budget": {"accuracy": best - 0.12, "loss": 0.9, "count": 16, "beaten_by_winner": 15},
        },
        "validation": None,
        "seconds": {"training": 230.0, "selection": 31.0, "front_and_controls": 40.0},
    }
    (folder / "summary.json").write_text(json.dumps(summary))


def _taste(path: str, values: tuple) -> np.ndarray:
    """What the made-up policy comes to like."""
    block = int(path.split("/")[1]) if path.startswith("blocks") else 9
    if path.endswith("kernel"):
        wanted = {0: "3x3x3", 1: "5x3x3", 2: "3x3x3", 3: "1x5x5", 4: "1x3x3"}[block]
        return np.array([1.0 if str(v) == wanted else 0.35 if v.t > 1 and block < 3 else 0.0 for v in values])
    if path.endswith("depth"):
        return -0.5 * np.abs(np.arange(len(values)) - (4, 4, 3, 5, 3)[block]) / 4
    if path.endswith("se"):
        return np.array([0.0, 0.5 if block > 2 else -0.2])
    return np.zeros(len(values))
