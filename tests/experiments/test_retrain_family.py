"""`nas retrain FAMILY` and `nas report FAMILY` on the command line."""

import json
from pathlib import Path
from typing import Any

import pytest

from scaling import family_training
from scaling.scale_family import scale
from tests.experiments.conftest import Nas
from tests.scaling.small_family import settings
from tests.training.tiny import trained_run
from training.progress import Progress

SHORT = ["--clip", "4x16x16", "--epochs", "2", "--batch", "8", "--threads", "1", "--device", "cpu"]
SHORT += ["--set", "schedule.epoch_clips=16", "--set", "evaluation.clips=16"]


@pytest.fixture
def family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A1 to A3 of the small space."""
    monkeypatch.setitem(__import__("video.motion").motion.DEFAULT_SIZES, "val", 32)
    monkeypatch.chdir(tmp_path)
    return scale(settings(tmp_path, coeffs="1.2,1.1,1.1,1.2"), runs="runs", name="family").folder


def test_a_family_is_trained_and_gone_on_with(nas: Nas, family: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = family_training.train

    def train(job: family_training.RunJob, progress: Progress) -> dict[str, Any]:
        return {"error": "came apart"} if job.name == "A2-seed1" else real(job, progress)

    monkeypatch.setattr(family_training, "train", train)
    words = ["retrain", "family", "--members", "A1:A2", "--seeds", "2", *SHORT]
    dry = nas(*words, "--dry-run")
    assert dry.code == 0 and "time: 4 trainings, 1 at a time, 1 thread(s) each: about" in dry.out
    assert "checkpoints will take about" in dry.out and not (family / "retrained-1").exists()
    answer = nas(*words)
    assert answer.code == 2
    assert "A2-seed1" in answer.out and "came apart" in answer.out and "1 of 4 trainings have no network" in answer.out
    assert f"next: nas retrain {family} --resume --name retrained-1" in answer.out
    monkeypatch.setattr(family_training, "train", real)
    again = nas("retrain", family, "--resume")
    assert again.code == 0, again.err
    assert "A1-seed0 is finished" in again.err and f"next: nas report {family}" in again.out
    assert "step A1 -> A2: " in again.out
    run = family / "retrained-1" / "A2-seed1"
    assert (run / "curves.png").is_file() and (run / "confusion.png").is_file()
    as_json = json.loads(nas("retrain", family, "--resume", "--json").out)
    assert [row["member"] for row in as_json["trainings"]] == ["A1", "A1", "A2", "A2"]
    assert nas("show", run).code == 0
    assert "holds the trainings of a family" in nas("show", family / "retrained-1").err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a0", "--seeds", "2"], "--seeds is for families"),
        (["--resume", "--members", "A0"], "--members is for families"),
        (["family", "--members", "A0:A9"], "no member A0; it has A1, A2, A3"),
        (["family", "--members", "A3:A1"], "range such as A0:A5"),
        (["family", "--init", "a0.safetensors"], "'init' is not for families"),
        (["family", "--data", "nowhere"], "does not exist"),
        (["family", "--name", "a/b"], "single folder name"),
        (["family", "--ray", "127.0.0.1:1"], "Ray at '127.0.0.1:1' cannot be reached"),
        (["unfinished"], "unfinished is not finished; go on with: nas scale --resume --name unfinished"),
    ],
)
def test_mistakes(nas: Nas, family: Path, words: list[str], said: str) -> None:
    (family.parent / "unfinished").mkdir()
    (family.parent / "unfinished" / "config.json").write_text('{"command": "scale"}')
    answer = nas("retrain", *words)
    assert answer.code == 2, answer.out
    last = answer.err.splitlines()[-1]
    assert last.startswith("nas: error: ") and said in last


def test_a_damaged_configuration_is_named(nas: Nas, family: Path) -> None:
    from scaling import family_folder
    from scaling.family_plan import plan

    config = {"command": "retrained", **plan(family_folder.load(family), {"threads": 1}, "A1", 1).config}
    (family / "retrained-1").mkdir()
    resume, report = ("retrain", "family", "--resume"), ("report", "family")
    not_read = "no training in "  # a report needs no settings of the trainings, and finds none finished
    for change, resumed, reported in (
        ({"clip": ...}, "other settings than this version (clip)", not_read),
        ({"seeds": "x"}, "seeds is 'x'", "seeds is 'x'"),
        ({"seed": -1}, "seed is -1", "seed is -1"),
        ({"members": ...}, "key 'members' is missing", "key 'members' is missing"),
        ({"members": "A0"}, "has no member A0", "has no member A0"),
        ({"optimizer.lr": -1}, "lr is -1", not_read),
    ):
        damaged = {key: value for key, value in {**config, **change}.items() if value is not ...}
        (family / "retrained-1" / "config.json").write_text(json.dumps(damaged))
        for words, said in ((resume, resumed), (report, reported)):
            answer = nas(*words)
            assert answer.code == 2 and len(answer.err.splitlines()) == 1 and said in answer.err, answer.err


def test_the_front_of_a_family(nas: Nas, family: Path) -> None:
    none = nas("report", "family")
    assert none.code == 2 and f"train them with: nas retrain {family} --seeds 3" in none.err
    for name, seeds in (("A1", (0.5, 0.6, 0.55)), ("A2", (0.7, 0.8)), ("A3", (0.72, 0.74, 0.7))):
        for seed, accuracy in enumerate(seeds):
            run = trained_run(
                family / "retrained-1" / f"{name}-seed{seed}", seed=seed, architecture=int(name[1]), accuracy=accuracy
            )
            (run / "summary.json").write_text(json.dumps({"accuracy": accuracy}))
    from scaling import family_folder
    from scaling.family_plan import plan

    config = plan(family_folder.load(family), {"threads": 1}, "A1:A3", 3).config
    (family / "retrained-1" / "config.json").write_text(json.dumps({"command": "retrained", **config}))
    for word in ("family", family / "retrained-1"):
        answer = nas("report", word, "-o", f"front-{Path(word).name}")
        assert answer.code == 0, answer.err
        assert "step A1 -> A2: +20.0 points, standard error 5.8: shown" in answer.out
        assert "step A2 -> A3: -3.0 points, standard error 5.1: not shown, because A3 is not better" in answer.out
        assert "A2: 1 of 3 trainings are not finished" in answer.out
    page = Path("front-family.html").read_text()
    assert "step A1 -&gt; A2: +20.0 points" in page and "standard error" in page and "<!--" not in page
    data = json.loads(nas("report", "family", "--json").out)
    assert [(step["from"], step["to"], step["shown"]) for step in data["steps"]] == [
        ("A1", "A2", True),
        ("A2", "A3", False),
    ]
    assert [group["name"] for group in data["groups"]] == ["A1", "A2", "A3"]
    Path("table.csv").write_text("device,name,milliseconds\nphone,A1,4.5\nphone,A3,12\n")
    timed = nas("report", "family", "--latency", "table.csv", "-o", "timed")
    assert timed.code == 0 and "4.5 ms" in timed.out and "latency" in timed.out and Path("timed.png").is_file()
    mixed = nas("report", "family", family / "retrained-1" / "A1-seed0", "--json")
    assert len(json.loads(mixed.out)["groups"]) == 3 and json.loads(mixed.out)["steps"] == []
