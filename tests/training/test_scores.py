"""Every figure of an evaluation against another way to it."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from searchspace import Clip
from training.evaluation.classification_scores import Scores
from training.evaluation.part_scores import evaluate
from training.evaluation.predictions import average, count_right
from video import MotionSource, to_float


def random_scores(clips: int = 500, classes: int = 7, seed: int = 0) -> Scores:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes - 1, clips)  # the last class has no clips
    logits = torch.from_numpy(rng.normal(0, 1.5, (clips, classes)))
    logits[torch.arange(clips), torch.from_numpy(labels)] += 1
    return Scores(labels, F.log_softmax(logits, 1).float().numpy())


def test_accuracy_loss_and_top_k_are_those_of_torch() -> None:
    scores = random_scores()
    log, labels = torch.from_numpy(scores.log_probabilities), torch.from_numpy(scores.labels)
    assert scores.correct == int((log.argmax(1) == labels).sum()) and scores.accuracy == scores.correct / 500
    assert scores.loss == pytest.approx(float(F.nll_loss(log.double(), labels)), rel=1e-6)
    for k in (1, 3, 5, 7, 9):
        inside = (log.topk(min(k, 7), 1).indices == labels[:, None]).any(1)
        assert scores.top(k) == pytest.approx(float(inside.float().mean()))
    assert scores.top(1) == scores.accuracy
    assert scores.interval[0] < scores.accuracy < scores.interval[1]


def test_equal_probabilities_do_not_make_every_class_the_first() -> None:
    flat = Scores(np.arange(4), np.full((4, 4), math.log(0.25), np.float32))
    assert [flat.top(k) for k in (1, 2, 4)] == [0.25, 0.5, 1.0] and flat.accuracy == 0.25


def test_classes_and_families_by_counting() -> None:
    scores = random_scores()
    table = scores.confusion()
    assert table.sum() == 500 and np.trace(table) == scores.correct
    shares = scores.class_accuracies()
    assert math.isnan(shares[6])
    np.testing.assert_allclose(shares[:6], np.diag(table)[:6] / table.sum(1)[:6])
    assert scores.mean_class_accuracy == pytest.approx(shares[:6].mean())
    families = scores.accuracies([0, 0, 0, 1, 1, 1, 2])
    assert families[0] == pytest.approx(np.diag(table)[:3].sum() / table[:3].sum()) and math.isnan(families[2])


def test_calibration_error_in_closed_form() -> None:
    # Two classes, confidence 0.8; 8 of 10 right is calibrated, 5 of 10 right is 0.3 off.
    rows = np.log(np.tile([0.8, 0.2], (10, 1))).astype(np.float32)
    for right, error in ((8, 0.0), (5, 0.3), (10, 0.2)):
        labels = np.array([0] * right + [1] * (10 - right))
        assert Scores(labels, rows).calibration_error() == pytest.approx(error, abs=1e-6)
    # Errors of different bins do not cancel: 0.6 never right, 0.9 always.
    mixed = np.log([[0.6, 0.4], [0.9, 0.1]]).astype(np.float32)
    assert Scores(np.array([1, 0]), mixed).calibration_error() == pytest.approx((0.6 + 0.1) / 2)
    sure = np.array([[0.0, -50.0]], np.float32)
    assert Scores(np.array([0]), sure).calibration_error() == pytest.approx(0)


def test_crops_vote_by_the_mean_of_their_probabilities() -> None:
    logits = [torch.randn(6, 4, generator=torch.Generator().manual_seed(i)) for i in range(3)]
    mean = torch.stack([crop.softmax(1) for crop in logits]).mean(0)
    torch.testing.assert_close(average(logits).exp(), mean)
    labels = torch.arange(6) % 4
    right, loss = count_right(average(logits), labels)
    assert right == int((mean.argmax(1) == labels).sum())
    assert loss == pytest.approx(float(-mean.log()[torch.arange(6), labels].sum()), rel=1e-5)


def test_every_clip_of_a_part_is_scored_once_and_in_order() -> None:
    source = MotionSource(seed=0, clip=Clip(2, 8, 8), sizes={"val": 21})
    seen = []

    def forward(clips: torch.Tensor) -> torch.Tensor:
        seen.append(clips)
        return clips.mean((2, 3, 4)) @ torch.arange(54.0).reshape(3, 18).sin()

    scores = evaluate(forward, source, "val", batch=8)
    frames, labels = source.materialise("val")
    clips = to_float(torch.from_numpy(frames).permute(0, 4, 1, 2, 3))
    assert torch.equal(torch.cat(seen), clips) and np.array_equal(scores.labels, labels)
    np.testing.assert_allclose(scores.log_probabilities, F.log_softmax(forward(clips), 1).numpy(), rtol=1e-5)


def test_answers_that_are_not_numbers_are_wrong_and_disturb_nothing():
    """Of a network that diverged; without care class 0 would have them all."""
    answers = np.log(np.array([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1]], np.float32))
    found = Scores(np.array([0, 1, 0]), np.concatenate([answers, np.full((1, 3), np.nan, np.float32)]))
    assert (found.correct, found.top(1), found.top(3)) == (2, 2 / 3, 2 / 3)
    assert found.class_accuracies()[:2].tolist() == [0.5, 1.0]
    assert np.isnan(found.loss) and np.isnan(found.calibration_error())
