"""The policy: independent categoricals, one a decision, of which only the active ones of a sample count.

A decision of a layer that a sample leaves out has neither log-probability nor gradient there (TuNAS,
`controller.py`). Logits are kept in one matrix [D, S]; entries beyond a decision's size are minus infinity and have
probability 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from controller.arrays import Choices, Flags, Floats
from searchspace.decisions import Decisions

# A probability of exactly 0 would never be sampled again; a start that says 0 gets this instead.
_LEAST = 1e-9


class Policy:
    """Independent categoricals over `decisions`.

    Attributes:
        decisions: what is decided.
        logits: [D, S].
    """

    def __init__(self, decisions: Decisions) -> None:
        """Zero logits: uniform, as TuNAS starts."""
        self.decisions = decisions
        self.valid: Flags = np.arange(int(decisions.sizes.max(initial=1))) < decisions.sizes[:, None]
        self.logits: Floats = np.where(self.valid, 0.0, -np.inf)

    @classmethod
    def of(cls, decisions: Decisions, probabilities: Sequence[Floats]) -> Policy:
        """The policy that samples with these probabilities, one vector a decision.

        Raises:
            ValueError: vectors of the wrong number or length, negative or not summing to 1.
        """
        policy = cls(decisions)
        if [len(vector) for vector in probabilities] != decisions.sizes.tolist():
            raise ValueError(f"probabilities do not fit the {len(decisions)} decisions: give one vector each")
        for index, vector in enumerate(probabilities):
            if not (np.all(np.asarray(vector) >= 0) and abs(float(np.sum(vector)) - 1) < 1e-6):
                raise ValueError(f"probabilities of {decisions.paths[index]} must be positive, of sum 1: {vector}")
            logs = np.log(np.maximum(vector, _LEAST))
            policy.logits[index, : len(vector)] = logs - logs.mean()
        return policy

    def log_probabilities(self) -> Floats:
        """Logs of the probabilities, [D, S]."""
        shifted = self.logits - self.logits.max(axis=1, keepdims=True)
        return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))

    def matrix(self) -> Floats:
        """Probabilities, [D, S]; 0 beyond a decision's size."""
        return np.exp(self.log_probabilities())

    def probabilities(self) -> list[Floats]:
        """One vector a decision."""
        return [row[:size] for row, size in zip(self.matrix(), self.decisions.sizes, strict=True)]

    def sample(self, rng: np.random.Generator, count: int) -> Choices:
        """Canonical choices [count, D]."""
        return self.decisions.sample(rng, count, self.probabilities())

    def argmax(self) -> Choices:
        """The likeliest choice of every decision, canonical [D]. Its cost need not be near the target: see repair."""
        return self.decisions.canonical(self.logits.argmax(axis=1).astype(np.int8))

    def log_prob(self, choices: Choices, counted: Flags | None = None) -> Floats:
        """Log-probability of the active decisions, [N].

        Args:
            choices: [N, D].
            counted: [N, D], decisions that the policy chose itself; the others count as constants.
        """
        picked = self._picked(choices, self.log_probabilities())
        return np.asarray(np.where(self._counted(choices, counted), picked, 0.0).sum(axis=1))

    def preference(self, choices: Choices) -> Floats:
        """How far the active decisions are from their likeliest values, [N], at most 0.

        Unlike the log-probability it does not fall with the number of active decisions, so it can rank architectures
        of different depth as repairs of the argmax.
        """
        logs = self.log_probabilities()
        picked = self._picked(choices, logs - logs.max(axis=1, keepdims=True))
        return np.asarray(np.where(self._counted(choices, None), picked, 0.0).sum(axis=1))

    def gradient(self, choices: Choices, counted: Flags | None = None) -> Floats:
        """Gradient of each row's log-probability in the logits, [N, D, S]: one-hot minus probabilities where active."""
        one_hot = np.arange(self.logits.shape[1]) == choices[..., None]
        return np.asarray((one_hot - self.matrix()) * self._counted(choices, counted)[..., None])

    def entropies(self) -> Floats:
        """Entropy of each decision by itself, nats, [D]."""
        return entropies(self.matrix())

    def entropy(self) -> float:
        """Expected entropy of the active decisions, nats: each one's entropy times its probability of being active."""
        return float(activity(self.decisions, self.matrix()) @ self.entropies())

    def _picked(self, choices: Choices, values: Floats) -> Floats:
        return np.asarray(values[np.arange(len(self.decisions)), choices.astype(np.intp)])

    def _counted(self, choices: Choices, counted: Flags | None) -> Flags:
        active = self.decisions.active(choices)
        return active if counted is None else active & counted


def entropies(matrix: Floats) -> Floats:
    """Entropy of each row of a matrix of probabilities, nats."""
    logs = np.log(np.where(matrix > 0, matrix, 1.0))
    return np.asarray(-(matrix * logs).sum(axis=1))


def activity(decisions: Decisions, matrix: Floats) -> Floats:
    """Probability that each decision is active under independent choices, [D].

    Args:
        decisions: what is decided; a decision depends on at most one other, which is always active itself.
        matrix: probabilities, [D, S].
    """
    result = np.ones(len(decisions))
    tails = np.cumsum(matrix[:, ::-1], axis=1)[:, ::-1]  # P(choice >= c)
    for index, condition in enumerate(decisions.conditions):
        if condition is not None:
            result[index] = min(tails[condition], 1.0)
    return result
