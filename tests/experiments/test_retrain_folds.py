"""`nas retrain ARCH --folds K` as it is typed: what it says before, at the end and when it is gone on with."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.experiments.conftest import Nas
from tests.training.networks_of_seconds import architecture
from tests.video.conftest import write

SHORT = ["--epochs", "1", "--batch", "4", "--clip", "2x16x16", "--threads", "1", "--workers", "0", "--device", "cpu"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An architecture, and bright and dark videos of six people."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "arch.json").write_text(architecture().to_json())
    for name, value in (("bright", 200), ("dark", 40)):
        for person in range(6):

            def content(index: int, height: int, width: int, value: int = value + person) -> np.ndarray:
                return np.full((height, width, 3), value, np.uint8)

            write(tmp_path / "videos" / name / f"p{person}_1.mp4", 4, content=content)
    return tmp_path


def test_a_rehearsal_a_run_and_its_report(here: Path, nas: Nas) -> None:
    words = ["retrain", "arch.json", "--data", "videos", "--group", r"(p\d)", "--folds", "2", "--seeds", "2", *SHORT]
    rehearsal = nas(*words, "--dry-run")
    assert rehearsal.code == 0 and "2 folds, 2 training(s) each" in rehearsal.out and not (here / "runs").exists()
    assert "recipe: videos, for real ones from scratch" in rehearsal.out
    answer = nas(*words)
    assert answer.code == 0, answer.err
    assert "each video is tested by a network of the others" in answer.out
    summary = json.loads((here / "runs/folds-1/summary.json").read_text())
    assert f"right: {sum(summary['correct']) / 2:.4g} of 12 on average" in answer.out
    assert (
        "a linear classifier on one frame has 12 of 12" in answer.out
        and "training gained nothing over it" in answer.out
    )
    assert "as nas evaluate judges, clip:" in answer.out
    assert "next: nas retrain arch.json --data videos --group '(p\\d)'" in answer.out
    for fold in (1, 2):
        assert (here / f"runs/folds-1/fold-{fold}-seed-1/curves.png").is_file()
    picture = here / "runs/folds-1/confusion.png"
    picture.unlink()
    again = nas("retrain", "--resume", "--name", "folds-1", "--json")
    assert again.code == 0 and picture.read_bytes().startswith(b"\x89PNG")
    assert json.loads(again.out) == {"folder": "runs/folds-1", **summary}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["arch.json", "--folds", "2"], "folds are for videos: give a folder of them with --data"),
        (["--folds", "2", "--data", "videos"], "no architecture given"),
        (["arch.json", "--folds", "7", "--data", "videos", "--group", r"(p\d)"], "7 folds of 6 groups of videos"),
        (["arch.json", "--folds", "2", "--data", "nowhere"], "nowhere' does not exist"),
        (["arch.json", "--folds", "2", "--data", "videos", "--group", r"(p)\d"], "6 usable videos in 1 groups"),
        (["arch.json", "--folds", "1", "--data", "videos"], "--folds"),
        (["arch.json", "--seeds", "2", "--data", "videos"], "--seeds is for families and for --folds"),
    ],
)
def test_mistakes(here: Path, nas: Nas, words: list[str], said: str) -> None:
    answer = nas("retrain", *words, *SHORT)
    assert answer.code == 2 and said in answer.err and len(answer.err.strip().splitlines()) == 1, answer.err
    assert not list(here.glob("runs/*"))
