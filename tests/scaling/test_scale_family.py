"""Families from end to end, on trainings of a second."""

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import networks
import searchspace
from scaling import family_folder, trial
from scaling.family_base import find_base, newest_search
from scaling.family_folder import Family
from scaling.scale_config import ScaleConfig
from scaling.scale_family import check, open_base, scale
from searchspace import Architecture, Clip, cost
from searchspace.targets import COEFFICIENTS
from tests.scaling.small_family import lines, open_trials, pretend, settings
from tests.training.small import SPACE
from training import fit
from training.machine.interrupt import Interrupted
from training.progress import Silent
from training.recipe import Recipe

MOVINET = {"base": "movinet", "coeffs": "1.2,1.1,1.1,1.2"}


@pytest.fixture
def few_clips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "HELD_OUT", 16)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Family:
    """A family of given coefficients, which trains nothing."""
    runs = tmp_path_factory.mktemp("runs")
    return scale(MOVINET, runs=runs, name="given")


def test_given_coefficients_make_a_family(given: Family) -> None:
    assert [member.name for member in given.members] == ["A0", "A1", "A2", "A3", "A4", "A5"]
    product = 1.2 * 1.1**2 * 1.1**2 * 1.2
    for member in given.members:
        space = searchspace.load(given.folder / f"{member.name}.yaml")
        architecture = Architecture.load(given.folder / f"{member.name}.json")
        assert architecture == member.architecture
        assert space.nearest(architecture).changes == []
        assert member.macs == cost(architecture, space.clip).macs
        assert member.macs == pytest.approx(member.target, rel=0.03)
        assert member.target == pytest.approx(given.data["base"]["macs"] * product**member.exponent)
    base = given.members[2]
    assert (base.architecture.blocks, base.changed) == (
        Architecture.load(given.folder / "base.json").blocks,
        0,
    )
    assert given.data["published"]["steps"]["macs"] == pytest.approx(2.88, abs=0.01)


def test_a_finished_family_is_only_read(given: Family) -> None:
    before = (given.folder / COEFFICIENTS).stat().st_mtime_ns
    again = scale({}, runs=given.folder.parent, name="given", resume=True)
    assert (again.coefficients, again.data) == (given.coefficients, given.data)
    assert [member.macs for member in again.members] == [member.macs for member in given.members]
    assert (given.folder / COEFFICIENTS).stat().st_mtime_ns == before


