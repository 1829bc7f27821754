"""The linear classifier in closed form: against solving again without each group, and on data whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.evaluation.linear import PENALTIES, LinearClassifier, fit


def data(videos: int = 40, dimensions: int = 60, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, videos)
    centres = rng.normal(size=(classes, dimensions))
    return centres[labels] + 1.5 * rng.normal(size=(videos, dimensions)) * rng.uniform(0.1, 9, dimensions), labels


def solved_again(
    features: np.ndarray, labels: np.ndarray, classes: int, penalty: float, rows: np.ndarray
) -> np.ndarray:
    """Scores of some rows by ridge regression on the others, by torch's least squares on stacked equations."""
    scaled = (features - features.mean(0)) / features.std(0) / np.sqrt(features.shape[1])
    others = np.setdiff1d(np.arange(len(labels)), rows)
    design = np.hstack([scaled[others], np.ones((len(others), 1))])
    damping = np.sqrt(penalty) * np.eye(scaled.shape[1], scaled.shape[1] + 1)  # not of the constant
    targets = np.vstack([np.eye(classes)[labels[others]], np.zeros((len(damping), classes))])
    solution = torch.linalg.lstsq(torch.from_numpy(np.vstack([design, damping])), torch.from_numpy(targets)).solution
    return np.hstack([scaled[rows], np.ones((len(rows), 1))]) @ solution.numpy()


@pytest.mark.parametrize("dimensions", [5, 60])
def test_left_out_scores_are_those_of_solving_again_without_the_group(dimensions: int) -> None:
    features, labels = data(dimensions=dimensions)
    groups = [f"s{i % 7}" for i in range(len(labels))]
    found = fit(features, labels, 3, groups)
    for name in set(groups):
        rows = np.array([i for i, group in enumerate(groups) if group == name])
        expected = solved_again(features, labels, 3, found.penalty, rows)
        assert found.left_out[rows] == pytest.approx(expected, abs=1e-8)


def test_the_penalty_is_the_one_whose_left_out_error_is_least() -> None:
    features, labels = data()
    groups = [str(i % 10) for i in range(len(labels))]
    found = fit(features, labels, 3, groups)
    errors = []
    for penalty in PENALTIES:
        error = 0.0
        for name in set(groups):
            rows = np.array([i for i, group in enumerate(groups) if group == name])
            error += ((solved_again(features, labels, 3, penalty, rows) - np.eye(3)[labels[rows]]) ** 2).sum()
        errors.append(error)
    assert found.penalty == PENALTIES[int(np.argmin(errors))]


def test_scores_of_the_training_videos_are_the_ridge_solution() -> None:
    features, labels = data()
    found = fit(features, labels, 3, [str(i) for i in range(len(labels))])
    scaled = (features - features.mean(0)) / features.std(0) / np.sqrt(features.shape[1])
    targets = np.eye(3)[labels]
    gram = scaled.T @ scaled + found.penalty * np.eye(scaled.shape[1])
    weight = np.linalg.solve(gram, scaled.T @ (targets - targets.mean(0)))
    assert found.scores(features) == pytest.approx(scaled @ weight + targets.mean(0), abs=1e-8)
    assert np.exp(found.log_probabilities(features)).sum(1) == pytest.approx(1, abs=1e-5)


def test_scale_and_constant_features_make_no_difference() -> None:
    features, labels = data()
    groups = [str(i % 8) for i in range(len(labels))]
    plain = fit(features, labels, 3, groups)
    odd = np.hstack([features * np.geomspace(1e-3, 1e4, features.shape[1]) + 5, np.full((len(labels), 4), 7.0)])
    assert fit(odd, labels, 3, groups).scores(odd) == pytest.approx(plain.scores(features), abs=1e-6)


def test_what_separates_is_found_and_what_is_noise_is_not() -> None:
    rng = np.random.default_rng(1)
    labels = np.arange(60) % 3
    noise = rng.normal(size=(60, 300))
    groups = [str(i // 3) for i in range(60)]
    blind = fit(noise, labels, 3, groups)
    assert (blind.left_out.argmax(1) == labels).mean() < 0.6 and blind.temperature > 0.3
    telling = np.hstack([noise, np.repeat(np.eye(3)[labels], 40, axis=1)])
    seen = fit(telling, labels, 3, groups)
    assert (seen.left_out.argmax(1) == labels).mean() > 0.9 and seen.temperature < blind.temperature


def test_a_single_group_cannot_be_left_out() -> None:
    features, labels = data()
    with pytest.raises(ValueError, match="1 group of videos; allowed: two or more"):
        fit(features, labels, 3, ["a"] * len(labels))


def test_twins_in_two_groups_do_not_break_it() -> None:
    features, labels = data()
    twice = fit(np.vstack([features] * 2), np.hstack([labels] * 2), 3, [str(i) for i in range(2 * len(labels))])
    assert isinstance(twice, LinearClassifier) and np.isfinite(twice.left_out).all()
