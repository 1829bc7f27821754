"""The search: one supernet trained on sampled paths, a controller paid for held-out looks, and a winner re-scored.

A search is a function of its configuration. Everything random is drawn by (seed, purpose, step), so that a run that was
killed goes on from its last checkpoint to bit-identical weights, the same ledger and the same winner (on CPU, with the
same number of threads; `WALL_CLOCK` names what differs).
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import searchspace
from controller.looks import Looks
from searchspace import Architecture
from searchspace.commands import go_on
from searchspace.stored import naming, read_records
from training import run as runs_module
from training.data_parts import TEST, TRAIN, WATCH, Selection
from training.evaluation.probe_features import MOST_PROBED, probe_selection, recorded
from training.machine.interrupt import Interrupt, Interrupted, exit_code
from training.open_data import scan_file, survey
from training.progress import Progress, Silent
from training.run import SearchRun
from training.run.formats import LOOK
from training.search import rescoring
from training.search.search_config import SearchConfig
from training.search.search_problem import build
from training.search.search_results import write_results
from training.search.search_task import SearchTask
from training.search.shared_weight_scores import DIVERGED, Scorer
from training.steps import loop
from video.source import SEARCH_PARTS

WALL_CLOCK = ("data_ms", "step_ms", "seconds")
"""Fields of ledger, metrics and summary that hold times, and so differ between two runs of one configuration."""


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """What a search ends with.

    Attributes:
        folder: the run.
        architecture: the winner, as in `best/arch.json`.
        summary: the content of `summary.json`.
    """

    folder: Path
    architecture: Architecture
    summary: dict[str, Any]

    @property
    def accuracy(self) -> float:
        """Accuracy of the winner's path on the re-scoring clips, in [0, 1]."""
        return float(self.summary["winner"]["accuracy"])