def test_coefficients_of_another_family(given: Family, tmp_path: Path) -> None:
    for path in (given.folder, given.folder / "coefficients.json"):
        config = {**MOVINET, "coeffs": str(path), "members": "A1:A2", "budget": "400M"}
        found = scale(config, runs=tmp_path)
        assert found.coefficients == given.coefficients
        assert found.data["ratio"] == given.data["ratio"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"coeffs": "1.2,1.1"}, "write depth, width"),
        ({"coeffs": "/no/such/family.json"}, "no such file"),
        ({"targets": "1M,2M,3M,4M,5M,6M"}, "A0: its target of 1.0 M .* below the cheapest"),
        ({"targets": "150M"}, "1 given for 6 members"),
        ({"coeffs": "2,1,1,1"}, "blocks of 80 layers"),
        ({"budget": "1M"}, "budget 1M is below the cheapest network of space 'movinet'"),
        ({"budget": "3Mparams"}, "multiply-accumulates"),
        ({"base": "a6"}, "ensemble"),
        ({"base": "movinett"}, "is no file, no run in .* did you mean 'movinet'"),
        ({"search_resolution": 256}, "search resolution 256 is above the 128 pixels"),
        ({"data": "/no/such/folder"}, "/no/such/folder"),
        ({"trails": 3}, "did you mean 'trials'"),
        ({"members": "A5:A0"}, "range such as A0:A5"),
    ],
)
def test_mistakes_leave_no_folder(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        scale({**MOVINET, **changes}, runs=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_family_of_another_space_is_refused(given: Family, tmp_path: Path) -> None:
    config = settings(tmp_path, coeffs=str(given.folder))
    with pytest.raises(ValueError, match=r"space 'movinet'.*whose choices differ from those of 'small'"):
        scale(config, runs=tmp_path / "runs")


def test_a_changed_base_and_changed_settings_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "base.json"
    network = searchspace.published("a2")
    dataclasses.replace(network, clip=Clip.parse("8x128x128@5")).save(path)
    config = {"base": str(path), "coeffs": "1.2,1.1,1.1,1.2", "members": "A2"}
    folder = scale(config, runs=tmp_path, name="x").folder
    (folder / "summary.json").unlink()
    with pytest.raises(ValueError, match="members: A2 in the run, A0:A5 now"):
        scale({"members": "A0:A5"}, runs=tmp_path, name="x", resume=True)
    dataclasses.replace(network, clip=Clip.parse("8x160x160@5")).save(path)
    with pytest.raises(ValueError, match="has changed since"):
        scale(config, runs=tmp_path, name="x", resume=True)


def test_bases(tmp_path: Path) -> None:
    point = find_base("movinet", tmp_path, "600M", None, 18)
    assert point.macs == pytest.approx(600e6, rel=0.03) and point.architecture.classes == 18
    assert point.proxy_side() == 32  # 45 MMACs at most
    a2 = find_base("a2", tmp_path, "600M", "8x128x128@5", 18)
    assert a2.architecture.classes == 600 and "1 things differ" in a2.notes[1]
    assert a2.macs == pytest.approx(cost(searchspace.published("a2"), Clip.parse("8x128x128@5")).macs, rel=0.03)
    (tmp_path / "small.yaml").write_text(SPACE)
    other = find_base(str(tmp_path / "small.yaml"), tmp_path, "2M", None, 18)
    assert other.macs == pytest.approx(2e6, rel=0.03)
    rows = point.networks(4, seed=0)
    assert (rows[0] == point.choices).all() and len({row.tobytes() for row in rows}) == 4
    assert newest_search(tmp_path) is None


def test_a_budget_per_frame_of_causal_networks_is_that_of_one_more_frame(tmp_path: Path) -> None:
    """A clip's share leaves out that the dense layers run at every frame: here a fifth more than was asked for."""
    (tmp_path / "causal.yaml").write_text(searchspace.load("movinet").streaming().to_yaml())
    base = find_base(str(tmp_path / "causal.yaml"), tmp_path, "75MFLOPs/frame", None, 10_000)
    frame = cost(base.architecture, base.space.clip).frame_macs
    assert 0.97 * 75e6 <= frame <= 1.01 * 75e6
    assert abs(base.macs / 8 / 75e6 - 1) > 0.1
    assert "75.0 M multiply-accumulates per frame at clip" in base.notes[0]
    with pytest.raises(ValueError, match=r"budget 1M/frame is below the cheapest .* multiply-accumulates per frame"):
        find_base(str(tmp_path / "causal.yaml"), tmp_path, "1M/frame", None, 18)
    whole = find_base("movinet", tmp_path, "75MFLOPs/frame", None, 18)  # takes whole clips
    assert 0.97 * 600e6 <= whole.macs <= 1.01 * 600e6


@pytest.mark.parametrize("budget", ["3Gparams", "64MB", "4MBstate"])
def test_a_base_is_not_made_to_other_budgets(tmp_path: Path, budget: str) -> None:
    with pytest.raises(ValueError, match="families are scaled by multiply-accumulates"):
        find_base("movinet", tmp_path, budget, None, 18)


def test_causal_networks_stay_causal(tmp_path: Path) -> None:
    path = tmp_path / "stream.json"
    dataclasses.replace(searchspace.published("a2", stream=True), clip=Clip.parse("8x128x128@5")).save(path)
    found = scale({"base": str(path), "coeffs": "1.2,1.1,1.1,1.2", "members": "A1:A3"}, runs=tmp_path)
    states = [member.state_bytes for member in found.members]
    assert all(member.architecture.causal for member in found.members)
    assert 0 < states[0] < states[1] < states[2]
    assert searchspace.load(found.folder / "A3.yaml").form.causal


def test_the_scaled_members_train_on_clips_shrunk_alike(tmp_path: Path) -> None:
    trials = open_trials(tmp_path, trials=1)
    sides = {}
    while (job := trials.take()) is not None:
        trials.tell(job, pretend(job))
        if job.kind == "single" and job.number == 2:
            sides[job.exponent] = job.clip
    assert sides[1].split("x")[1] > "16" > sides[-1].split("x")[1]


def test_a_search_with_real_trainings(tmp_path: Path, few_clips: None) -> None:
    config = settings(tmp_path, trials=2)
    found = scale(config, runs=tmp_path, name="a")
    trained = [record for record in lines(found.folder) if record["kind"] == "result"]
    assert all(0 <= record["accuracy"] <= 1 and record["held_out"] == 16 for record in trained)
    assert found.data["chosen"] in (0, 1)
    assert found.data["growth"] == pytest.approx(2, rel=0.15)
    assert {"A1.json", "A2.yaml", "A3.json", "coefficients.json", "trials.jsonl"} <= {
        path.name for path in found.folder.iterdir()
    }
    trials = open_trials(tmp_path, trials=2)
    while (job := trials.take()) is not None:  # a training is a function of its job
        again = trial.train(job, Silent(), config=ScaleConfig.resolve(**config), scan_cache=None)
        kept = next(record for record in trained if record["job"] == job.name)
        assert (again["accuracy"], again["loss"]) == (kept["accuracy"], kept["loss"])
        break


def test_trainings_that_diverge_are_results_too(
    tmp_path: Path, few_clips: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = settings(tmp_path, trials=1)

    def come_apart(network: networks.MoViNet, recipe: Recipe) -> None:
        network.stem.weight.data.fill_(math.nan)

    monkeypatch.setattr(fit, "prepare_scratch", come_apart)
    with pytest.raises(ValueError, match=r"all 1 trials failed.*lower"):
        scale(config, runs=tmp_path, name="a")
    assert [record["kind"] for record in lines(tmp_path / "a")] == ["proposal", "result", "result"]
    with pytest.raises(ValueError, match="all 1 trials failed"):
        scale(config, runs=tmp_path, name="a", resume=True)
    assert len(lines(tmp_path / "a")) == 3


def interrupt_training(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Ctrl-C comes once, in the training of that number; the others answer at once."""
    calls = []

    def train(job: trial.TrialJob, *_: object, **__: object) -> dict[str, Any]:
        calls.append(job)
        if len(calls) == number:
            raise KeyboardInterrupt
        return pretend(job)

    monkeypatch.setattr(trial, "train", train)


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt_training(monkeypatch, 4)
    config = settings(tmp_path)
    with pytest.raises(Interrupted, match="nas scale --resume --name a") as stop:
        scale(config, runs=tmp_path, name="a")
    assert stop.value.exit_code == 130
    assert len([record for record in lines(tmp_path / "a") if record["kind"] == "result"]) == 3
    resumed = scale({}, runs=tmp_path, name="a", resume=True)
    straight = scale(config, runs=tmp_path, name="b")
    assert resumed.data == straight.data


def test_members_by_search(tmp_path: Path, few_clips: None) -> None:
    config = settings(
        tmp_path, coeffs="1.2,1.1,1.1,1.2", members="A2:A3", members_by="search", steps=4, optimizer="sgd"
    )
    found = scale(config, runs=tmp_path, name="a")
    a3 = found.members[1]
    winner = Architecture.load(found.folder / "searches" / "A3" / "best" / "arch.json")
    assert a3.architecture.blocks == winner.blocks
    assert a3.macs == pytest.approx(a3.target, rel=0.03)
    assert found.members[0].architecture.blocks == Architecture.load(found.folder / "base.json").blocks


def test_check_answers_before_anything_is_trained(tmp_path: Path) -> None:
    config = ScaleConfig.resolve(base="movinet", targets="1M,2M,3M,4M,5M,6M")
    with pytest.raises(ValueError, match="member A0"):
        check(config, open_base(config, tmp_path))


def test_coefficients_json_is_plain_and_whole(given: Family) -> None:
    data = json.loads((given.folder / "coefficients.json").read_text())
    assert data == given.data
    with pytest.raises(ValueError, match=r"is not the coefficients\.json of a family"):
        family_folder.reuse(given.folder / "summary.json", searchspace.load("movinet"))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: data.pop("coefficients"), "key 'coefficients' is missing"),
        (lambda data: data["coefficients"].update(depth="x"), r"depth is 'x'; allowed: a number from 1 to 8"),
        (lambda data: data["coefficients"].pop("width"), "key 'width' is missing"),
        (lambda data: data.update(ratio="two"), "ratio is 'two'"),
        (lambda data: data.update(schema="other"), "is not the coefficients.json of a family"),
    ],
)
def test_damaged_coefficients_are_named(
    given: Family, tmp_path: Path, damage: Callable[[dict[str, Any]], None], said: str
) -> None:
    data = json.loads((given.folder / "coefficients.json").read_text())
    damage(data)
    (tmp_path / "coefficients.json").write_text(json.dumps(data))
    with pytest.raises(ValueError, match=said):
        scale({**MOVINET, "coeffs": str(tmp_path / "coefficients.json")}, runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
    (tmp_path / "coefficients.json").write_text(json.dumps(data)[:-40])
    with pytest.raises(ValueError, match="not JSON"):
        family_folder.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda line: line.pop("cost"), r"line 2 \(of an older version, or damaged\?\): key 'cost' is missing"),
        (lambda line: line.pop("macs"), "key 'macs' is missing"),
        (lambda line: line.update(accuracy=2), "accuracy is 2; allowed: a number from 0 to 1"),
        (lambda line: line.update(kind="other"), "kind is 'other'"),
    ],
)
def test_a_ledger_of_another_layout_is_refused_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[dict[str, Any]], None], said: str
) -> None:
    interrupt_training(monkeypatch, 3)
    with pytest.raises(Interrupted):
        scale(settings(tmp_path), runs=tmp_path, name="a")
    ledger = tmp_path / "a" / "trials.jsonl"
    old = lines(tmp_path / "a")
    assert old[1]["kind"] == "result"
    change(old[1])
    ledger.write_text("".join(json.dumps(line) + "\n" for line in old))
    before = ledger.read_bytes()
    with pytest.raises(ValueError, match=said):
        scale({}, runs=tmp_path, name="a", resume=True)
    assert ledger.read_bytes() == before
