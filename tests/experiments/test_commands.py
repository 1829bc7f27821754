"""`nas space`, `show`, `cost`, `plot`, `doctor`, `data`, and the parts of `nas search` that need no torch."""

import json
import math
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

import searchspace
from experiments.arguments import Parser
from experiments.commands import search_command
from experiments.commands.space_command import SAMPLES, sampled_costs
from experiments.text import describe
from experiments.text.search_text import small_maps
from experiments.text.terminal import bar, power_of_ten
from searchspace import Clip, cost, published, published_names
from tests.experiments.conftest import Nas
from training.search.search_config import SearchConfig

TINY = """name: tiny
clip: 4x32x32@5
classes: 10
stem: {width: 8, kernel: 1x3x3}
choices:
  multipliers: [1]
  depth: [1, 2]
  kernel: [1x3x3, 3x3x3]
  expansion: [2]
  se: [false]
blocks:
  - {width: 8, stride: 2}
  - {width: 16, stride: 2}
head: {width: 32, multipliers: [1], hidden: 64}
"""


def test_power_of_ten_reads_like_the_number() -> None:
    assert power_of_ten(999_999) == "999,999"
    assert power_of_ten(10**6) == "10^6.0"
    assert power_of_ten(3 * 10**300 * 10**50) == f"10^{350 + math.log10(3):.1f}"


def test_bar_is_as_long_as_its_share() -> None:
    assert bar(1.0, 10) == "█" * 10
    assert bar(0.0, 10) == ""
    assert bar(0.25, 10) == "██▌"
    assert len(bar(7.0, 10)) == 10


