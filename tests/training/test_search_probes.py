"""A search on real videos says whether a linear classifier without any network does as well as its winner."""

import json
from pathlib import Path

import numpy as np
import pytest

from experiments.text.search_text import result
from tests.training.small import settings
from tests.video.conftest import write
from training.retrain.expectation import gained
from training.run import SearchRun
from training.search.run_search import search


def test_a_search_on_videos_that_one_frame_tells_apart(tmp_path: Path) -> None:
    for name, value in (("bright", 190), ("dark", 60)):
        for person in range(6):

            def content(index: int, height: int, width: int, value: int = value + 5 * person) -> np.ndarray:
                return np.full((height, width, 3), value, np.uint8)

            write(tmp_path / "videos" / name / f"p{person}.mkv", 8 + person, "ffv1", 10, "bgr0", content=content)
    given = settings(tmp_path, data=str(tmp_path / "videos"), budgets=["1.7M"], steps=2, look_clips=2, micro_batch=4)
    found = search(given, runs=tmp_path / "runs", name="x")
    summary = json.loads((found.folder / "summary.json").read_text())
    probes = {one["features"]: one["tested"] for one in summary["probes"]}
    judged = json.loads((found.folder / "data.json").read_text())["parts"]["rescoring"]
    assert probes["one frame"] == {"correct": judged, "clips": judged}
    assert summary["winner"]["clips"] == judged and set(probes) == {"one frame", "motion", "picture shape"}
    (line,) = [
        text for text in result(SearchRun.open(found.folder)) if text.startswith("a linear classifier on one frame")
    ]
    assert f"has {judged} of {judged} " in line and line.endswith("the winner gained nothing over it")


@pytest.mark.parametrize(
    ("correct", "said"), [(9, "gained nothing over it"), (8, "nothing"), (12, "training gained 3")]
)
def test_what_was_gained_is_counted_in_clips(correct: int, said: str) -> None:
    found = [{"features": "network", "how": "", "tested": {"correct": 9, "clips": 20}}]
    (line,) = gained(found, correct, 20)
    assert "the weights as they came has 9 of 20 (45.0 %, 25.8 to 65.8) of the test part" in line and said in line
    assert gained(found, correct, 19) == []
