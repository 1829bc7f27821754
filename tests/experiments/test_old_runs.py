"""Runs, checkpoints and families of commit 1f665d9: read, shown, drawn, predicted with, trained from, or refused.

`tests/assets/runs_1f665d9/README.md` says how they were made, and what that commit's own code answered about them.
"""

import csv
import json
import math
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

import networks
import searchspace
from searchspace import load_spec
from tests.experiments.conftest import Nas
from video import motion

ASSETS = Path(__file__).parents[1] / "assets" / "runs_1f665d9"
SAID: dict[str, Any] = json.loads((ASSETS / "said.json").read_text())
LOGITS: dict[str, np.ndarray] = dict(np.load(ASSETS / "logits.npz"))
CLIPS = LOGITS.pop("clips")
FROM_SEARCH = LOGITS.pop("from-search/checkpoints/last")

SHORT = ["--clip", "4x16x16", "--epochs", "1", "--batch", "8", "--threads", "1", "--device", "cpu", "--workers", "0"]
SHORT += ["--set", "schedule.epoch_clips=16", "--set", "evaluation.clips=16"]
STILL = ["--set", "optimizer.lr=0"]

Unpack = Callable[..., None]


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Unpack:
    """Unpacks runs into `runs/` of a working directory, and the videos beside it."""
    monkeypatch.chdir(tmp_path)

    def unpack(*names: str) -> None:
        for name in names:
            with tarfile.open(ASSETS / f"{name}.tar.gz") as archive:
                archive.extractall("." if name == "videos" else "runs", filter="data")

    return unpack


def contents(folder: str | Path) -> dict[str, bytes | None]:
    """Every file below a folder with its bytes; a folder has none."""
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(Path(folder).rglob("*"))}


def logits(folder: str | Path) -> np.ndarray:
    """Of a trained network, for the clips that commit 1f665d9 answered."""
    with torch.no_grad():
        answer = networks.load(folder).network(torch.from_numpy(CLIPS))
    return (answer[0] if isinstance(answer, tuple) else answer).numpy()


def assert_still_said(was: Any, now: Any, where: str = "") -> None:
    """All that was said is said still, with numbers to 1e-6 (MACs and bytes exactly); there may be more by now."""
    if isinstance(was, dict):
        assert isinstance(now, dict) and was.keys() <= now.keys(), (where, was.keys() - now.keys())
        for key in was:
            assert_still_said(was[key], now[key], f"{where}/{key}")
    elif isinstance(was, list):
        assert isinstance(now, list) and len(was) == len(now), where
        for i, (one, other) in enumerate(zip(was, now, strict=True)):
            assert_still_said(one, other, f"{where}/{i}")
    elif isinstance(was, float):
        assert math.isclose(was, now, rel_tol=1e-6, abs_tol=1e-6), (where, was, now)
    else:
        assert was == now, (where, was, now)


@pytest.mark.parametrize("name", LOGITS)
def test_checkpoints_answer_as_they_did(old: Unpack, name: str) -> None:
    old(name.split("/")[0])
    answer = logits(f"runs/{name}")
    assert np.abs(answer - LOGITS[name]).max() <= 1e-6
    assert np.abs(answer[0] - answer[1]).max() > 1e-5  # an answer that depends on the clip


def test_architectures_keep_their_keys(old: Unpack) -> None:
    old("search", "retrain", "pair", "family")
    for name, key in SAID["keys"].items():
        path = Path("runs", name)
        assert load_spec(path if path.suffix else path / "arch.json").key() == key


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("show search", "show runs/search"),
        ("show retrain", "show runs/retrain"),
        ("show pair", "show pair"),
        ("show family A1", "show runs/family/A1.json"),
        ("cost search", "cost runs/search"),
        ("cost retrain", "cost retrain"),
        ("cost pair", "cost runs/pair"),
        ("report", "report runs/retrain runs/videos-retrain"),
        ("report family", "report runs/family"),
    ],
)
def test_commands_say_what_they_said(old: Unpack, nas: Nas, said: str, words: str) -> None:
    old("search", "retrain", "pair", "family", "videos-retrain")
    before = contents("runs")
    answer = nas(*words.split(), "--json")
    assert answer.code == 0, answer.err
    assert_still_said(SAID[said], json.loads(answer.out))
    assert contents("runs") == before


