"""The search: one supernet trained on sampled paths, a controller paid for held-out looks, and a winner re-scored.

A search is a function of its configuration. Everything random is drawn by (seed, purpose, step), so that a run that was
killed goes on from its last checkpoint to bit-identical weights, the same ledger and the same winner (on CPU, with the
same number of threads; `WALL_CLOCK` names what differs).
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import searchspace
from searchspace import Architecture
from searchspace.commands import go_on
from training import run as runs_module
from training.data import survey
from training.interrupt import Interrupted, exit_code
from training.problem import build
from training.progress import Progress, Silent
from training.run import SearchRun
from training.search_config import SearchConfig
from training.search_loop import SearchLoop

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
                SearchLoop(resolved, folder, progress).run()
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


def load_result(folder: Path) -> SearchResult:
    """Reads a finished run; raises `ValueError` where it is not one."""
    run = SearchRun.open(folder)
    return SearchResult(folder, run.best, run.summary)
