"""Which trials go on: successive halving by hand, in any order of results, and as results come."""

import math
import random

import pytest

from scaling.coefficient_support import NOT_SUPPORTED, CoefficientSupport, judge_coefficients
from scaling.trial_schedule import TrialOutcome, TrialSchedule, TrialTask

RUNGS = (10, 40)


def quality(task: TrialTask) -> TrialOutcome:
    """Trial 7 is best, then 6, ...; trial 3 fails."""
    if task.number == 3:
        return TrialOutcome((), error="diverged")
    accuracy = 0.1 * task.number + 0.001 * task.clips + 0.01 * task.seed
    return TrialOutcome((accuracy, accuracy), 1 - accuracy)


def play(schedule: TrialSchedule, workers: int, seed: int) -> tuple[dict[TrialTask, TrialOutcome], list[TrialTask]]:
    """Runs a schedule whose tasks end in random order; returns what is known, and the order of beginnings."""
    known: dict[TrialTask, TrialOutcome] = {}
    running: list[TrialTask] = []
    begun: list[TrialTask] = []
    draw = random.Random(seed)
    while True:
        while len(running) < workers and (ready := schedule.pending(known, running)):
            running.append(ready[0])
            begun.append(ready[0])
        if not running:
            return known, begun
        task = running.pop(draw.randrange(len(running)))
        known[task] = quality(task)


def test_rung_by_rung_by_hand() -> None:
    schedule = TrialSchedule(trials=8, batch=8, rungs=RUNGS, reduction=4)
    known, _ = play(schedule, 1, 0)
    assert {task.number for task in known if task.clips == 10} == set(range(8))
    assert {task.number for task in known if task.clips == 40} == {6, 7}
    assert [task.number for task in schedule.survivors(known)][:2] == [7, 6]
    assert [task.number for task in schedule.reruns(known)] == [7, 6, 5, 4]
    assert {(task.clips, task.seed) for task in schedule.reruns(known)} == {(10, 1)}


@pytest.mark.parametrize("workers", [2, 5])
@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_results_changes_nothing(workers: int, seed: int) -> None:
    schedule = TrialSchedule(trials=9, batch=4, rungs=(5, 10, 40), reduction=2)
    assert play(schedule, workers, seed)[0] == play(schedule, 1, 0)[0]


def test_a_batch_waits_for_the_one_before() -> None:
    _, begun = play(TrialSchedule(trials=8, batch=4, rungs=RUNGS, reduction=4), 8, 3)
    first = [begun.index(TrialTask("trial", number, 10)) for number in range(8)]
    last = [i for i, task in enumerate(begun) if task.clips == 40]
    assert max(first[:4]) < last[0] < min(first[4:])


@pytest.mark.parametrize("seed", range(10))
def test_asynchronous_trials_are_neither_lost_nor_repeated(seed: int) -> None:
    schedule = TrialSchedule(trials=8, batch=8, rungs=RUNGS, reduction=4, asynchronous=True)
    known, begun = play(schedule, 3, seed)
    assert len(begun) == len(set(begun)) == len(known)
    assert {task.number for task in known if task.clips == 10} == set(range(8))
    assert 7 in {task.number for task in known if task.clips == 40}


def test_few_trials_still_reach_the_last_rung() -> None:
    for asynchronous in (False, True):
        known, _ = play(TrialSchedule(2, 2, (5, 10, 40), 4, asynchronous), 2, 0)
        assert max(task.clips for task in known) == 40


def test_failures_rank_last_and_all_failures_end() -> None:
    schedule = TrialSchedule(trials=1, batch=1, rungs=RUNGS, reduction=4)
    failed = {TrialTask("trial", 0, 10): TrialOutcome((), error="x")}
    assert schedule.pending(failed, []) == []
    assert schedule.survivors(failed) == schedule.reruns(failed) == []
    both = {task: quality(task) for task in (TrialTask("trial", 3, 10), TrialTask("trial", 1, 10))}
    assert [task.number for task in schedule.survivors(both)] == [1]


def test_the_verdict_compares_trials_with_seeds() -> None:
    schedule = TrialSchedule(trials=4, batch=4, rungs=(10,), reduction=4)
    first = {TrialTask("trial", i, 10): TrialOutcome((a, a), 1.0) for i, a in enumerate([0.2, 0.3, 0.4, 0.5])}
    for gap, supported in ((0.01, True), (0.4, False)):
        again = {task._replace(seed=1): TrialOutcome((one.objective + gap,) * 2, 1.0) for task, one in first.items()}
        found = judge_coefficients(schedule, first | again)
        assert found.trial_spread == pytest.approx(math.sqrt(0.05 / 3))  # of 0.2, 0.3, 0.4, 0.5
        assert found.seed_spread == pytest.approx(gap / math.sqrt(2))  # of two values that differ by the gap
        assert found.supported == supported
        assert (NOT_SUPPORTED in str(found)) == (not supported)
        assert found.ratio == pytest.approx(0.05 / 3 / (gap**2 / 2))
    alone = judge_coefficients(TrialSchedule(1, 1, (10,), 4), {TrialTask("trial", 0, 10): TrialOutcome((0.2,), 1.0)})
    assert NOT_SUPPORTED in str(alone) and math.isnan(alone.by_chance)


@pytest.mark.parametrize("trials", [4, 12])
@pytest.mark.parametrize("ratio", [1.0, 3.0, 8.0])
def test_how_often_chance_reaches_a_ratio(trials: int, ratio: float) -> None:
    # Survival of F with d and 4 degrees of freedom: the incomplete beta function of 2 and d/2, in closed form.
    half = (trials - 1) / 2
    x = 4 / (4 + (trials - 1) * ratio)
    found = CoefficientSupport(10, trials, math.sqrt(ratio), 1.0, repeated=4)
    assert found.by_chance == pytest.approx(1 - (1 - x) ** half * (1 + half * x), abs=0.01)
    assert found.supported == (ratio > 1)
    assert ("but weakly" in str(found)) == (ratio > 1 and found.by_chance > 0.05)
