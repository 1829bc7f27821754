"""`nas probe`: what weights know of videos, from Python and from the command line."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import networks
from tests.experiments.conftest import Nas
from tests.training.networks_of_seconds import network
from tests.video.conftest import write
from training.evaluation.probe_features import probe
from training.evaluation.video_features import PLAIN, key_of, network_features, plain_features, read_features
from training.retrain import solved_classifier as transfer
from video.labelled import both_sides


def still(index: int, height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 60, np.uint8)


def blinking(index: int, height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 200 * (index % 2) + 20, np.uint8)


def growing(index: int, height: int, width: int) -> np.ndarray:
    frame = np.full((height, width, 3), 60, np.uint8)
    frame[: 4 + 2 * index] = 230
    return frame


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes that differ by motion, of six people."""
    root = tmp_path_factory.mktemp("moving")
    for name, content in (("still", still), ("blinking", blinking), ("growing", growing)):
        for person in range(6):
            write(root / name / f"p{person}_1.mp4", 16 + person, content=content)
    return root


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> networks.Trained:
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    networks.save_weights(network(stream=True), path)
    return networks.load(path)


def test_motion_tells_moving_classes_apart_and_one_frame_does_not(folder: Path) -> None:
    found = probe(None, folder, group=r"(p\d)")
    accuracy = {row.features: row.scores.accuracy for row in found.rows}
    assert set(accuracy) == set(PLAIN) and accuracy["motion"] == 1.0
    assert found.test == found.train == 18 and "5 folds of 18 videos (6 groups)" in found.how


def test_a_validation_side_is_judged_by_what_the_training_side_taught(folder: Path, tmp_path: Path) -> None:
    for name in ("still", "blinking", "growing"):
        for side, people in (("train", range(4)), ("val", range(4, 6))):
            (tmp_path / side / name).mkdir(parents=True)
            for person in people:
                (tmp_path / side / name / f"p{person}.mp4").write_bytes(
                    (folder / name / f"p{person}_1.mp4").read_bytes()
                )
    found = probe(None, tmp_path)
    motion = next(row for row in found.rows if row.features == "motion")
    assert (found.train, found.test, motion.scores.accuracy) == (12, 6, 1.0) and "validation videos" in found.how


def test_features_of_a_network_are_what_its_classifier_sees(folder: Path, trained: networks.Trained) -> None:
    """Through the network's own dense layer, by hand; of a network with many classes they are its logits."""
    sides = both_sides(folder)
    item = sides.train[0]
    seen = network_features(trained)(item)
    assert seen.shape == (32,)
    weight, bias = trained.network.classifier.weight, trained.network.classifier.bias  # type: ignore[union-attr]
    logits = seen @ weight.detach().numpy().T + bias.detach().numpy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transfer, "MANY_CLASSES", 1)
        assert network_features(trained)(item) == pytest.approx(logits, abs=1e-4)


def test_features_are_kept_by_file_and_by_weights(folder: Path, tmp_path: Path, trained: networks.Trained) -> None:
    items, cache, calls = both_sides(folder).train, tmp_path / "f.npz", []

    def counted(item: object) -> np.ndarray:
        calls.append(item)
        return plain_features("motion")(item)  # type: ignore[arg-type]

    first = read_features(items, counted, key="a", cache=cache)
    assert len(calls) == len(items)
    again = read_features(items, counted, key="a", cache=cache)
    assert len(calls) == len(items) and np.array_equal(first, again)
    read_features(items, counted, key="b", cache=cache)
    assert len(calls) == 2 * len(items)
    cache.write_bytes(cache.read_bytes()[:100])
    read_features(items, counted, key="b", cache=cache)
    assert len(calls) == 3 * len(items)
    assert key_of(trained) != key_of(dataclasses.replace(trained, network=network(stream=True, seed=1)))


def test_an_interrupted_reading_keeps_what_it_has(folder: Path, tmp_path: Path) -> None:
    items, cache = both_sides(folder).train, tmp_path / "f.npz"

    def stop(done: int, total: int) -> None:
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_features(items, plain_features("motion"), key="a", cache=cache, progress=stop)
    seen: list[object] = []
    read_features(items, lambda item: seen.append(item) or plain_features("motion")(item), key="a", cache=cache)  # type: ignore[func-returns-value]
    assert len(seen) == len(items) - 7


def test_the_command(nas: Nas, folder: Path, trained: networks.Trained) -> None:
    found = nas("probe", trained.path, "--data", folder, "--group", r"(p\d)", "--json")
    assert found.code == 0, found.err
    said = json.loads(found.out)
    assert said["features"]["motion"]["accuracy"] == 1.0 and said["majority"] == pytest.approx(1 / 3)
    assert said["features"]["network"]["videos"] == 18
    table = nas("probe", "--data", folder)
    assert "motion" in table.out and "next: nas retrain" in table.out


def test_mistakes(nas: Nas, folder: Path, tmp_path: Path) -> None:
    assert "no such file" in nas("probe", "gone.safetensors", "--data", folder).err
    assert "does not exist" in nas("probe", "--data", tmp_path / "gone").err
    (tmp_path / "one" / "a").mkdir(parents=True)
    write(tmp_path / "one" / "a" / "1.mp4", 3)
    assert "single class" in nas("probe", "--data", tmp_path / "one").err
    assert "does not match" in nas("probe", "--data", folder, "--group", r"(q\d)").err
