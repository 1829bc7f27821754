"""Searches under other settings: does each default earn its place, and does the controller steer?

Every variant differs from the default in what `VARIANTS` names. What a search ended with, and how its shared weights
rank the random networks that `benchmarks.alone spread` trained alone, goes to `results/searches.jsonl`.

    python -m benchmarks.searches run default adamw --seeds 0 1    # two at a time, one thread each
    python -m benchmarks.searches table                            # everything measured so far
    python -m benchmarks.searches steering                         # runs of 1,001 looks; fails if one does not steer
"""

from __future__ import annotations

import argparse
import concurrent.futures
import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np

from searchspace.stored import read_records
from training.run.ledger import Ledger

RESULTS = Path(__file__).parent / "results"
RANKING_CLIPS = 512
LOOKS = {"steps": 1540}  # 65 % of them look: 1,001
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "warm-up-tunas": {"warmup": "tunas"},
    "warm-up-sandwich": {"warmup": "sandwich"},
    "warm-up-uniform": {"warmup": "uniform"},
    "kernels-separate": {"kernels": "separate"},
    "residual-0": {"residual": 0.0},
    "residual-1": {"residual": 1.0},
    "adamw": {"optimizer": "adamw", "learning_rate": 0.003},
    "rmsprop": {"optimizer": "rmsprop", "learning_rate": 0.02},
    "frozen": {"controller_rate": 0.0},
    "searcher-random": {"searcher": "random"},
    "searcher-evolution": {"searcher": "evolution"},
    "looks-1001": LOOKS,
    "looks-1001-start-uniform": {**LOOKS, "start": "uniform"},
    "looks-1001-frozen": {**LOOKS, "controller_rate": 0.0},
}


def run(variant: str, seed: int, runs: Path) -> dict[str, Any]:
    """One search, gone on with where its folder stands, and its record."""
    from training.search.run_search import search

    settings = {**VARIANTS[variant], "seed": seed, "threads": 1}
    result = search(settings, runs=runs, name=f"{variant}-{seed}", resume=True)
    summary = result.summary
    controls = summary["controls"]
    return {
        "variant": variant,
        "seed": seed,
        "settings": settings,
        "winner": summary["winner"]["accuracy"],
        "winner_choices": summary["winner"]["choices"],
        "validation": summary["validation"]["accuracy"],
        "cost_over_target": summary["winner"]["cost_over_target"],
        "policy_minus_uniform": controls["policy_minus_uniform_accuracy"],
        "uniform_at_budget": controls["uniform_at_budget"]["accuracy"],
        "steering": controls["steering"],
        "ranking": ranking(result.folder),
        "seconds": summary["seconds"],
    }


def ranking(folder: Path) -> dict[str, float]:
    """How a run's shared weights see the random networks whose truth is known: mean accuracy, and Kendall's tau."""
    from benchmarks.alone import CLASSES, CLIP, random_choices
    from training import run
    from training.open_data import open_source
    from training.progress import Silent
    from training.search.search_config import SearchConfig
    from training.search.search_problem import build
    from training.search.shared_weight_scores import Scorer
    from training.search.supernet_steps import SupernetSteps
    from training.steps import checkpoint

    stored = run.read_json(folder / "config.json")
    del stored["command"]
    config = SearchConfig.stored(stored)
    problem = build(config, CLASSES)
    steps = SupernetSteps(problem)
    found, _ = checkpoint.load_newest(folder / "checkpoints")
    assert found is not None
    steps.supernet.load_state_dict(found.tensors["supernet"])
    source = open_source(
        config.data,
        config.train_clip,
        seed=config.seed,
        group=config.group,
        workers=config.workers,
        folder=folder,
        progress=Silent(),
    )
    scorer = Scorer(problem, steps.logits, source, Ledger(folder / "ranking.jsonl"))
    truth: dict[str, list[float]] = {}
    for record in read_records(RESULTS / "alone.jsonl"):
        if record["clip"] == CLIP:
            truth.setdefault(record["architecture"], []).append(record["accuracy"])
    losses, accuracies, alone = [], [], []
    for row in random_choices(600e6, 12):
        known = truth.get(problem.space.architecture(row).key(), [])
        score = scorer(row, RANKING_CLIPS, "ranking")
        accuracies.append(score.accuracy)
        if len(known) >= 2:
            losses.append(-score.loss)
            alone.append(float(np.mean(known)))
    return {"networks": len(alone), "tau": kendall(losses, alone), "accuracy": float(np.mean(accuracies))}


