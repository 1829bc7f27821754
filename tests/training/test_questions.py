"""Which videos a network is asked about, and whose labels they carry."""

import json
import os
from pathlib import Path

import pytest
from PIL import Image

import networks
from networks import Trained
from searchspace import Clip
from tests.training.tiny import trained_run
from tests.training.video_folders import folder
from tests.video.conftest import write
from training.evaluation.evaluation_data import match_classes, open_videos
from training.evaluation.predict_videos import predict
from video import FolderSource, MotionSource
from video.motion_classes import MOTION_CLASSES
from video.views import CENTRE

CLIP = Clip(4, 32, 32, 5.0)


def load(folder: Path, classes: tuple[str, ...], data: dict[str, object]) -> Trained:
    return networks.load(trained_run(folder, classes, data=data))


def test_classes_are_matched_by_name() -> None:
    assert match_classes(("abseiling", "riding a bike", "x"), ("Riding_a_bike", "abseiling")) == [1, 0]
    assert match_classes(("0", "1"), ("walk", "run")) == [0, 1]
    with pytest.raises(ValueError, match=r"'runing' and 1 more .* not among the 2 .* did you mean 'running'"):
        match_classes(("running", "walking"), ("runing", "walking", "sit"))
    with pytest.raises(ValueError, match="the network has 2 classes without names, the data 3"):
        match_classes(("0", "1"), ("a", "b", "c"))


def test_classes_that_differ_in_case_only_are_told_apart() -> None:
    own = ("Run", "run", "caf\u00e9", "a_b")
    assert match_classes(own, ("run", "Run", "cafe\u0301", "A B")) == [1, 0, 2, 3]
    with pytest.raises(ValueError, match="'RUN' of the data may be 'Run' or 'run' of the network"):
        match_classes(own, ("RUN",))


def test_a_single_class_can_be_asked_about(tmp_path: Path) -> None:
    data = folder(tmp_path / "data", ("",), ("c",))
    trained = load(tmp_path / "run", ("c", "a b"), {})
    videos, notes = open_videos(trained, str(data))
    assert videos.labels == [0] * 4 and notes == [f"4 videos of {data}"]


def test_the_validation_side_of_the_training_data(tmp_path: Path) -> None:
    data = folder(tmp_path / "data")
    trained = load(tmp_path / "run", ("c", "a b", "d"), FolderSource(data, CLIP).describe())
    videos, notes = open_videos(trained)
    assert videos.names == [f"val/{name}/{i}.mkv" for name in ("a b", "c") for i in range(4)]
    assert videos.labels == [1] * 4 + [0] * 4 and not any(videos.errors)
    assert notes == [f"8 videos of {data.resolve()}"]


def test_without_a_validation_side_only_what_was_held_out(tmp_path: Path) -> None:
    data = folder(tmp_path / "data", ("",))
    source = FolderSource(data, CLIP, seed=5)
    trained = load(tmp_path / "run", ("a b", "c"), source.describe())
    for given in (None, str(data)):
        videos, notes = open_videos(trained, given)
        assert videos.names == source.names("rescoring") and "held out of training" in notes[0]
    other = load(tmp_path / "other", ("a b", "c"), {})
    assert len(open_videos(other, str(data))[0].names) == 8  # it saw none of them


def test_the_motion_data_is_that_of_the_training(tmp_path: Path) -> None:
    names = tuple(c.name for c in MOTION_CLASSES)
    source = MotionSource(7, CLIP, 0.9, sizes={"val": 20})
    trained = load(tmp_path / "run", names, json.loads(json.dumps(source.describe())))
    videos, _ = open_videos(trained)
    assert len(videos.names) == 20 and videos.labels == source.labels("val").tolist()
    assert (videos.clips(3, (CENTRE,))[0] == source.item("val", 3)[0]).all()
    assert len(open_videos(load(tmp_path / "bare", names, {}), "motion")[0].names) == 2048


