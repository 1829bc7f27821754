"""Ask and tell: the one interface of everything that chooses architectures.

Call order: `ask(count)`, then `tell` with the rewards of exactly these rows, then `ask` again. `state()` may be taken
at any point, also between the two; a searcher of the same arguments that `restore`s it continues identically. No
generator state is saved: what is drawn at a step depends on (seed, step) and on what was learned so far.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from controller.arrays import Choices, Flags, Floats, generator
from controller.policy import Policy
from controller.repair import describe, try_repair
from controller.window import Window
from searchspace.decisions import Decisions
from searchspace.stored import COUNT, Maybe, Whole, conform

Known: TypeAlias = Callable[[Choices], Floats]
"""Part of rewards that follows from the choices alone, [N, D] -> [N]."""

# Draws at most per architecture asked for, before what is left is repaired into the window.
TRIES = 64


class Searcher(ABC):
    """Chooses architectures and learns from their rewards.

    Args:
        decisions: the space.
        seed: of everything random here.
        start: the distribution to draw from before anything is known, uniform by default.
        window: where given, every architecture asked for lies inside it.

    Attributes:
        step: number of finished ask/tell rounds.
    """

    name: ClassVar[str]
    learns_policy: ClassVar[bool] = False
    """Whether `policy` is learned, so that it may come to prefer one architecture too early (`controller.watch`)."""
    takes: ClassVar[tuple[str, ...]] = ()
    """What it is made with beside the arguments of all searchers, of what `controller.searchers.create` has to give."""

    def __init__(
        self,
        decisions: Decisions,
        *,
        seed: int,
        start: Sequence[Floats] | None = None,
        window: Window | None = None,
    ) -> None:
        generator(seed, self.name)  # a bad seed fails here
        self.decisions, self.seed, self.window = decisions, seed, window
        self.start = Policy.of(decisions, decisions.uniform() if start is None else start)
        self.step = 0
        self._pending: int | None = None

    def ask(self, count: int) -> Choices:
        """The architectures of the next step, canonical int8 [count, D].

        Raises:
            ValueError: the rewards of the step before were not told, or the window cannot be reached.
        """
        if self._pending is not None:
            raise ValueError(f"ask after ask: tell the {self._pending} rewards of step {self.step} first")
        if count < 1:
            raise ValueError(f"ask({count}): at least one architecture")
        choices = self._propose(count)
        self._pending = count
        return choices

    def tell(
        self,
        choices: Choices,
        quality: NDArray[Any],
        reward: NDArray[Any],
        *,
        progress: float,
        replaced: Flags | None = None,
        learn: bool = True,
    ) -> None:
        """Learn from the rewards of the architectures asked for last, and go on to the next step.

        Args:
            choices: what ran, [K, D]: what `ask` gave, except for decisions that a warm-up replaced.
            quality: accuracies, [K].
            reward: what to maximise, [K].
            progress: finished part of the search, in [0, 1].
            replaced: decisions that the warm-up set in place of the searcher, [K, D]; nothing is learned of them.
            learn: False where these rewards say nothing yet; the step counts all the same.

        Raises:
            ValueError: no architectures were asked for, other shapes than asked for, or rewards that are not finite.
        """
        if self._pending is None:
            raise ValueError("tell before ask: ask for architectures first")
        shape = (self._pending, len(self.decisions))
        quality, reward = np.asarray(quality, dtype=np.float64), np.asarray(reward, dtype=np.float64)
        if choices.shape != shape or quality.shape != shape[:1] or reward.shape != shape[:1]:
            raise ValueError(
                f"told choices {choices.shape}, quality {quality.shape}, reward {reward.shape}: "
                f"asked for {shape[0]} architectures of {shape[1]} decisions"
            )
        if not (np.isfinite(reward).all() and np.isfinite(quality).all()):
            raise ValueError("a told quality or reward is not finite: the weights may have diverged; lower their rate")
        mask = np.zeros(shape, dtype=bool) if replaced is None else np.asarray(replaced, dtype=bool)
        if learn:
            self._learn(self.decisions.canonical(choices), quality, reward, progress, mask)
        self.step += 1
        self._pending = None

    def state(self) -> dict[str, Any]:
        """Everything that was learned, JSON-able and exact."""
        return {"searcher": self.name, "seed": self.seed, "step": self.step, "pending": self._pending, **self._state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from `state()`.

        Raises:
            ValueError: the state of another searcher, seed or space, or a damaged one.
            KeyError: it is not whole.
        """
        conform(state, {"step": COUNT, "pending": Maybe(Whole(1))}, "searcher")
        for key, own in (("searcher", self.name), ("seed", self.seed)):
            if state[key] != own:
                raise ValueError(f"state of {key} {state[key]!r} cannot continue {key} {own!r}")
        self.step, self._pending = state["step"], state["pending"]
        self._restore(state)

    @property
    @abstractmethod
    def policy(self) -> Policy:
        """The distribution that this searcher draws from now."""

    @abstractmethod
    def favourite(self) -> Choices:
        """The one architecture that the searcher would name itself, canonical [D]; in no window for sure."""

    @abstractmethod
    def samples(self, rng: np.random.Generator, count: int) -> Choices:
        """Architectures as the searcher would choose them now, [count, D]; no window, nothing is learned."""

    @abstractmethod
    def _propose(self, count: int) -> Choices: ...

    @abstractmethod
    def _learn(self, choices: Choices, quality: Floats, reward: Floats, progress: float, replaced: Flags) -> None: ...

    @abstractmethod
    def _state(self) -> dict[str, Any]: ...

    @abstractmethod
    def _restore(self, state: dict[str, Any]) -> None: ...


def draw(policy: Policy, rng: np.random.Generator, count: int, window: Window | None) -> Choices:
    """Samples of a policy in a window: by bounded rejection, what is missing by repair, [count, D].

    Raises:
        ValueError: neither finds any architecture in the window.
    """
    if window is None:
        return policy.sample(rng, count)
    accepted, _ = rejection(policy, rng, count, window, count)
    if len(accepted) < count:
        rest = policy.sample(rng, count - len(accepted))
        found = try_repair(policy.decisions, rest, window, prefer=policy.preference)
        accepted = np.concatenate([accepted, found.choices[found.inside]])
    if not len(accepted):
        raise ValueError(f"no architecture within {describe(window)} was found; widen the window or change the budget")
    return accepted[np.arange(count) % len(accepted)]


def rejection(policy: Policy, rng: np.random.Generator, count: int, window: Window, enough: int) -> tuple[Choices, int]:
    """Draws until `enough` samples lie in the window, at most `TRIES` rounds.

    Args:
        policy: what to draw from.
        rng: generator.
        count: a round draws four times as many, at least 64.
        window: what to accept.
        enough: when to stop.

    Returns:
        All accepted samples in the order of drawing, and how many were drawn.
    """
    size = max(64, 4 * count)
    kept: list[Choices] = []
    drawn = found = 0
    for _ in range(TRIES):
        batch = policy.sample(rng, size)
        drawn += size
        kept.append(batch[window.contains(batch)])
        found += len(kept[-1])
        if found >= enough:
            break
    return np.concatenate(kept), drawn