def search(
    config: SearchConfig | Mapping[str, Any] | None = None,
    *,
    runs: str | os.PathLike[str] = "runs",
    name: str | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> SearchResult:
    """Searches an architecture for a budget.

    `nas search` leaves the same folder with pictures in it: pareto.png, pareto.html, policy.png. Where threads, workers
    and device are not given, the command takes those of the machine, this call the defaults of `SearchConfig`.

    Args:
        config: settings, resolved (`SearchConfig`) or those that differ from the defaults (a mapping).
        runs: folder of all runs.
        name: of the run; by default the first free `search-<number>`.
        resume: go on with the run of this name, or the newest; where there is none yet, it starts.
        progress: where to report.

    Returns:
        The winner and the run's folder; a finished run is only read.

    Raises:
        ValueError: a mistake in the settings or the data, or a resume with other settings.
        Interrupted: after Ctrl-C, SIGTERM or SIGHUP; the run is saved and can be resumed.
        OSError: the disk is full or the folder cannot be written; the last checkpoint is intact.
    """
    progress = progress or Silent()
    given = dict(config) if isinstance(config, Mapping) else {} if config is None else config.to_dict()
    given = SearchConfig.settled(given)
    if "budgets" in given:
        given["budgets"] = list(given["budgets"])
    folder = runs_module.resume(Path(runs), name, SearchRun.made_by, given) if resume else None
    if folder is None:
        resolved = config if isinstance(config, SearchConfig) else SearchConfig.resolve(**given)
        classes = survey(resolved.data, resolved.videos, resolved.group)
        space = build(resolved, classes).space  # a mistake is answered before a folder is made
        files = {runs_module.SPACE: space.to_yaml()}
        folder = runs_module.create(Path(runs), name, SearchRun.made_by, resolved.to_dict(), files)
    else:
        resolved = folder.settings(SearchConfig.stored)
    with folder:
        if folder.finished:
            progress.line(f"{folder.path} is finished")
            return load_result(folder.path)
        survey(resolved.data, resolved.videos, resolved.group)
        _check_space(folder.path, resolved)
        try:
            with folder.starting():
                _run(SearchTask(resolved, folder, progress))
        except Interrupted:
            raise
        except KeyboardInterrupt as stop:
            message = f"stopped; go on with: {go_on('search', folder.path)}"
            raise Interrupted(exit_code(stop), message) from None
        return load_result(folder.path)


def _check_space(folder: Path, config: SearchConfig) -> None:
    """A space file that was edited since the run began would make another search of it."""
    kept = folder / runs_module.SPACE
    if kept.exists() and searchspace.load(kept).decisions != searchspace.load(config.space).decisions:
        raise ValueError(
            f"space {config.space!r} has changed since {folder} was started; the run keeps its own copy, {kept}: "
            "restore the file from it, or start a new run"
        )


def _run(task: SearchTask) -> None:
    """Trains, re-scores, writes the results."""
    started = time.perf_counter()
    with Interrupt() as interrupt:
        loop.run(task, interrupt, task.config.workers)
        trained = time.perf_counter()
        _finish(task, interrupt, started, trained)


def _finish(task: SearchTask, interrupt: Interrupt, started: float, trained: float) -> None:
    """Re-scores on the final weights, and writes the results."""
    problem, config, size, title = task.problem, task.config, task.sizes, "re-scoring on the final weights, clips"

    def told(what: str, done: int, total: int) -> None:
        if interrupt.exit_code:
            raise task.stopped(interrupt.exit_code)
        task.log.progress.phase(what, done, total)

    scorer = Scorer(
        problem,
        task.engine.logits,
        task.source,
        task.scores,
        views=1 if config.data is None else 3,
        device=config.device,
        tick=lambda scored: told(title, scored, most),
    )
    most = size.clips(scorer.covered)
    selection, model = rescoring.choose(problem, task.searcher, _looks(task), scorer, size.plan)
    if selection.evaluation.loss >= DIVERGED:
        rate = config.learning_rate
        raise ValueError(f"the shared weights have diverged, no loss is finite: lower learning_rate (it is {rate:g})")
    selected = time.perf_counter()
    points = rescoring.front(problem, task.searcher, scorer, selection, model, size)
    controls = rescoring.controls(problem, task.searcher, scorer, selection.choices, size)
    task.log.progress.phase(title, scorer.clips, scorer.clips)
    held_out = task.engine.held_out(problem.space.architecture(selection.choices), task.source)
    ended = time.perf_counter()
    seconds = {
        "training": trained - started,
        "selection": selected - trained,
        "front_and_controls": ended - selected,
    }
    probes = _probes(task, told)
    write_results(task.folder, problem, task.source, selection, points, controls, held_out, probes, seconds)


def _probes(task: SearchTask, told: Callable[[str, int, int], None]) -> list[dict[str, Any]]:
    """What linear classifiers make of real videos without any network, on the clips that chose the winner."""
    config, sizes = task.config, task.source.parts
    if config.data is None or sum(sizes.values()) > MOST_PROBED:
        return []
    parts = zip((TRAIN, WATCH, TEST), SEARCH_PARTS, strict=True)
    chosen = Selection(task.source, {key: [(part, np.arange(sizes[part]))] for key, part in parts})
    cache = scan_file(config.data, config.videos, otherwise=task.folder.path / "scan.json")
    return recorded(probe_selection(None, chosen, cache, told, plain=True))


def _looks(task: SearchTask) -> Looks:
    """Every look after the delay."""
    records = [record for record in read_records(task.ledger.path, LOOK) if record["learned"]]
    decisions = task.problem.space.decisions
    with naming(task.ledger.path):
        rows = [decisions.decode(record["architecture"]) for record in records]
    return Looks(
        np.stack(rows) if rows else np.zeros((0, len(decisions)), dtype=np.int8),
        np.array([record["quality"] for record in records]),
        np.array([record["progress"] for record in records]),
    )


def load_result(folder: Path) -> SearchResult:
    """Reads a finished run; raises `ValueError` where it is not one."""
    run = SearchRun.open(folder)
    return SearchResult(folder, run.best, run.summary)