def test_a_search_is_shown_and_drawn(old: Unpack, nas: Nas) -> None:
    old("search", "search-half")
    winner = SAID["show search"]["summary"]["winner"]
    shown = nas("show", "search")
    assert shown.code == 0 and f"accuracy {winner['accuracy']:.1%} on {winner['clips']} clips" in shown.out
    assert SAID["keys"]["search/best"] in shown.out and "16 of 16 steps" in shown.out
    before = contents("runs/search")
    plotted = nas("plot", "runs/search")
    assert plotted.code == 0, plotted.err
    after = contents("runs/search")
    drawn = {f"runs/search/{name}" for name in ("pareto.png", "pareto.html", "policy.png")}
    assert after.keys() - before.keys() == drawn and before.items() <= after.items()
    with open("runs/search/pareto.csv") as file:
        paths = [row["path"] for row in csv.DictReader(file) if row["path"].startswith("front/")]
    assert paths and all(load_spec(Path("runs/search", path)) for path in paths)
    half = nas("show", "search-half")
    assert half.code == 0 and "10 of 40 steps" in half.out and "not finished" in half.out
    assert nas("plot", "search", "search-half").err.count("\n") == 1  # one line


def test_videos_are_predicted_as_they_were(old: Unpack, nas: Nas) -> None:
    old("retrain", "videos")
    for said, flags in (("predict", []), ("predict stream", ["--stream"])):
        answer = nas("predict", "runs/retrain", "videos/val", "--format", "json", "--threads", "1", *flags)
        assert answer.code == 0, answer.err
        assert_still_said(SAID[said], json.loads(answer.out))


def test_a_network_is_evaluated_as_it_was(old: Unpack, nas: Nas) -> None:
    old("videos-retrain", "videos-half", "videos")
    flags = ["--data", "videos", "--protocol", "clip", "--threads", "1", "--workers", "0"]
    before = contents("runs")
    answer = nas("evaluate", "runs/videos-retrain", *flags, "--json")
    assert answer.code == 0, answer.err
    (was,), (now,) = SAID["evaluate"]["protocols"], json.loads(answer.out)["protocols"]
    del was["seconds"]
    assert_still_said(was, now)
    added = contents("runs").keys() - before.keys()
    assert added and all(name.startswith("runs/videos-retrain/evaluation-2") for name in added)
    assert before.items() <= contents("runs").items()
    assert nas("predict", "runs/videos-half", "videos/val/zoom_in/0000.mp4").code == 0  # interrupted, but has a best
    moved = nas("evaluate", "runs/videos-retrain", "--protocol", "clip")  # its data lay elsewhere
    assert moved.code == 2 and "give its new place with --data" in moved.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("arch", "flags", "weights", "source"),
    [
        ("retrain", [], "runs/retrain", "retrain/checkpoints/best"),
        pytest.param("pair", [], "runs/pair, member 2", "pair/checkpoints/best", marks=pytest.mark.slow),
        ("search", ["--init", "runs/retrain/checkpoints/last", "--stream"], "last", "retrain/checkpoints/last"),
        ("search", ["--teacher", "runs/retrain"], "from scratch", ""),
    ],
)
def test_networks_are_retrained_from(
    old: Unpack, nas: Nas, monkeypatch: pytest.MonkeyPatch, arch: str, flags: list[str], weights: str, source: str
) -> None:
    monkeypatch.setitem(motion.DEFAULT_SIZES, "val", 32)
    old(*{arch, "retrain"})
    before = contents("runs")
    answer = nas("retrain", f"runs/{arch}", *flags, *SHORT, *STILL, "--name", "new")
    assert answer.code == 0, answer.err
    assert weights in next(line for line in reversed(answer.err.splitlines()) if line.startswith("weights: "))
    assert before.items() <= contents("runs").items()
    if source:  # at a rate of 0 all weights but BatchNorm's statistics stay
        was, now = (load_file(f"runs/{name}/model.safetensors") for name in (source, "new/checkpoints/last"))
        same = {name for name in was if np.array_equal(was[name], now[name])}
        assert was.keys() == now.keys() and all("running" in name or "batches" in name for name in was.keys() - same)


