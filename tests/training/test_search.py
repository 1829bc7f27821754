"""A search from end to end on a small space: what it leaves, and going on as if nothing had happened."""

import csv
import json
import signal

import numpy as np
import pytest
import torch

import networks
import searchspace
from searchspace import Architecture, tabulate
from tests.training.small import assert_equal_runs, settings
from training.machine.interrupt import Interrupted
from training.progress import Silent
from training.search.run_search import search
from training.search.shared_weight_scores import DIVERGED
from video import motion


class Crash(Exception):
    pass


class CrashAfter(Silent):
    """Fails at a given status of training, or at a given tick of the re-scoring."""

    def __init__(self, step=None, tick=None):
        self.step, self.tick, self.ticks = step, tick, 0

    def status(self, status):
        if status.step == self.step:
            raise Crash

    def phase(self, title, done, total):
        self.ticks += title.startswith("re-scoring")
        if self.ticks == self.tick:
            raise Crash


@pytest.fixture(autouse=True, scope="module")
def few_clips_to_score():
    """Scoring 2,048 clips again and again is most of the time of a search of seconds."""
    with pytest.MonkeyPatch.context() as patch:
        for part in ("rescoring", "val"):
            patch.setitem(motion.DEFAULT_SIZES, part, 256)
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory, few_clips_to_score):
    folder = tmp_path_factory.mktemp("finished")
    given = settings(folder)
    return folder, given, search(given, runs=folder / "runs", name="a")


def test_a_search_ends_with_an_architecture_within_its_budget(finished):
    folder, given, result = finished
    best = Architecture.load(folder / "runs" / "a" / "best" / "arch.json")
    assert best == result.architecture
    cost = searchspace.cost(best, searchspace.Clip.parse(given["clip"]))
    assert 0.97 <= cost.macs / 2e6 <= 1.01
    assert best.provenance["macs"] == cost.macs == result.summary["winner"]["macs"]
    assert str(best.clip) == given["clip"]
    space = searchspace.load(given["space"])
    assert space.decisions.encode(space.choices(best)) == result.summary["winner"]["choices"]


def test_a_search_of_the_causal_form(tmp_path):
    """A target per frame, dense layers included, and a cap on the state; winner and space are causal."""
    given = settings(tmp_path, stream=True, budgets=["0.5M/frame", "20kBstate"], steps=4)
    result = search(given, runs=tmp_path / "runs", name="stream")
    assert result.architecture.form == searchspace.STREAM
    cost = searchspace.cost(result.architecture, searchspace.Clip.parse(given["clip"]))
    assert 0.97 <= cost.frame_macs / 5e5 <= 1.01 and cost.state_bytes <= 20_000
    assert searchspace.load(tmp_path / "runs" / "stream" / "space.yaml").form == searchspace.STREAM
    network = networks.create(tmp_path / "runs" / "stream" / "best" / "arch.json")
    assert network.streams and network.architecture == result.architecture
    with pytest.raises(ValueError, match=r"'20kBstate' limits the state .*--stream"):
        search(settings(tmp_path, budgets=["2M", "20kBstate"]), runs=tmp_path / "runs", name="base")


def test_the_front_holds_scores_of_the_same_clips_on_the_final_weights(finished):
    folder, _, result = finished
    run = folder / "runs" / "a"
    rows = list(csv.DictReader((run / "pareto.csv").read_text().splitlines()))
    assert len({row["clips"] for row in rows}) == 1
    assert sum(row["winner"] == "1" for row in rows) == 1
    front = [row for row in rows if row["on_front"] == "1"]
    for row in front:
        assert not any(int(o["macs"]) <= int(row["macs"]) and float(o["loss"]) < float(row["loss"]) for o in rows)
        assert float(row["low"]) <= float(row["accuracy"]) <= float(row["high"])
        assert Architecture.load(run / row["path"]).provenance["macs"] == int(row["macs"])
    scored = {(r["choices"], r["clips"]): r for r in map(json.loads, (run / "scores.jsonl").read_text().splitlines())}
    for row in rows:
        record = scored[row["choices"], int(row["clips"])]
        assert record["correct"] / record["clips"] == pytest.approx(float(row["accuracy"]), abs=1e-6)
    assert result.summary["controls"]["uniform_at_budget"]["count"] > 0