def kendall(first: list[float], second: list[float]) -> float:
    """Kendall's tau-a of two lists without ties."""
    a, b = np.array(first), np.array(second)
    upper = np.triu_indices(len(a), 1)
    agree = np.sign(a[:, None] - a)[upper] * np.sign(b[:, None] - b)[upper]
    return float(agree.mean())


def records() -> list[dict[str, Any]]:
    """The newest record of every variant and seed, in the order of `VARIANTS`."""
    newest = {(r["variant"], r["seed"]): r for r in read_records(RESULTS / "searches.jsonl")}
    order = list(VARIANTS)
    return sorted(newest.values(), key=lambda r: (order.index(r["variant"]), r["seed"]))


def run_all(arguments: argparse.Namespace) -> None:
    """Runs variants that have no record yet."""
    ledger = Ledger(RESULTS / "searches.jsonl")
    done = {(r["variant"], r["seed"]) for r in records()}
    wanted = [(v, s) for v in arguments.variants for s in arguments.seeds if (v, s) not in done]
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(arguments.workers, mp_context=context) as pool:
        waiting = {pool.submit(run, variant, seed, arguments.runs): (variant, seed) for variant, seed in wanted}
        for future in concurrent.futures.as_completed(waiting):
            ledger.append_json(future.result())
            print(*waiting[future], "done", flush=True)


def table(_: argparse.Namespace) -> None:
    """Prints what was measured as a table of Markdown."""
    print(
        "| variant | seed | winner | extracted, `val` | policy − uniform | 12 random networks, mean | tau | steering |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for record in records():
        gain, ranks, steer = record["policy_minus_uniform"], record["ranking"], record["steering"]
        print(
            f"| {record['variant']} | {record['seed']} | {record['winner']:.3f} | {record['validation']:.3f} "
            f"| {100 * gain['mean']:+.1f} ({100 * gain['low']:+.1f} to {100 * gain['high']:+.1f}) "
            f"| {ranks['accuracy']:.3f} | {ranks['tau']:+.2f} "
            f"| {100 * steer['policy']:.1f} % of {100 * steer['start']:.1f} %: {steer['ratio']:.2f} |"
        )


def steering(_: argparse.Namespace) -> None:
    """At 1,001 looks: at most two thirds of the start's distance from the target, and not with the rate at 0."""
    found = {(r["variant"], r["seed"]): r["steering"]["ratio"] for r in records() if "looks-1001" in r["variant"]}
    missing = [v for v in VARIANTS if v.startswith("looks-1001") and not any(v == w for w, _ in found)]
    if missing:
        raise SystemExit(f"not measured yet; first: python -m benchmarks.searches run {' '.join(missing)}")
    for (variant, seed), ratio in found.items():
        steers, should = ratio <= 2 / 3, not variant.endswith("frozen")
        print(f"{variant:28} seed {seed}: ratio {ratio:.2f}, {'steers' if steers else 'does not steer'}")
        if steers != should:
            raise SystemExit(f"{variant} should{'' if should else ' not'} steer")


def main() -> None:
    """Parses and runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("run", help=run_all.__doc__)
    command.add_argument("variants", nargs="+", choices=VARIANTS)
    command.add_argument("--seeds", nargs="+", type=int, default=[0])
    command.add_argument("--workers", type=int, default=2, help="searches at a time")
    command.add_argument("--runs", type=Path, default=Path("runs/benchmarks"))
    command.set_defaults(function=run_all)
    for function in (table, steering):
        commands.add_parser(function.__name__, help=function.__doc__).set_defaults(function=function)
    arguments = parser.parse_args()
    arguments.function(arguments)


if __name__ == "__main__":
    main()