def test_the_winner_is_cut_out_of_the_shared_weights_as_it_was(
    old: Unpack, nas: Nas, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(motion.DEFAULT_SIZES, "val", 32)
    old("search")
    answer = nas("retrain", "runs/search", "--init", "runs/search", *SHORT, *STILL, "--name", "new")
    assert answer.code == 0, answer.err
    assert "weights: the shared ones of" in answer.err and "at step 16, BatchNorm recalibrated" in answer.err
    assert np.abs(logits("runs/new/checkpoints/last") - FROM_SEARCH).max() <= 1e-6
    config = Path("runs/search/config.json")  # of a later version: what its setting does to the weights is not known
    config.write_text(json.dumps({**json.loads(config.read_text()), "later": 1}))
    refused = nas("retrain", "runs/search", "--init", "runs/search", *SHORT, "--name", "newer")
    assert refused.code == 2 and "config.json: unknown setting 'later'" in refused.err.splitlines()[-1]
    assert not Path("runs/newer").exists()


def test_members_of_a_family_are_trained(old: Unpack, nas: Nas, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(motion.DEFAULT_SIZES, "val", 32)
    old("family")
    before = contents("runs/family")
    answer = nas("retrain", "runs/family", "--members", "A1", *SHORT)
    assert answer.code == 0, answer.err
    after = contents("runs/family")
    added = after.keys() - before.keys()
    assert before.items() <= after.items() and all(name.startswith("runs/family/retrained-2") for name in added)
    (group,) = json.loads(nas("report", "runs/family/retrained-2", "--json").out)["groups"]
    assert group["name"] == "A1" and group["runs"][0]["path"] == "runs/family/retrained-2/A1-seed0/checkpoints/best"


def test_a_family_is_made_of_old_coefficients(old: Unpack, nas: Nas) -> None:
    old("family")
    before = contents("runs/family")
    words = ("scale", ASSETS / "wide.yaml", "--coeffs", "runs/family", "--members", "A1:A2", "--budget", "1M")
    answer = nas(*words, "--name", "again")
    assert answer.code == 0, answer.err
    made = json.loads(Path("runs/again/coefficients.json").read_text())
    was = json.loads(Path("runs/family/coefficients.json").read_text())
    assert made["coefficients"] == was["coefficients"]
    member = json.loads(Path("runs/again/A2.json").read_text())
    assert member.pop("family") == "movinet"  # which old files leave out
    assert member == json.loads(Path("runs/family/A2.json").read_text())
    assert contents("runs/family") == before


def test_spaces_of_runs_are_read(old: Unpack, nas: Nas) -> None:
    old("search", "family")
    for name in ("search/space.yaml", "family/A1.yaml", "family/A3.yaml", "family/space.yaml"):
        assert nas("space", f"runs/{name}").code == 0
    kept, own = searchspace.load("runs/search/space.yaml"), searchspace.load(ASSETS / "small.yaml")
    assert kept.decisions == own.decisions and kept.clip == own.clip


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("search", "search --resume --name search"),
        ("search-half", "search --resume --name search-half"),
        ("search-half", "search --resume"),
        ("videos-search-half", "search --resume --name videos-search-half --data videos"),
        ("retrain", "retrain --resume --name retrain"),
        ("retrain-half", "retrain --resume --name retrain-half"),
        ("pair", "retrain --resume --name pair"),
        ("videos-half", "retrain --resume --name videos-half --data videos"),
        ("family", "scale --resume --name family"),
        ("family-half", "scale --resume --name family-half"),
        ("family", "retrain runs/family --resume"),
        ("family", "retrain runs/family --resume --name retrained-1"),
    ],
)
def test_what_cannot_be_resumed_is_refused_in_one_line(old: Unpack, nas: Nas, name: str, words: str) -> None:
    """Each has fewer settings than there are now, so how it would go on is not known."""
    old(name, "videos")
    before = contents(".")
    answer = nas(*words.split())
    assert answer.code == 2 and answer.out == ""
    (line,) = answer.err.splitlines()
    assert line.startswith("nas: error: runs/") and "has other settings than this version (" in line
    assert "go on with the version that its environment.json names, or start a new run" in line
    assert contents(".") == before