def test_data_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not say what it was trained on; give --data"):
        open_videos(load(tmp_path / "a", ("a", "b"), {}))
    gone = {"kind": "folder", "root": "/no/such", "annotations": None}
    with pytest.raises(ValueError, match="'/no/such', is not here; give its new place with --data"):
        open_videos(load(tmp_path / "b", ("a", "b"), gone))
    with pytest.raises(ValueError, match="'slow_left' and 17 more"):
        open_videos(load(tmp_path / "c", ("a", "b"), {}), "motion")


def test_prediction_in_python(tmp_path: Path) -> None:
    """What the README shows."""
    data = folder(tmp_path / "data", ("",), ("x",))
    (data / "x" / "broken.mp4").write_bytes(b"no")
    trained = load(tmp_path / "run", ("a", "b", "c"), {})
    seen: list[tuple[int, int]] = []
    answers = predict(trained, [data, data / "x" / "0.mkv"], progress=lambda *at: seen.append(at))
    assert [Path(answer.name).name for answer in answers] == [*(f"{i}.mkv" for i in range(4)), "broken.mp4", "0.mkv"]
    assert answers[4].error and not any(answer.error for i, answer in enumerate(answers) if i != 4)
    top = answers[0].top(5)
    assert len(top) == 3 and sum(share for _, share in top) == pytest.approx(1, abs=1e-5)
    assert [share for _, share in top] == sorted((share for _, share in top), reverse=True)
    streamed = predict(trained, data / "x" / "0.mkv", stream=True)
    assert streamed[0].frames == 4 and streamed[0].top(1)[0][1] == pytest.approx(answers[0].top(1)[0][1], abs=1e-5)
    for folder_of in ("one", "two"):
        for i in range(3):
            (tmp_path / "frames" / folder_of).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (40, 30), (50 * i, 0, 0)).save(tmp_path / "frames" / folder_of / f"{i}.png")
    pictures = predict(trained, tmp_path / "frames", fps=5.0)
    assert [Path(answer.name).name for answer in pictures] == ["one", "two"] and not pictures[0].error
    with pytest.raises(ValueError, match="no such file or folder"):
        predict(trained, tmp_path / "none.mp4")


def test_videos_and_what_is_left_out_of_a_folder(tmp_path: Path) -> None:
    root = tmp_path / "mixed"
    for name in ("one.mkv", "deep/two.mkv", "odd"):
        write(root / name, 6, "ffv1", 10, "bgr0", container="matroska")
    for name in ("poster.jpg", "deep/cover.PNG", "frames/10.png", "frames/9.png"):
        (root / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (40, 30)).save(root / name)
    (root / "frames" / "labels.txt").write_text("9 10")
    (root / "plain").mkdir()
    (root / "plain" / "broken.mp4").write_bytes(b"no")
    trained = load(tmp_path / "run", ("a", "b", "c"), {})
    told: list[str] = []
    answers = predict(trained, root, fps=5.0, left_out=told.append)
    names = [str(Path(answer.name).relative_to(root)) for answer in answers]
    assert sorted(names) == ["deep/two.mkv", "frames", "odd", "one.mkv", "plain/broken.mp4"]
    assert [name for name, answer in zip(names, answers, strict=True) if answer.error] == ["plain/broken.mp4"]
    assert answers[names.index("frames")].frames == 4
    assert sorted(told) == [
        f"{root}/deep/cover.PNG: a picture beside videos",
        f"{root}/frames/labels.txt: beside pictures, which are one video",
        f"{root}/poster.jpg: a picture beside videos",
    ]
    (root / "plain" / "cover.jpg").write_bytes(b"no picture either")
    assert [Path(a.name).name for a in predict(trained, root / "plain")] == ["broken.mp4"]


def test_names_of_videos_that_are_not_utf_8(tmp_path: Path) -> None:
    place = tmp_path / os.fsdecode(b"caf\xe9")
    write(place / os.fsdecode(b"\xff.mkv"), 6, "ffv1", 10, "bgr0")
    trained = load(tmp_path / "run", ("a", "b"), {})
    for given in (place, str(place), str(tmp_path / r"caf\xe9")):
        (answer,) = predict(trained, given)
        assert answer.name == rf"{tmp_path}/caf\xe9/\xff.mkv" and not answer.error