def test_a_finished_run_is_read_not_run_again(finished):
    folder, given, result = finished
    before = (folder / "runs" / "a" / "scores.jsonl").stat().st_mtime_ns
    again = search(given, runs=folder / "runs", name="a", resume=True, progress=CrashAfter(step=1))
    assert again.summary == result.summary
    assert (folder / "runs" / "a" / "scores.jsonl").stat().st_mtime_ns == before


def test_a_changed_configuration_is_refused_with_the_difference(finished):
    folder, given, _ = finished
    with pytest.raises(ValueError, match="steps: 12 in the run, 13 now"):
        search({**given, "steps": 13}, runs=folder / "runs", name="a", resume=True)
    with pytest.raises(ValueError, match="exists; go on with it by --resume"):
        search(given, runs=folder / "runs", name="a")


@pytest.mark.parametrize(
    "crash",
    [
        {"step": 2},
        {"step": 11},
        {"tick": 7},
        pytest.param({"step": 4}, marks=pytest.mark.slow),
        pytest.param({"tick": 1}, marks=pytest.mark.slow),
    ],
)
def test_a_crashed_run_goes_on_to_the_same_end(finished, tmp_path, crash):
    folder, given, _ = finished
    with pytest.raises(Crash):
        search(given, runs=tmp_path, name="a", progress=CrashAfter(**crash))
    assert not (tmp_path / "a" / "summary.json").exists()
    search({}, runs=tmp_path, name="a", resume=True)
    assert_equal_runs(folder / "runs" / "a", tmp_path / "a")


@pytest.mark.parametrize("searcher", ["random", "evolution"])
def test_every_searcher_searches_and_resumes(tmp_path, searcher):
    given = settings(tmp_path, searcher=searcher, paths=2, steps=6, checkpoint_every=3)
    search(given, runs=tmp_path / "straight", name="a")
    with pytest.raises(Crash):
        search(given, runs=tmp_path / "crashed", name="a", progress=CrashAfter(step=5))
    search(given, runs=tmp_path / "crashed", name="a", resume=True)
    assert_equal_runs(tmp_path / "straight" / "a", tmp_path / "crashed" / "a")


def test_tunas_own_settings_run(tmp_path):
    given = settings(tmp_path, recipe="tunas", paths=2, steps=6)
    result = search(given, runs=tmp_path / "runs")
    assert result.folder.name == "search-1"
    assert search(given, runs=tmp_path / "runs").folder.name == "search-2"


