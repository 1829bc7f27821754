"""Which trials go on: successive halving, rung by rung (deterministic) or as results come (ASHA).

Synchronous: Jamieson and Talwalkar, AISTATS 2016 (arXiv 1502.07943); asynchronous: Li et al., MLSys 2020 (arXiv
1810.05934). A rung trains anew, with a schedule of its own length: what a trial showed on a rung is a function of the
trial and the rung alone, whoever computed it and when (our choice).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping
from typing import NamedTuple

RERUN = 4
"""So many of the best trials are run with a second seed."""


class TrialTask(NamedTuple):
    """Something to measure.

    Attributes:
        kind: `trial`; `single`, a scaling of one dimension; or `member`, members of the chosen coefficients.
        number: of the trial or the dimension.
        clips: training clips of each network.
        seed: 0, or 1 for the second seed.
    """

    kind: str
    number: int
    clips: int
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class TrialOutcome:
    """What a task showed.

    Attributes:
        accuracies: for each exponent, ascending, the mean of its networks; empty where it failed.
        loss: mean cross-entropy in nats; infinite where it failed.
        error: why it failed.
    """

    accuracies: tuple[float, ...]
    loss: float = math.inf
    error: str = ""

    @property
    def objective(self) -> float:
        """Mean accuracy; minus infinity for a failure."""
        return math.fsum(self.accuracies) / len(self.accuracies) if self.accuracies else -math.inf

    @property
    def failed(self) -> bool:
        """Whether there is nothing to compare."""
        return not self.accuracies


Known = Mapping[TrialTask, TrialOutcome]


@dataclasses.dataclass(frozen=True)
class TrialSchedule:
    """Sizes of a halving.

    Attributes:
        trials: in all.
        batch: trials that begin together.
        rungs: training clips, ascending.
        reduction: one over the share that goes on.
        asynchronous: promote as results come.
    """

    trials: int
    batch: int
    rungs: tuple[int, ...]
    reduction: int
    asynchronous: bool = False

    def pending(self, known: Known, running: Collection[TrialTask]) -> list[TrialTask]:
        """Trials' tasks to begin now: none where all is measured, or where the next ones depend on running ones."""
        tasks = self._as_they_come(known, running) if self.asynchronous else self._rung_by_rung(known)
        return [task for task in tasks if task not in running]

    def _rung_by_rung(self, known: Known) -> list[TrialTask]:
        for begin in range(0, self.trials, self.batch):
            alive = list(range(begin, min(begin + self.batch, self.trials)))
            for clips in self.rungs:
                tasks = [TrialTask("trial", trial, clips) for trial in alive]
                missing = [task for task in tasks if task not in known]
                if missing:
                    return missing
                alive = self._best(known, tasks, len(tasks) // self.reduction)
        return []

    def _as_they_come(self, known: Known, running: Collection[TrialTask]) -> list[TrialTask]:
        """The promotion from the highest rung that has one, else a new trial; at the end the best trial goes up."""
        for low, high in reversed(list(zip(self.rungs, self.rungs[1:], strict=False))):
            done = [task for task in known if task.kind == "trial" and task.clips == low and not task.seed]
            for trial in self._best(known, done, len(done) // self.reduction, least=0):
                task = TrialTask("trial", trial, high)
                if task not in known and task not in running:
                    return [task]
        begun = {task.number for task in (*known, *running) if task.kind == "trial"}
        new = next((trial for trial in range(self.trials) if trial not in begun), None)
        if new is not None:
            return [TrialTask("trial", new, self.rungs[0])]
        if running:
            return []
        best = self._best(known, [task for task in known if task.kind == "trial"], 1)
        further = (TrialTask("trial", trial, clips) for clips in self.rungs for trial in best)
        return [task for task in further if task not in known][:1]

    def _best(self, known: Known, tasks: list[TrialTask], count: int, least: int = 1) -> list[int]:
        """Numbers of the best trials among tasks that did not fail, at least `least` of them, in their order."""
        return sorted(task.number for task in ranked(known, tasks)[: max(least, count)])

    def survivors(self, known: Known) -> list[TrialTask]:
        """All trials' tasks of the first seed that did not fail, most clips first, then best first."""
        tasks = [task for task in known if task.kind == "trial" and not task.seed]
        return sorted(ranked(known, tasks), key=lambda task: -task.clips)

    def reruns(self, known: Known) -> list[TrialTask]:
        """The best four with a second seed, on the highest rung on which so many stand."""
        found = self.survivors(known)
        alive = len({task.number for task in found})
        for clips in reversed(self.rungs):
            here = [task for task in found if task.clips == clips]
            if len(here) >= min(RERUN, alive):
                return [task._replace(seed=1) for task in here[:RERUN]]
        return []


def ranked(known: Known, tasks: Collection[TrialTask]) -> list[TrialTask]:
    """Tasks that did not fail: best accuracy first, then least loss, then first number."""
    good = [task for task in tasks if not known[task].failed]
    return sorted(good, key=lambda task: (-known[task].objective, known[task].loss, task.number))
