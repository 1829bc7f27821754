"""The classifier that trained weights get for other classes: the closed solution, as one linear layer."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import networks
import video
from searchspace import Clip
from tests.training.networks_of_seconds import architecture
from tests.video.conftest import write
from training.data_parts import TEST, TRAIN, WATCH, Selection, select
from training.evaluation import linear
from training.progress import Silent
from training.recipe import Recipe
from training.retrain import initial_weights as initial
from training.retrain import solved_classifier as transfer
from training.retrain.run_retrain import retrain
from video import FolderSource, MotionSource
from video.augmentation import Augmentation

CLIP = Clip(4, 16, 16, 5.0)


@pytest.fixture(scope="module")
def source() -> Selection:
    return select(MotionSource(0, CLIP, sizes={"weights": 40, "rescoring": 9, "val": 8}), None)


def network(classes: int, seed: int, stream: bool = False) -> networks.MoViNet:
    found = networks.create(architecture(classes=classes, stream=stream), generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        for layer in found.bottlenecks():
            layer.scale.fill_(0.5)
    return found.eval()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("classes", [5, 120])
def test_logits_are_those_of_the_regression_on_what_the_weights_say(source, classes, stream):
    """Of many classes on the old logits, of few on what the classifier sees; nothing else of the network changes."""
    old, new = network(classes, 1, stream), network(18, 2, stream)
    before = {name: tensor.clone() for name, tensor in new.state_dict().items() if not name.startswith("classifier.")}
    new.load_state_dict({**new.state_dict(), **{n: t for n, t in old.state_dict().items() if n in before}})
    right, clips = transfer.solve_(new, old, source, (TRAIN, WATCH))
    assert clips == 49 and 0 <= right <= clips
    says = old.logits if classes == 120 else old.hidden_copy().logits
    rows, labels = [], []
    with torch.no_grad():
        for part in (TRAIN, WATCH):
            for index in range(source.parts[part]):
                frames, label = source.item(part, index)
                rows.append(says(clips_of(frames))[0].double().numpy())
                labels.append(label)
        found = linear.fit(np.stack(rows), np.array(labels), 18, [str(i) for i in range(49)])
        clip = clips_of(source.item(TEST, 3)[0])
        expected = found.scores(says(clip).double().numpy()) / found.temperature
        assert new.logits(clip).numpy() == pytest.approx(expected, abs=2e-3)
    for name, tensor in new.state_dict().items():
        if not name.startswith("classifier."):
            assert torch.equal(tensor, old.state_dict()[name]), name


def clips_of(frames: np.ndarray) -> torch.Tensor:
    return video.to_float(torch.from_numpy(frames)[None].permute(0, 4, 1, 2, 3))


@pytest.mark.parametrize("stream", [False, True])
def test_what_a_classifier_sees_and_its_weights_give_the_logits(source, stream):
    own, clip = network(18, 3, stream), clips_of(source.item(TEST, 0)[0])
    with torch.no_grad():
        seen = own.hidden_copy().logits(clip)
        logits = seen @ own.classifier.weight.T + own.classifier.bias
        assert seen.shape == (1, 32) and torch.allclose(logits, own.logits(clip), atol=1e-5)


def bright(value: int):
    def content(index: int, height: int, width: int) -> np.ndarray:
        return np.full((height, width, 3), value, np.uint8)

    return content


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("people")
    for name, value in (("bright", 190), ("dark", 60)):
        for person in range(6):
            write(root / name / f"p{person}_1.mp4", 4, content=bright(value + 5 * person))
    return root


@pytest.fixture(scope="module")
def people(folder: Path) -> Selection:
    source = FolderSource(folder, CLIP, group=r"^(p\d)").augmented(
        Augmentation(crop_area=(0.5, 1.0), flip=0.5, frames=2)
    )
    return select(source, None)


def test_a_network_knows_easy_classes_before_it_is_trained(people, tmp_path):
    file = tmp_path / "w.safetensors"
    networks.save_weights(network(5, 1), file)
    own = architecture(classes=2)
    started, text = initial.start(own, Recipe(), str(file), people, seed=0)
    assert "with a new classifier (5 classes: 0, 1, ... before, 2 classes: bright, dark, ... now)" in text
    assert text.endswith("8 of 8 right where their group is left out")
    for part in (WATCH, TEST):
        frames, labels = people.batch(part, range(people.parts[part]))
        with torch.no_grad():
            logits = started.eval().logits(video.to_float(torch.from_numpy(frames).permute(0, 4, 1, 2, 3)))
        assert logits.argmax(1).tolist() == labels.tolist()
    again, _ = initial.start(own, Recipe(), str(file), people, seed=0)
    assert torch.equal(again.classifier.weight, started.classifier.weight)
    soft = again.classifier.weight.clone()
    transfer.solve_(again, networks.load(file).network, people, (TRAIN,))
    ratio = soft / again.classifier.weight
    assert ratio.std() < 1e-4 < ratio.mean() < 1  # the same answers, less sure of them
    assert initial.solve_again_(again, str(file), people, (TRAIN, WATCH))
    assert not torch.equal(again.classifier.weight, started.classifier.weight)
    assert not initial.solve_again_(again, str(tmp_path / "gone.safetensors"), people, (TRAIN,))


@pytest.mark.parametrize(("rate", "best"), [(10.0, 0), (0.0, 2)])
def test_what_the_weights_know_competes_with_what_training_makes_of_them(folder, tmp_path, rate, best):
    """Spoilt weights lose to the start, whose classifier is solved once more; of equals training is kept."""
    file = tmp_path / "w.safetensors"
    networks.save_weights(network(5, 1), file)
    settings = {"init": str(file), "data": str(folder), "group": r"^(p\d)", "clip": "4x16x16@5", "threads": 1}
    settings |= {"schedule.epochs": 1, "optimizer.batch": 4, "optimizer.lr": rate, "network.recalibrate": 0}
    settings |= {"augmentation.frames": None, "optimizer.clip_all": 0.0, "evaluation.least_steps": 0}
    heard: list[str] = []
    progress = Silent()
    progress.line = heard.append  # type: ignore[method-assign]
    result = retrain(architecture(), settings, runs=tmp_path, progress=progress)
    (member,) = result.summary["members"]
    watched = [json.loads(line) for line in (result.folder / "scores.jsonl").read_text().splitlines()]
    assert [(score["step"], score["accuracy"]) for score in watched] == [(0, 1.0), (2, 0.0 if rate else 1.0)]
    assert member["best"]["step"] == best and member["best"]["watched"] == watched[bool(best)]
    assert member["best"]["accuracy"] == 1.0 and member["last"]["accuracy"] == watched[1]["accuracy"]
    assert ("training gained nothing: the start is kept" in " ".join(heard)) == (best == 0)


def test_weights_of_another_form_say_what_differs(tmp_path):
    file, own = tmp_path / "w.safetensors", architecture(classes=5)
    networks.save_weights(network(5, 1), file)
    form = dataclasses.replace(own.form, activation="relu6", gate="hard_sigmoid")
    with pytest.raises(
        ValueError, match=r"weights of activation 'swish', gate 'sigmoid', the network to train has act"
    ):
        initial.check(str(file), [dataclasses.replace(own, form=form)])


def test_training_clips_may_be_a_stretch_of_the_clip_that_is_scored(people):
    frames, _ = people.item(TRAIN, 0, training=True)
    assert frames.shape == (2, 16, 16, 3)
    assert people.item(TRAIN, 0)[0].shape == (4, 16, 16, 3)
    for bad in (0, 1.5, "2"):
        with pytest.raises(ValueError, match=r"frames is .*; allowed: a whole number from 1 to"):
            Augmentation(frames=bad)