def test_space_prints_a_users_own_file(nas: Nas, tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text(TINY)
    answer = nas("space", file, "--budget", "1M")
    assert answer.code == 0, answer.err
    # Per block: depth 1 or 2, two kernels a layer: 2 + 4 networks; encodings 2 * 2 * 2.
    assert "36 (distinct" in answer.out
    assert "64 (rows" in answer.out
    assert f"next: nas search --space {file} --budget 1M --dry-run" in answer.out


def test_space_json_agrees_with_the_space(nas: Nas) -> None:
    space = searchspace.load("movinet")
    data = json.loads(nas("space", "movinet", "--budget", "600M", "--json").out)
    assert int(data["networks"]) == space.networks()
    assert len(data["decisions"]) == len(space.decisions)
    cheapest = searchspace.Architecture.from_dict(data["cheapest"])
    assert cost(cheapest, space.clip).macs == data["bounds"]["macs"][0]
    values = sampled_costs(space, space.clip, "macs", 0)
    assert len(values) == SAMPLES
    assert data["uniform"]["share_below_budget"] == pytest.approx(np.mean(values <= 600e6))
    # The project's own figures for uniform samples of this space: 983 M +- 233 M, 4.5 % of them below 600 M.
    assert data["uniform"]["mean"] == pytest.approx(983e6, rel=0.01)
    assert data["uniform"]["std"] == pytest.approx(233e6, rel=0.02)
    assert data["uniform"]["share_below_budget"] == pytest.approx(0.045, abs=0.005)


def test_histogram_marks_the_budgets_line(nas: Nas) -> None:
    lines = nas("space", "movinet", "--budget", "900M").out.splitlines()
    marked = [line for line in lines if line.endswith("< the budget")]
    assert len(marked) == 1
    low = float(marked[0].split()[0])
    following = lines[lines.index(marked[0]) + 1]
    assert low <= 900 < float(following.split()[0].replace(",", ""))
    shares = [float(m) for line in lines for m in re.findall(r"[█▏▎▍▌▋▊▉] +([\d.]+)%", line)]
    assert len(shares) == 16
    assert sum(shares) == pytest.approx(100, abs=1)


@pytest.mark.parametrize("name", published_names())
def test_the_rows_of_show_add_up(name: str) -> None:
    network = published(name)
    rows = describe.rows(network, network.clip)
    total = cost(network)
    assert sum(row.macs for row in rows) == total.macs
    assert sum(row.params for row in rows) == total.params
    assert len(rows) == network.depth + 2


def test_show_a2(nas: Nas) -> None:
    answer = nas("show", "a2", "--clip", "8x128x128@5")
    assert "607.3 M per clip" in answer.out
    assert "26 bottlenecks in 5 blocks" in answer.out
    assert re.search(r"5\.7 +1x3x3 se144 +144→576→144", answer.out)


def test_show_two_marks_what_differs(nas: Nas) -> None:
    lines = nas("show", "a1", "a2", "--clip", "8x128x128@5").out.splitlines()
    same = next(line for line in lines if line.strip().startswith("1.1"))
    differs = next(line for line in lines if line.strip().startswith("3.1"))
    longer = next(line for line in lines if line.strip().startswith("1.3"))
    assert "*" not in same
    assert differs.split()[1] == "*"
    assert longer.split()[1:3] == ["*", "-"]


def test_stream_forms(nas: Nas, tmp_path: Path) -> None:
    """State, MACs of a frame and receptive field, of a published name and of a file of one's own."""
    shown = nas("show", "a0", "--stream").out
    for text in ("2,696,768 bytes (2.57 MiB)", "16 counters", "29 frames", "50.7 M per frame", "se192"):
        assert text in shown
    assert "3.7 M with 600 classes" in shown and shown.endswith("next: nas cost a0 --stream\n")
    counted = json.loads(nas("cost", "a3", "--stream", "--json").out)
    assert (counted["state_bytes"], counted["macs"]) == (18_275_520, 52_133_563_392)
    published("t0").save(tmp_path / "arch.json")
    mine = json.loads(nas("cost", tmp_path / "arch.json", "--stream", "--json").out)
    assert mine["key"] == published("t0", stream=True).key() and mine["name"] == "t0-stream"
    assert "none: not causal" in nas("show", "a0").out


def test_show_a_run_by_name_and_path(nas: Nas, runs: Path) -> None:
    by_name = nas("show", "one", "--runs", runs).out
    by_path = nas("show", runs / "one").out
    assert by_path.splitlines()[:-1] == by_name.splitlines()[:-1]  # the last one repeats the word that was given
    summary = json.loads((runs / "one" / "summary.json").read_text())
    assert f"accuracy {summary['winner']['accuracy']:.1%}" in by_name
    assert f"next: nas plot {runs / 'one'}" in by_name


def test_show_an_unfinished_run_says_how_to_go_on(nas: Nas, runs: Path) -> None:
    answer = nas("show", runs / "half")
    assert answer.code == 0
    assert "60 of 60 steps" in answer.out
    assert "next: nas search --resume --name half" in answer.out


def test_show_json_round_trips(nas: Nas, runs: Path) -> None:
    data = json.loads(nas("show", "a0", "--json").out)
    assert searchspace.Architecture.from_dict(data["architecture"]).key() == published("a0").key() == data["key"]
    both = json.loads(nas("show", "a0", runs / "one", "--json").out)
    assert both[1]["finished"] is True and both[1]["summary"]["classes"] == 18


def test_cost(nas: Nas, runs: Path) -> None:
    data = json.loads(nas("cost", "a2", "--clip", "8x128x128@5", "--json").out)
    assert data["macs"] == cost(published("a2"), Clip(8, 128, 128)).macs
    assert data["macs_per_frame"] * 8 == data["macs"]
    of_run = json.loads(nas("cost", runs / "one", "--json").out)
    best = searchspace.Architecture.load(runs / "one" / "best" / "arch.json")
    assert of_run["params"] == cost(best).params
    text = nas("cost", "a2").out
    assert re.search(r"a2 +11,558\.1 M +1\.00 x", text)


def test_a_folder_that_holds_nothing_of_ours(nas: Nas, tmp_path: Path) -> None:
    answer = nas("show", tmp_path)
    assert answer.code == 2 and "neither a run" in answer.err


def test_doctor(nas: Nas) -> None:
    data = json.loads(nas("doctor", "--json").out)
    assert data["versions"]["numpy"] == np.__version__
    assert data["machine"]["torch threads"] >= 1
    assert 0 < data["machine"]["memory free GB"] <= data["machine"]["memory GB"]
    answer = nas("doctor")
    assert answer.code == 0
    assert "ok  search" in answer.out and answer.out.splitlines()[-1].startswith("next: ")


def test_doctor_names_what_is_missing(nas: Nas, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "av", None)  # an import of av now fails
    answer = nas("doctor")
    assert answer.code == 1
    assert re.search(r"missing  videos in files .*: av: ", answer.out)
    assert answer.out.splitlines()[-1] == "next: pip install av"


# nas search, as far as it goes without training


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dry run measures a few steps (in earnest in tests/training and test_wheel.py); here it is told the result."""
    from training.search import search_estimate as estimate

    known = estimate.Estimate(2_500_000_000, 300_000_000, 240.0, 60.0)
    monkeypatch.setattr(estimate, "estimate", lambda problem: known)


@pytest.mark.usefixtures("unmeasured")
def test_dry_run_says_what_it_understood_and_touches_nothing(
    nas: Nas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = nas("search", "--dry-run", "--budget", "600MFLOPs", "--budget", "3Mparams")
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    first = "budget: 600.0 M multiply-accumulates per clip 8x128x128@5 (published A2 here: 607.3 M)"
    assert lines[:2] == [first, "at most: 3.0 M parameters (published A0 here: 3.112 M)"]
    assert "10^99.1 networks" in answer.out
    assert "memory: about" in answer.out and "time: about" in answer.out
    assert lines[-1] == "next: nas search --budget 600MFLOPs --budget 3Mparams"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["search"], ["retrain", "a0"]])
def test_a_dry_run_answers_for_a_gpu_that_is_not_there(
    nas: Nas, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    answer = nas(*words, "--device", "cuda", "--dry-run")
    assert answer.code == 2 and answer.err.startswith("nas: error: device cuda: torch finds no GPU here")


@pytest.mark.usefixtures("unmeasured")
def test_searching_the_causal_form(nas: Nas) -> None:
    answer = nas("space", "movinet", "--stream", "--budget", "4MBstate")
    assert "of uniform samples cost at most 4.0 MB of state" in answer.out
    assert "next: nas search --space movinet --stream --budget 4MBstate --dry-run" in answer.out
    refused = nas("search", "--budget", "4MBstate", "--dry-run")
    assert refused.code == 2 and "search their causal form with --stream" in refused.err


@pytest.mark.usefixtures("unmeasured")
def test_dry_run_json(nas: Nas) -> None:
    answer = nas("search", "--dry-run", "--json", "--budget", "75MFLOPs/frame", "--seed", "3")
    data = json.loads(answer.out)
    assert data["target"] == 600e6
    assert data["config"]["seed"] == 3
    assert data["start"]["mean"] == pytest.approx(600e6, rel=0.02)  # the largest entropy at the budget
    assert "budget: 600.0 M" in answer.err


@pytest.mark.usefixtures("unmeasured")
def test_the_next_command_is_the_same_without_the_dry_run(nas: Nas) -> None:
    words = ["--budget", "0.6G", "--space", "movinet", "--set", "beta=-0.07", "--name", "a b", "--recipe", "tunas"]
    said = nas("search", "--dry-run", *words).out.splitlines()[-1].removeprefix("next: nas search ")
    parser = Parser("nas search", "")
    search_command.add_arguments(parser)
    assert parser.parse(shlex.split(said)) == parser.parse(words)


def test_small_maps_are_pointed_out() -> None:
    space = searchspace.load("movinet")
    assert small_maps(space, Clip(8, 256, 256)) == []
    # At 64 pixels the maps of the five blocks are 16, 8, 4, 4 and 2 pixels wide.
    (line,) = small_maps(space, Clip(8, 64, 64))
    assert "block 3 (8x4x4) 1x5x5 1x7x7; block 4 (8x4x4) 1x5x5 1x7x7; block 5 (8x2x2)" in line
    assert "block 1" not in line and "block 2" not in line
    (line,) = small_maps(space, Clip(4, 256, 256))
    assert "block 1 (4x64x64) 5x1x1 7x1x1 5x3x3" in line


def test_every_flag_of_a_setting_is_a_setting() -> None:
    parser = Parser("nas search", "")
    search_command.add_arguments(parser)
    words = [
        "--budget", "600M", "--clip", "8x128x128", "--space", "movinet", "--data", "d", "--group", "(x)",
        "--workers", "1", "--steps", "10",
        "--search-resolution", "48", "--searcher", "random", "--recipe", "short", "--start", "uniform",
        "--warmup", "sandwich", "--kernels", "separate", "--optimizer", "adamw", "--seed", "4", "--threads", "2",
        "--device", "cpu", "--set", "beta=-0.05", "--set", "learning_rate=1e-3",
    ]  # fmt: skip
    given = search_command.settings(parser.parse(words))
    config = SearchConfig.resolve(**given)
    for name, value in given.items():
        assert getattr(config, name) == (tuple(value) if isinstance(value, list) else value)
    assert config.clip == "8x128x128@5" and config.learning_rate == 1e-3 and config.beta == -0.05


def test_data_demo_then_check(nas: Nas, tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    answer = nas("data", "demo", "-o", folder, "--train", "3", "--val", "1", "--clip", "4x16x16@10")
    assert answer.code == 0, answer.err
    classes = len([item for item in (folder / "train").iterdir() if item.is_dir()])
    assert len(list(folder.rglob("*.mp4"))) == 4 * classes
    assert f"wrote {4 * classes} videos" in answer.out
    (folder / "train" / "zoom_in" / "broken.mp4").write_bytes(b"not a video")
    checked = nas("data", "check", folder, "--workers", "0")
    assert checked.code == 0, checked.err
    assert "does not decode, would be skipped: train/zoom_in/broken.mp4" in checked.out
    assert checked.out.splitlines()[-1] == f"next: nas search --data {folder}"
    data = json.loads(nas("data", "check", folder, "--workers", "0", "--json").out)
    assert sum(data["parts"].values()) == 4 * classes
    assert data["skipped"][0]["file"] == "train/zoom_in/broken.mp4"
    again = nas("data", "demo", "-o", folder)
    assert again.code == 2 and "not empty" in again.err


# Ensembles


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """The file of an ensemble of A0 and A1, which take turns."""
    searchspace.Ensemble.interleave([published("a0"), published("a1")], "pair").save(tmp_path / "arch.json")
    return tmp_path / "arch.json"


def test_commands_that_take_an_architecture_take_an_ensemble(nas: Nas, pair: Path) -> None:
    text = nas("cost", pair).out
    macs = cost(published("a0")).macs + cost(published("a1")).macs
    assert re.search(rf"multiply-accumulates +{macs / 1e6:,.1f} M per clip", text)
    assert "a0: 50 frames of 172x172 (0, 2, 4, ...)" in text and "a1: 50 frames of 172x172 (1, 3, 5, ...)" in text
    data = json.loads(nas("cost", pair, "--json").out)
    assert data["clip"] == "100x172x172@10"
    assert data["macs"] == sum(own["macs"] for own in data["members"]) == macs
    shown = nas("show", pair.parent, "--clip", "8x64x64@10").out
    assert "2: 5.7" in shown and "15 bottlenecks in 5 blocks + 24 bottlenecks in 5 blocks" in shown
    again = json.loads(nas("show", pair, "--json").out)
    assert searchspace.Ensemble.from_dict(again["architecture"]).key() == again["key"]
    stream = nas("cost", "A6", "--stream").out
    assert re.search(r"state +124,498,688 bytes \(118\.73 MiB\) a stream, float32, and 215 counters", stream)


def test_an_ensemble_beside_one_network(nas: Nas, pair: Path) -> None:
    lines = nas("show", "a0", pair).out.splitlines()
    assert any(re.search(r"member 2 +- +a1: 50 frames", line) for line in lines)
    assert any(re.match(r" *2: 4\.6 \* +- +3x3x3", line) for line in lines)


def test_the_rows_of_an_ensemble_add_up() -> None:
    ensemble = published("a6")
    for clip in (ensemble.clip, Clip(1, 32, 32), Clip(5, 40, 32)):
        total = cost(ensemble, clip)
        rows = describe.rows(ensemble, clip)
        assert (sum(row.macs for row in rows), sum(row.params for row in rows)) == (total.macs, total.params)


def test_a_broken_ensemble_is_one_line(nas: Nas, pair: Path) -> None:
    pair.write_text(pair.read_text().replace('"offset": 1', '"offset": 2'))
    for command in ("cost", "show"):
        answer = nas(command, pair)
        assert answer.code == 2 and "members[1].offset is 2; allowed: 0 to 1" in answer.err
        assert len(answer.err.strip().splitlines()) == 1


def test_a_search_without_a_winner_says_how_to_go_on(nas: Nas, runs: Path) -> None:
    for words in (["retrain", runs / "half", "--dry-run"], ["cost", runs / "half"]):
        answer = nas(*words)
        assert (
            answer.code == 2
            and f"half is not finished; go on with: nas search --resume --name half --runs {runs}" in answer.err
        )