def test_caps_are_kept_and_impossible_ones_refused(tmp_path):
    given = settings(tmp_path, steps=4)
    space = searchspace.load(given["space"])
    costs = tabulate(space)
    low, _ = costs.bounds("params")
    rows = space.decisions.sample(np.random.default_rng(0), 2000)
    near = rows[abs(costs.macs(rows) / 2e6 - 1) < 0.03]
    cap = int(np.quantile(costs.params(near), 0.3))
    result = search({**given, "budgets": ["2M", f"{cap}params"]}, runs=tmp_path / "runs")
    assert searchspace.cost(result.architecture).params <= cap
    with pytest.raises(ValueError, match="exclude each other"):
        search({**given, "budgets": ["2M", f"{low}params"]}, runs=tmp_path / "runs")
    with pytest.raises(ValueError, match=r"below the cheapest network.*the dearest"):
        search({**given, "budgets": ["1k"]}, runs=tmp_path / "runs")
    assert [p.name for p in (tmp_path / "runs").iterdir()] == ["search-1"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_leaves_no_run(tmp_path):
    with pytest.raises(ValueError, match="torch finds no GPU here"):
        search({**settings(tmp_path), "device": "cuda"}, runs=tmp_path / "runs", name="a")
    assert not (tmp_path / "runs" / "a").exists()


def test_a_space_edited_since_the_start_is_refused(tmp_path):
    given = settings(tmp_path)
    with pytest.raises(Crash):
        search(given, runs=tmp_path / "runs", name="a", progress=CrashAfter(step=5))
    file = tmp_path / "small.yaml"
    text = file.read_text()
    file.write_text(text.replace("[1, 2, 3]\n  kernel", "[1, 2]\n  kernel"))
    with pytest.raises(ValueError, match="has changed since"):
        search({}, runs=tmp_path / "runs", name="a", resume=True)
    file.write_text(text)
    search({}, runs=tmp_path / "runs", name="a", resume=True)


@pytest.mark.parametrize("available", [24, pytest.param(70, marks=pytest.mark.slow), 2048])
def test_the_re_scoring_counts_clips_up_to_what_it_announced(tmp_path, monkeypatch, available):
    heard = []

    class Hear(Silent):
        def phase(self, title, done, total):
            assert title == "re-scoring on the final weights, clips"
            heard.append((done, total))

    monkeypatch.setitem(motion.DEFAULT_SIZES, "rescoring", available)
    with pytest.raises(Crash):
        search(settings(tmp_path, steps=4), runs=tmp_path, name="a", progress=CrashAfter(tick=9))
    result = search({}, runs=tmp_path, name="a", resume=True, progress=Hear())
    scored = {}
    for line in (result.folder / "scores.jsonl").read_text().splitlines():
        record = json.loads(line)
        scored[record["choices"]] = max(scored.get(record["choices"], 0), record["clips"])
    *counts, last = heard
    most = counts[0][1]
    assert last == (sum(scored.values()), sum(scored.values()))
    assert [done for done, _ in counts] == sorted(done for done, _ in counts)
    assert all(done <= last[0] <= total == most for done, total in counts)
    if available == 24:  # 4 candidates and a neighbour; 10 bins of one; 4 pairs, and 2 samples at the budget
        assert most == 24 * (4 + 1 + 10 + 2 * 4 + 2)


def test_a_closed_terminal_saves_as_termination_does(tmp_path):
    class HangUp(Silent):
        def status(self, status):
            if status.step == 6:
                signal.raise_signal(signal.SIGHUP)

    with pytest.raises(Interrupted, match=r"stopped at step 6 of 12, saved in .*nas search --resume --name a") as error:
        search(settings(tmp_path), runs=tmp_path, name="a", progress=HangUp())
    assert error.value.exit_code == 129
    assert (tmp_path / "a" / "checkpoints" / "step-00000006").is_dir()


def test_an_interrupt_before_training_says_how_to_go_on(tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("training.search.search_task.open_source", interrupted)
    with pytest.raises(Interrupted, match="nas search --resume --name a") as error:
        search(settings(tmp_path), runs=tmp_path / "runs", name="a")
    assert error.value.exit_code == 130


def test_a_search_in_bfloat16_goes_on_to_the_same_bits(tmp_path):
    """With layers that are computed again, too; the run records both."""
    given = settings(tmp_path, precision="bfloat16", checkpointing=True, steps=6, checkpoint_every=3)
    search(given, runs=tmp_path / "straight", name="a")
    with pytest.raises(Crash):
        search(given, runs=tmp_path / "crashed", name="a", progress=CrashAfter(step=5))
    search(given, runs=tmp_path / "crashed", name="a", resume=True)
    assert_equal_runs(tmp_path / "straight" / "a", tmp_path / "crashed" / "a")
    config = json.loads((tmp_path / "crashed" / "a" / "config.json").read_text())
    assert (config["precision"], config["checkpointing"], config["formulation"]) == ("bfloat16", True, "fast")


def test_a_search_by_plain_calls_learns_the_same(tmp_path):
    """Not bit for bit: other formulations round in another order."""
    first = {}
    for name in ("fast", "reference"):
        search(settings(tmp_path, steps=2, formulation=name), runs=tmp_path, name=name)
        first[name] = [
            float(row["loss"]) for row in csv.DictReader((tmp_path / name / "metrics.csv").read_text().splitlines())
        ]
    assert first["fast"] == pytest.approx(first["reference"], rel=1e-4)


def test_networks_that_diverged_do_not_stop_the_end(tmp_path):
    """Some paths have losses that are no numbers, which JSON does not hold: they come last."""
    given = settings(tmp_path, learning_rate=100, residual=2.0, clip_norm=0, steps=9)
    result = search(given, runs=tmp_path / "runs")
    losses = [json.loads(line)["loss"] for line in (result.folder / "scores.jsonl").read_text().splitlines()]
    assert max(losses) >= DIVERGED > result.summary["winner"]["loss"]
