"""The ledger is the truth: whatever the order, whatever was killed, the same jobs and the same table."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from scaling.scale_family import report_trials
from scaling.trial_schedule import TrialTask
from searchspace import cost
from tests.scaling.small_family import lines, open_trials, play, pretend

Played = tuple[dict[str, Any], list[dict[str, Any]]]
"""What a search reports, and its ledger."""


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Played:
    folder = tmp_path_factory.mktemp("straight")
    trials = open_trials(folder)
    assert play(trials)
    return report_trials(trials), lines(folder)


def by_job(records: list[dict[str, Any]]) -> list[str]:
    return sorted((json.dumps(record, sort_keys=True) for record in records), key=str)


def test_what_is_trained(straight: Played) -> None:
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


def test_what_networks_cost_at_the_clips_of_trials_is_told(straight: Played, tmp_path: Path) -> None:
    report, records = straight
    assert sorted(report["proxies"]) == ["A1", "A3"]
    for name, exponent in (("A1", -1), ("A3", 1)):
        tried = [record for record in records if record.get("task") in ("trial", "single")]
        macs = [record["macs"] for record in tried if record["exponent"] == exponent]
        costs = report["proxies"][name]
        assert (costs["least"], costs["most"]) == (min(macs), max(macs))
        trials = open_trials(tmp_path)
        clip = trials.base.space.clip.at(trials.base.proxy_side(trials.config.search_resolution))
        assert costs["share"] == cost(trials.base.architecture, clip).macs * 2.0**exponent


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_order_of_completion_changes_nothing(straight: Played, tmp_path: Path, order: int) -> None:
    trials = open_trials(tmp_path)
    assert play(trials, order)
    assert report_trials(trials) == straight[0]
    assert by_job(lines(tmp_path)) == by_job(straight[1])


def test_killed_again_and_again_it_computes_exactly_what_is_missing(straight: Played, tmp_path: Path) -> None:
    draw, sessions = random.Random(0), 0
    while not play(trials := open_trials(tmp_path), order=sessions, stop_after=draw.randint(1, 6)):
        sessions += 1
        with open(tmp_path / "trials.jsonl", "a") as file:
            file.write('{"kind": "result", "job": "to')  # a kill amid a line
    assert sessions > 4
    assert report_trials(trials) == straight[0]
    assert by_job(lines(tmp_path)) == by_job(straight[1])


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_samplers_that_learn_are_resumed_to_the_same_table(tmp_path: Path, sampler: str) -> None:
    folders = [tmp_path / name for name in ("straight", "killed")]
    for folder in folders:
        folder.mkdir()
    both = [open_trials(folder, sampler=sampler, trials=6) for folder in folders]
    assert play(both[0])
    assert not play(both[1], order=5, stop_after=9)
    both[1] = open_trials(folders[1], sampler=sampler, trials=6)
    assert play(both[1], order=6)
    ours, theirs = map(report_trials, both)
    for trial in (*ours["trials"], *theirs["trials"]):
        assert len(trial["weights"]) == 4
    assert {**ours} == {**theirs}


def test_asynchronous_work_is_neither_lost_nor_repeated(tmp_path: Path) -> None:
    trials = open_trials(tmp_path, asynchronous=True)
    assert not play(trials, order=1, stop_after=7)
    before = [record["job"] for record in lines(tmp_path) if record["kind"] == "result"]
    trials = open_trials(tmp_path, asynchronous=True)
    assert play(trials, order=2)
    after = [record["job"] for record in lines(tmp_path) if record["kind"] == "result"]
    assert after[: len(before)] == before and len(set(after)) == len(after)
    assert len(trials.proposals) == 5


def test_failed_trials_are_kept_and_lose(tmp_path: Path) -> None:
    trials = open_trials(tmp_path)
    while (job := trials.take()) is not None:
        diverges = job.kind == "trial" and job.number != 2
        trials.tell(job, {"error": "the training loss is nan at step 3", "seconds": 0} if diverges else pretend(job))
    found = report_trials(trials)
    assert found["chosen"] == 2
    assert found["trials"][0]["rungs"][0]["error"].startswith("the training loss is nan")
    assert "choice not supported" in found["verdict"]["text"]


def test_no_successful_trial_is_an_error_that_names_the_ledger(tmp_path: Path) -> None:
    trials = open_trials(tmp_path)
    while (job := trials.take()) is not None:
        trials.tell(job, {"error": "the training loss is nan at step 3", "seconds": 0})
    with pytest.raises(ValueError, match=r"all 5 trials failed.*loss is nan.*trials\.jsonl.*learning-rate"):
        trials.best()
    assert len([record for record in lines(tmp_path) if record["kind"] == "result"]) == 10


def test_several_networks_a_space(tmp_path: Path) -> None:
    trials = open_trials(tmp_path, architectures=3, trials=1)
    assert play(trials)
    results = [record for record in lines(tmp_path) if record["kind"] == "result"]
    first = [record for record in results if record["task"] == "trial" and record["seed"] == 0 and record["clips"] == 8]
    assert sorted((record["exponent"], record["network"]) for record in first) == [
        (exponent, network) for exponent in (-1, 1) for network in range(3)
    ]
    outcome = trials.known[TrialTask("trial", 0, 8)]
    means = [sum(r["accuracy"] for r in first if r["exponent"] == e) / 3 for e in (-1, 1)]
    assert outcome.accuracies == pytest.approx(means)


def test_the_picture_may_have_all_members_on_more_clips(tmp_path: Path) -> None:
    trials = open_trials(tmp_path, trials=1, members="A1:A4", picture_clips=24)
    assert play(trials)
    drawn = [record for record in lines(tmp_path) if record["kind"] == "result" and record["task"] == "member"]
    assert sorted((record["exponent"], record["clips"]) for record in drawn) == [(e, 24) for e in (-1, 0, 1, 2)]
