"""REINFORCE over independent categoricals, as in TuNAS, optionally conditioned on a window of costs as in TabNAS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from controller.adam import Adam, Schedule
from controller.arrays import Choices, Flags, Floats, generator
from controller.policy import Policy
from controller.repair import repair
from controller.searcher import Known, Searcher, rejection
from controller.window import Window
from searchspace.decisions import Decisions
from searchspace.stored import AMOUNT, conform

# Accepted samples that estimate the gradient of log P(window); more cost little, each is a row of arrays.
_ENOUGH = 64
# Free samples a step that the known part's gradient is averaged over; a few milliseconds.
_FREE = 256


class Baseline:
    """Exponential moving average without the bias of its start: a moving sum over a moving sum of weights.

    It is updated with a step's own mean reward before use, as in TuNAS.
    """

    def __init__(self, momentum: float = 0.95) -> None:
        self.momentum = momentum
        self.numerator = self.denominator = 0.0

    def update(self, value: float) -> float:
        """Takes a value in and gives the average."""
        self.numerator = self.momentum * self.numerator + (1 - self.momentum) * value
        self.denominator = self.momentum * self.denominator + (1 - self.momentum)
        return self.numerator / self.denominator


class Reinforce(Searcher):
    """The policy gradient: -(R - baseline) * grad log pi, through `Adam` at the rate of `schedule`.

    With a window, samples outside it are rejected, so that what is sampled is pi(a) / P(window); its gradient
    subtracts grad log P(window), estimated from the accepted samples: P(window) = sum of pi(a) over accepted a, so
    grad log P(window) = mean of grad log pi over samples of pi that are accepted (TabNAS). What is still missing after
    the bounded number of draws is repaired; the decisions that the repair changed have no gradient, since the policy
    did not choose them, just as decisions that a warm-up replaced.

    The cost's part of an additive reward is no observation: it is known of every architecture without a look. Where it
    is given as `known`, its gradient is averaged over many free samples and only the rest is learned from the looks:
    the same expected gradient, without the noise that one or a few architectures a step would bring (our choice; at
    one look a step the cost would otherwise drown in the noise of the accuracies).

    Args:
        decisions, seed, start, window: see `Searcher`.
        schedule: the rate over the search.
        known: the part of the told rewards that follows from the choices alone, [N, D] -> [N].
    """

    name: ClassVar[str] = "reinforce"
    learns_policy: ClassVar[bool] = True
    takes: ClassVar[tuple[str, ...]] = ("schedule", "known")

    def __init__(
        self,
        decisions: Decisions,
        *,
        seed: int,
        schedule: Schedule,
        start: Sequence[Floats] | None = None,
        window: Window | None = None,
        known: Known | None = None,
    ) -> None:
        super().__init__(decisions, seed=seed, start=start, window=window)
        self.schedule, self.known = schedule, known
        self._policy = Policy(decisions)
        self._policy.logits = self.start.logits.copy()
        self.adam = Adam(self._policy.logits.shape)
        self.baseline = Baseline()
        self._drawn: tuple[int, tuple[Choices, Flags, Choices]] | None = None

    @property
    def policy(self) -> Policy:
        """The learned policy."""
        return self._policy

    def favourite(self) -> Choices:
        """The argmax of every decision."""
        return self._policy.argmax()

    def samples(self, rng: np.random.Generator, count: int) -> Choices:
        """Samples of the policy, before any rejection."""
        return self._policy.sample(rng, count)

    def _propose(self, count: int) -> Choices:
        self._drawn = (self.step, self._draw(count))
        return self._drawn[1][0]

    def _draw(self, count: int) -> tuple[Choices, Flags, Choices]:
        """(choices, decisions changed by repair, accepted samples); a function of seed, step and policy."""
        rng = generator(self.seed, self.name, self.step)
        if self.window is None:
            choices = self._policy.sample(rng, count)
            return choices, np.zeros(choices.shape, dtype=bool), choices[:0]
        accepted, _ = rejection(self._policy, rng, count, self.window, max(count, _ENOUGH))
        choices = accepted[:count]
        changed = np.zeros(choices.shape, dtype=bool)
        if len(choices) < count:
            raw = self._policy.sample(rng, count - len(choices))
            mended = repair(self.decisions, raw, self.window, prefer=self._policy.preference).choices
            choices = np.concatenate([choices, mended])
            changed = np.concatenate([changed, mended != raw])
        return choices, changed, accepted

    def _learn(self, choices: Choices, quality: Floats, reward: Floats, progress: float, replaced: Flags) -> None:
        if self.known is not None:
            reward = reward - self.known(choices)
        advantage = reward - self.baseline.update(float(reward.mean()))
        rate = self.schedule.rate(progress)
        if rate == 0:
            # Our choice: TuNAS's second moment learns during the delay too. Its delay is long; in a short one the
            # gradients of replaced decisions, zeros, would leave it far too small for the first real steps.
            return
        counted, correction = ~replaced, np.zeros(1)
        if self.window is not None:
            # Drawn again after a restore between ask and tell, so that no state holds these arrays.
            kept = self._drawn
            _, changed, accepted = kept[1] if kept and kept[0] == self.step else self._draw(len(choices))
            counted &= ~changed
            if len(accepted):
                correction = self._policy.gradient(accepted).mean(axis=0) * counted[..., None]
        gradient = -advantage[:, None, None] * (self._policy.gradient(choices, counted) - correction)
        if self.known is not None:
            gradient = gradient - self._known_gradient(self.known)
        step = self.adam.step(gradient, rate)
        self._policy.logits = self._policy.logits + np.where(self._policy.valid, step, 0.0)

    def _known_gradient(self, known: Known) -> Floats:
        """Gradient of the expectation of what is known, [D, S], by the mean of its free samples as their baseline."""
        free = self._policy.sample(generator(self.seed, "known", self.step), _FREE)
        value = known(free)
        weight = (value - value.mean()) / (_FREE - 1)
        return np.asarray(np.tensordot(weight, self._policy.gradient(free), axes=1))

    def _state(self) -> dict[str, Any]:
        rows = zip(self._policy.logits, self.decisions.sizes, strict=True)
        return {
            "logits": [row[:size].tolist() for row, size in rows],
            "adam": self.adam.state(),
            "baseline": [self.baseline.numerator, self.baseline.denominator],
        }

    def _restore(self, state: dict[str, Any]) -> None:
        conform(state, {"logits": [[float]], "adam": dict, "baseline": (float, AMOUNT)}, "searcher")
        rows = state["logits"]
        if [len(row) for row in rows] != self.decisions.sizes.tolist():
            raise ValueError(f"state of {len(rows)} decisions does not fit a space of {len(self.decisions)}")
        self._drawn = None
        for index, row in enumerate(rows):
            self._policy.logits[index, : len(row)] = row
        self.adam.restore(state["adam"])
        self.baseline.numerator, self.baseline.denominator = state["baseline"]
