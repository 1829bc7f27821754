"""The clip of a training on real videos follows how long they last."""

from pathlib import Path

import pytest

import searchspace
from searchspace import Clip
from tests.video.conftest import write
from training.retrain.chosen_clip import fitting
from training.search.search_config import SearchConfig, clip_of
from video import probe


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of 40 frames at 20 a second and, one of three, of 200."""
    root = tmp_path_factory.mktemp("videos")
    for name in ("a", "b"):
        for number, frames in enumerate((40, 200, 40)):
            write(root / name / f"{number}.mp4", frames, rate=20)
    return root


@pytest.mark.parametrize(
    ("own", "found"),
    [
        (Clip(8, 32, 32, 5.0), "8x32x32@4"),  # spread over 2 s
        (Clip(50, 172, 172, 5.0), "16x172x172@8"),  # no more frames than a CPU trains on
        (Clip(13, 64, 48, 5.0), "13x64x48@6.5"),
    ],
)
def test_frames_are_spread_over_a_video_of_usual_length(videos: Path, own: Clip, found: str) -> None:
    for form in (own, str(own), (own.frames, own.height, own.width)):
        clip, text = fitting(form, str(videos))
        assert str(clip) == found
        assert "since videos last 2.0 s and have 20 frames a second (median of 6; --clip" in text


def test_frames_are_not_taken_faster_than_there_are(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name / "0.mp4", 10, rate=20)
    assert str(fitting(Clip(16, 32, 32, 5.0), str(tmp_path))[0]) == "16x32x32@20"


def test_files_that_cannot_be_read_do_not_count(videos: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.mp4").write_bytes(b"none")
    own = Clip(8, 32, 32, 5.0)
    assert fitting(own, str(tmp_path)) == (own, "clip: 8x32x32@5, the network's own")
    write(tmp_path / "b" / "y.mp4", 40, rate=20)
    assert str(fitting(own, str(tmp_path))[0]) == "8x32x32@4"


def test_a_search_takes_the_rate_of_the_videos_unless_someone_chose_one(videos: Path, tmp_path: Path) -> None:
    def searched(**given: str) -> str:
        return SearchConfig.resolve(**given).clip

    assert searched() == "8x128x128@5"
    assert searched(data=str(videos)) == "8x128x128@4"
    assert searched(data=str(videos), clip="8x128x128@5") == "8x128x128@5"
    file = tmp_path / "mine.yaml"
    file.write_text(searchspace.load("movinet").to_yaml())
    assert searched(data=str(videos), space=str(file)) == "8x128x128@5"
    clip, text = clip_of("movinet", str(videos), None)
    assert str(clip) == "8x128x128@4" and "since videos last 2.0 s" in text
    assert clip_of("movinet", None, None)[1] == "" and clip_of("movinet", str(tmp_path / "gone"), None)[1] == ""


def test_a_file_is_decoded_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        write(tmp_path / name / "0.mp4", 10, rate=20)
    decoded: list[Path] = []
    monkeypatch.setattr("training.retrain.chosen_clip.probe", lambda path: decoded.append(path) or probe(path))
    first = fitting(Clip(16, 32, 32, 5.0), str(tmp_path))
    assert fitting(Clip(16, 32, 32, 5.0), str(tmp_path)) == first and len(decoded) == 2
    write(tmp_path / "a" / "0.mp4", 20, rate=20)
    fitting(Clip(16, 32, 32, 5.0), str(tmp_path))
    assert len(decoded) == 3
