"""What a network answered on labelled videos, and every figure that follows from it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from controller.front import wilson

CALIBRATION_BINS = 15
"""Bins of equal width over the confidence, as Guo et al. (arXiv 1706.04599) use."""


@dataclasses.dataclass(frozen=True, slots=True)
class Score:
    """What a network did on some clips.

    Attributes:
        clips: how many.
        correct: how many of them were right; where a clip has several crops, they vote together.
        loss: mean cross-entropy, nats.
    """

    clips: int
    correct: int
    loss: float

    @property
    def accuracy(self) -> float:
        """In [0, 1]."""
        return self.correct / self.clips


@dataclasses.dataclass(frozen=True, eq=False)
class Scores:
    """Answers, one row a video.

    Attributes:
        labels: the truth, int64 [N].
        log_probabilities: natural logarithms, float32 [N, classes].
    """

    labels: npt.NDArray[np.int64]
    log_probabilities: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        assert len(self.labels) == len(self.log_probabilities) > 0

    @property
    def clips(self) -> int:
        """How many videos."""
        return len(self.labels)

    @property
    def answers(self) -> npt.NDArray[np.int64]:
        """The likeliest class of each, [N]."""
        answers: npt.NDArray[np.int64] = self.log_probabilities.argmax(axis=1)
        return answers

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """Whether each answer is the truth, [N]; what is not a number, as of a network that diverged, never is."""
        right: npt.NDArray[np.bool_] = (self.answers == self.labels) & ~np.isnan(self.losses)
        return right

    @property
    def correct(self) -> int:
        """How many are."""
        return int(self.right.sum())

    @property
    def accuracy(self) -> float:
        """In [0, 1]."""
        return self.correct / self.clips

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the accuracy (Wilson)."""
        low, high = wilson(self.accuracy, self.clips)
        return float(low), float(high)

    @property
    def losses(self) -> npt.NDArray[np.float64]:
        """Cross-entropy of each, nats, [N]."""
        own = np.take_along_axis(self.log_probabilities, self.labels[:, None], axis=1)[:, 0]
        return -own.astype(np.float64)

    @property
    def loss(self) -> float:
        """Mean cross-entropy, nats."""
        return math.fsum(self.losses) / self.clips

    @property
    def score(self) -> Score:
        """The three numbers that a search keeps."""
        return Score(self.clips, self.correct, self.loss)

    def top(self, k: int) -> float:
        """Share of videos whose truth is among the k likeliest classes; of equal ones the lower index goes first."""
        own = np.take_along_axis(self.log_probabilities, self.labels[:, None], axis=1)
        before = np.arange(self.log_probabilities.shape[1]) < self.labels[:, None]
        ahead = (self.log_probabilities > own) | ((self.log_probabilities == own) & before)
        return float(((ahead.sum(axis=1) < k) & ~np.isnan(self.losses)).mean())

    def class_accuracies(self) -> npt.NDArray[np.float64]:
        """Accuracy on the videos of each class, [classes]; NaN for a class without any."""
        return self.accuracies(np.arange(self.log_probabilities.shape[1]))

    def accuracies(self, groups: Sequence[int] | npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Accuracy on the videos of each group of classes, [groups]; NaN for a group without any.

        Args:
            groups: of each class, from 0 on, [classes].
        """
        index = np.asarray(groups)
        count = int(index.max()) + 1
        clips = np.bincount(index[self.labels], minlength=count)
        right = np.bincount(index[self.labels], weights=self.right, minlength=count)
        shares: npt.NDArray[np.float64] = np.divide(right, clips, out=np.full(count, np.nan), where=clips > 0)
        return shares

    @property
    def mean_class_accuracy(self) -> float:
        """Mean over the classes that have videos: what accuracy is where all classes are equally frequent."""
        return float(np.nanmean(self.class_accuracies()))

    def calibration_error(self, bins: int = CALIBRATION_BINS) -> float:
        """Expected calibration error: the mean distance of confidence and accuracy in bins of equal confidence.

        Guo et al., arXiv 1706.04599, equation 3; a confidence on an edge belongs to the bin below it. NaN where an
        answer is.
        """
        if np.isnan(self.log_probabilities).any():
            return math.nan
        confidence = np.exp(self.log_probabilities.max(axis=1).astype(np.float64))
        index = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
        gap = np.bincount(index, weights=confidence, minlength=bins) - np.bincount(
            index, weights=self.right, minlength=bins
        )
        return float(np.abs(gap).sum() / self.clips)

    def confusion(self) -> npt.NDArray[np.int64]:
        """How many videos of each class (rows) got each answer (columns), [classes, classes]."""
        classes = self.log_probabilities.shape[1]
        return np.bincount(self.labels * classes + self.answers, minlength=classes**2).reshape(classes, classes)

    def stored_metrics(self) -> dict[str, float]:
        """What a checkpoint and a summary store of the figures: those that are finite."""
        found = {**self.metrics(), "clips": self.clips}
        names = ("accuracy", "top5", "mean_class_accuracy", "calibration_error", "loss", "clips")
        return {name: found[name] for name in names if math.isfinite(found[name])}

    def metrics(self) -> dict[str, Any]:
        """All figures, plain data."""
        low, high = self.interval
        return {
            "videos": self.clips,
            "accuracy": self.accuracy,
            "low": low,
            "high": high,
            "top5": self.top(5),
            "mean_class_accuracy": self.mean_class_accuracy,
            "calibration_error": self.calibration_error(),
            "loss": self.loss,
        }
