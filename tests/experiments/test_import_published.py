"""From the published weights to answers, by commands."""

import json
import shutil
from pathlib import Path

import pytest

from tests.experiments.conftest import Nas
from tests.networks.weights.published_file import FILE, SHARED


def test_the_commands_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nas: Nas) -> None:
    """Import, predict and evaluate, with names of classes that are found beside the file."""
    if not (SHARED / FILE).exists():
        pytest.skip("no ../shared/weights here")
    monkeypatch.chdir(tmp_path)
    answer = nas("import", str(SHARED / FILE), "-o", "k600.safetensors")
    assert answer.code == 0 and "600 names, from " in answer.out and "licence Apache-2.0" in answer.out
    assert "50x172x172@5: 5 frames a second, as published" in answer.out and "BatchNorm is part of" in answer.out
    answer = nas("predict", "k600.safetensors", str(SHARED / "carving_ice.mp4"), "--format", "csv", "--top", "1")
    assert answer.code == 0 and ",1,carving ice,0.9" in answer.out
    for label in ("carving ice", "arm wrestling"):
        (tmp_path / "videos" / label).mkdir(parents=True)
        for path in SHARED.glob(f"{label.replace(' ', '_')}*.mp4"):
            shutil.copy(path, tmp_path / "videos" / label)
    answer = nas("evaluate", "k600.safetensors", "--data", "videos", "--protocol", "clip", "--out", "o", "--json")
    (protocol,) = json.loads(answer.out)["protocols"]
    assert answer.code == 0 and protocol["accuracy"] == 1.0 and protocol["videos"] == 3
