"""Successive halving: many candidates on few samples, few on many."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from controller.arrays import Choices

USUAL_STEPS = 1000
"""Steps of a search of minutes, for which the sizes below were chosen."""

_SIZES = ((64, 64), (16, 256), (4, 2000))
_LOCAL = (32, 256)
_LEAST_CANDIDATES = 4
_LEAST_SAMPLES = 64


class Rung(NamedTuple):
    """How many candidates are scored at most, and on how many samples (clips, images) each."""

    candidates: int
    samples: int


class Evaluation(NamedTuple):
    """What one candidate showed: mean loss (lower is better), accuracy in [0, 1], and on how many samples."""

    loss: float
    accuracy: float
    samples: int


Evaluate: TypeAlias = Callable[[Choices, Rung], Evaluation]
"""Scores one architecture [D] on a rung's samples. The same samples for every candidate of a rung."""


@dataclass(frozen=True)
class Plan:
    """Sizes of a final selection.

    Attributes:
        rungs: of the halving, first to last.
        local: the local search after it.
    """

    rungs: tuple[Rung, ...]
    local: Rung

    @property
    def samples(self) -> int:
        """Samples scored in all, at most: the local winner is scored on the last rung once more."""
        return sum(rung.candidates * rung.samples for rung in (*self.rungs, self.local)) + self.rungs[-1].samples


def plan(
    steps: int, resolution: int, frames: int = 8, available: int | None = None, usual_steps: int = USUAL_STEPS
) -> Plan:
    """Sizes from the length of the search and the size of a clip, never from a clock: a resumed run repeats them.

    At 8 x 32 x 32 and the usual number of steps 64 candidates are scored on 64 clips, 16 on 256 and 4 on 2,000, and 32
    neighbours on 256. Numbers of candidates go with steps over pixels of a clip (a quarter at 8 x 64 x 64), never
    above these; a shorter search also gets fewer clips, down to 64.

    Args:
        steps: of the search.
        resolution: height and width of a clip.
        frames: of a clip.
        available: clips (times crops) that there are to score on; a rung beyond them has no use and is dropped.
        usual_steps: what counts as full length.

    Raises:
        ValueError: a number below 1.
    """
    if min(steps, resolution, frames, usual_steps, 1 if available is None else available) < 1:
        raise ValueError(f"{steps} steps, {frames} x {resolution} clips, {available} available: all must be 1 or more")
    length = steps / usual_steps
    share = min(1.0, length * 8 * 32 * 32 / (frames * resolution**2))

    def scaled(candidates: int, samples: int, least: int) -> Rung:
        samples = samples if length >= 1 else max(_LEAST_SAMPLES, math.ceil(samples * length))
        samples = samples if available is None else min(samples, available)
        return Rung(max(least, round(candidates * share)), samples)

    rungs: list[Rung] = []
    for index, size in enumerate(_SIZES):
        rung = scaled(*size, _LEAST_CANDIDATES if index == 0 else 1)
        if not rungs or rung.samples > rungs[-1].samples:
            rungs.append(rung)
    return Plan(tuple(rungs), scaled(*_LOCAL, 1))


def within(samples: int, candidates: int, batch: int = 1) -> Plan:
    """Sizes that a total number of samples allows, where what a candidate was scored on before counts on later rungs.

    Sequential halving (Karnin, Koren and Somekh, ICML 2013): each rung keeps half of the candidates and gets the same
    share of the samples, so that the last few are told apart on many. One more share goes to the neighbours of the
    winner, and one to scoring the best of these like the winner.

    Args:
        samples: in all.
        candidates: of the first rung, at most.
        batch: samples come in multiples of this.

    Raises:
        ValueError: too few samples for a batch a candidate.
    """
    if candidates < 1 or batch < 1:
        raise ValueError(f"{candidates} candidates in batches of {batch}: both must be 1 or more")
    counts = [candidates]
    while counts[-1] >= _LEAST_CANDIDATES:
        counts.append(counts[-1] // 2)
    share = samples // (len(counts) + 2)
    neighbours = min(candidates, _LOCAL[0])
    if share < candidates * batch:
        least = (len(counts) + 2) * candidates * batch
        raise ValueError(f"{samples:,} samples are too few for {candidates} candidates: give at least {least:,}")
    rungs, total = [], 0
    for count in counts:
        total += share // count // batch * batch
        rungs.append(Rung(count, total))
    return Plan(tuple(rungs), Rung(neighbours, share // neighbours // batch * batch))


@dataclass(frozen=True)
class Halving:
    """What a halving saw.

    Attributes:
        winner: index of the best candidate of the last rung.
        history: for each rung the scored candidates with their evaluations, best first.
    """

    winner: int
    history: tuple[tuple[Rung, tuple[tuple[int, Evaluation], ...]], ...]


def halve(candidates: Choices, score: Evaluate, rungs: Sequence[Rung]) -> Halving:
    """Scores the candidates rung by rung; the best of each go on to the next.

    Order is by loss, since accuracy saturates, then by accuracy, then by position; a loss that is not a number is
    last.

    Args:
        candidates: [N, D]; where the first rung takes fewer, the first ones.
        score: see `Evaluate`.
        rungs: at least one.

    Raises:
        ValueError: no candidates or no rungs.
    """
    if not len(candidates) or not rungs:
        raise ValueError(f"{len(candidates)} candidates and {len(rungs)} rungs: halving needs at least one of each")
    order = list(range(len(candidates)))
    history = []
    for rung in rungs:
        scored = [(index, score(candidates[index], rung)) for index in order[: max(1, rung.candidates)]]
        scored.sort(key=lambda entry: (*rank(entry[1]), entry[0]))
        history.append((rung, tuple(scored)))
        order = [index for index, _ in scored]
    return Halving(order[0], tuple(history))


def rank(evaluation: Evaluation) -> tuple[float, float]:
    """Sort key: lower is better."""
    return (math.inf if math.isnan(evaluation.loss) else evaluation.loss, -evaluation.accuracy)
