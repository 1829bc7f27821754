"""The ledger is the truth: whatever the order, whatever was killed, the same jobs and the same table."""

import json
import random

import pytest

from scaling.scale import _report
from searchspace import cost
from tests.scaling.small import lines, open_work, pretend


def play(work, order=None, stop_after=None) -> bool:
    """Runs jobs, several open at a time and ended in random order; whether it came to the end."""
    draw, open_jobs, told = random.Random(order), [], 0
    while True:
        while len(open_jobs) < (1 if order is None else 3) and (job := work.take()) is not None:
            open_jobs.append(job)
        if not open_jobs:
            assert work.finished
            return True
        assert not work.finished
        job = open_jobs.pop(draw.randrange(len(open_jobs)))
        work.tell(job, pretend(job))
        told += 1
        if told == stop_after:
            return False


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    folder = tmp_path_factory.mktemp("straight")
    work = open_work(folder)
    assert play(work)
    return _report(work), lines(folder)


def by_job(records):
    return sorted((json.dumps(record, sort_keys=True) for record in records), key=str)


def test_what_is_trained(straight) -> None:
    _, records = straight
    results = [record for record in records if record["kind"] == "result"]
    tasks = [(record["task"], record["clips"], record["seed"]) for record in results]
    # Five trials of two networks on 8 clips, two of them on 16; four with a second seed; four single dimensions; A2.
    assert {task: tasks.count(task) for task in set(tasks)} == {
        ("trial", 8, 0): 10,
        ("trial", 16, 0): 4,
        ("trial", 8, 1): 8,
        ("single", 8, 0): 8,
        ("member", 8, 0): 1,
    }
    assert len({record["job"] for record in results}) == len(results)


def test_what_networks_cost_at_the_clips_of_trials_is_told(straight, tmp_path) -> None:
    report, records = straight
    assert sorted(report["proxies"]) == ["A1", "A3"]
    for name, exponent in (("A1", -1), ("A3", 1)):
        tried = [record for record in records if record.get("task") in ("trial", "single")]
        macs = [record["macs"] for record in tried if record["exponent"] == exponent]
        costs = report["proxies"][name]
        assert (costs["least"], costs["most"]) == (min(macs), max(macs))
        work = open_work(tmp_path)
        clip = work.base.space.clip.at(work.base.proxy_side(work.config.search_resolution))
        assert costs["share"] == cost(work.base.architecture, clip).macs * 2.0**exponent


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_order_of_completion_changes_nothing(straight, tmp_path, order) -> None:
    work = open_work(tmp_path)
    assert play(work, order)
    assert _report(work) == straight[0]
    assert by_job(lines(tmp_path)) == by_job(straight[1])


def test_killed_again_and_again_it_computes_exactly_what_is_missing(straight, tmp_path) -> None:
    draw, sessions = random.Random(0), 0
    while not play(work := open_work(tmp_path), order=sessions, stop_after=draw.randint(1, 6)):
        sessions += 1
        with open(tmp_path / "trials.jsonl", "a") as file:
            file.write('{"kind": "result", "job": "to')  # a kill amid a line
    assert sessions > 4
    assert _report(work) == straight[0]
    assert by_job(lines(tmp_path)) == by_job(straight[1])


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_samplers_that_learn_are_resumed_to_the_same_table(tmp_path, sampler) -> None:
    folders = [tmp_path / name for name in ("straight", "killed")]
    for folder in folders:
        folder.mkdir()
    works = [open_work(folder, sampler=sampler, trials=6) for folder in folders]
    assert play(works[0])
    assert not play(works[1], order=5, stop_after=9)
    works[1] = open_work(folders[1], sampler=sampler, trials=6)
    assert play(works[1], order=6)
    ours, theirs = map(_report, works)
    for trial in (*ours["trials"], *theirs["trials"]):
        assert len(trial["weights"]) == 4
    assert {**ours} == {**theirs}


def test_asynchronous_work_is_neither_lost_nor_repeated(tmp_path) -> None:
    work = open_work(tmp_path, asynchronous=True)
    assert not play(work, order=1, stop_after=7)
    before = [record["job"] for record in lines(tmp_path) if record["kind"] == "result"]
    work = open_work(tmp_path, asynchronous=True)
    assert play(work, order=2)
    after = [record["job"] for record in lines(tmp_path) if record["kind"] == "result"]
    assert after[: len(before)] == before and len(set(after)) == len(after)
    assert len(work.proposals) == 5


def test_failed_trials_are_kept_and_lose(tmp_path) -> None:
    work = open_work(tmp_path)
    while (job := work.take()) is not None:
        diverges = job.kind == "trial" and job.number != 2
        work.tell(job, {"error": "the training loss is nan at step 3", "seconds": 0} if diverges else pretend(job))
    found = _report(work)
    assert found["chosen"] == 2
    assert found["trials"][0]["rungs"][0]["error"].startswith("the training loss is nan")
    assert "choice not supported" in found["verdict"]["text"]


def test_no_successful_trial_is_an_error_that_names_the_ledger(tmp_path) -> None:
    work = open_work(tmp_path)
    while (job := work.take()) is not None:
        work.tell(job, {"error": "the training loss is nan at step 3", "seconds": 0})
    with pytest.raises(ValueError, match=r"all 5 trials failed.*loss is nan.*trials\.jsonl.*learning-rate"):
        work.best()
    assert len([record for record in lines(tmp_path) if record["kind"] == "result"]) == 10


def test_several_networks_a_space(tmp_path) -> None:
    work = open_work(tmp_path, architectures=3, trials=1)
    assert play(work)
    results = [record for record in lines(tmp_path) if record["kind"] == "result"]
    first = [record for record in results if record["task"] == "trial" and record["seed"] == 0 and record["clips"] == 8]
    assert sorted((record["exponent"], record["network"]) for record in first) == [
        (exponent, network) for exponent in (-1, 1) for network in range(3)
    ]
    accuracies = next(outcome for task, outcome in work.known.items() if task[:3] == ("trial", 0, 8) and not task.seed)
    means = [sum(r["accuracy"] for r in first if r["exponent"] == e) / 3 for e in (-1, 1)]
    assert accuracies.accuracies == pytest.approx(means)


def test_the_picture_may_have_all_members_on_more_clips(tmp_path) -> None:
    work = open_work(tmp_path, trials=1, members="A1:A4", picture_clips=24)
    assert play(work)
    drawn = [record for record in lines(tmp_path) if record["kind"] == "result" and record["task"] == "member"]
    assert sorted((record["exponent"], record["clips"]) for record in drawn) == [(e, 24) for e in (-1, 0, 1, 2)]
