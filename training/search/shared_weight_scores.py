"""Scores of architectures on the final weights, each on the same held-out clips, every one remembered on disk."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from searchspace import Architecture, Choices
from searchspace.stored import read_records
from training.evaluation.classification_scores import Score
from training.evaluation.predictions import count_right, predictions, to_clips
from training.run.formats import CHUNKS
from training.run.ledger import Ledger
from training.search.search_problem import Problem
from video import Source

CACHE_BYTES = 1_500_000_000
DIVERGED = 1e3
"""Nats that a clip counts for on whose chunk the loss is not finite: worse than any network that has not diverged."""

Forward = Callable[[torch.Tensor, Architecture], torch.Tensor]


class Scorer:
    """Scores architectures by clips that neither the weights nor the controller have seen.

    A part is cut into chunks of nearly equal size, whose composition never changes: BatchNorm uses a chunk's
    statistics, so two architectures are compared on exactly the same batches. What is asked for again is looked up;
    what a killed run had scored is read from its ledger.

    Args:
        problem: the search.
        forward: runs the network of an architecture on float clips [N, C, T, H, W] -> logits [N, classes].
        source: the data at the training clip.
        ledger: `scores.jsonl` of the run.
        part: which part of the data.
        views: temporal crops of each clip, whose probabilities are averaged.
        chunk: clips that run at once, about.
        device: where the network is.
        tick: called after every computed chunk with the number of clips that all networks have run on.
    """

    def __init__(
        self,
        problem: Problem,
        forward: Forward,
        source: Source,
        ledger: Ledger,
        *,
        part: str = "rescoring",
        views: int = 1,
        chunk: int = 64,
        device: str = "cpu",
        tick: Callable[[int], None] = lambda clips: None,
    ) -> None:
        self.problem, self.part, self.views = problem, part, views
        self._forward, self._source, self._ledger, self._device, self._tick = forward, source, ledger, device, tick
        self.size = source.parts[part]
        pieces = max(1, round(self.size / chunk))
        self._edges = [round(i * self.size / pieces) for i in range(pieces + 1)]
        self._labels = torch.tensor(source.labels(part), device=device)
        self._clips: dict[tuple[int, int], torch.Tensor] = {}
        self._known: dict[str, list[tuple[int, float]]] = {}
        self._said: set[tuple[str, str, int]] = set()
        for number, record in enumerate(read_records(ledger.path, CHUNKS), start=1):
            chunks = [(int(correct), float(loss)) for correct, loss in record["chunks"]]
            if len(chunks) > pieces:
                raise ValueError(f"{ledger.path}, line {number}: {len(chunks)} chunks, of {pieces}; remove the line")
            known = self._known.setdefault(record["choices"], [])
            if len(chunks) > len(known):
                known[:] = chunks
            self._said.add((record["purpose"], record["choices"], record["clips"]))

    def __call__(self, choices: Choices, clips: int, purpose: str) -> Score:
        """Scores one architecture.

        Args:
            choices: canonical int8 [D].
            clips: at least so many clips of the part, from its beginning, whole chunks; all where there are fewer.
            purpose: what for, in the ledger.
        """
        text = self.problem.space.decisions.encode(choices)
        known = self._known.setdefault(text, [])
        chunks = next((i for i, edge in enumerate(self._edges) if edge >= clips), len(self._edges) - 1)
        if len(known) < chunks:
            architecture = self.problem.space.architecture(choices)
            while len(known) < chunks:
                known.append(self._run(architecture, len(known)))
                self._tick(self.clips)
        taken = known[:chunks]
        count = self._edges[chunks]
        score = Score(count, sum(c for c, _ in taken), math.fsum(loss for _, loss in taken) / count)
        if (purpose, text, count) not in self._said:
            self._said.add((purpose, text, count))
            self._ledger.append_json(
                {
                    "purpose": purpose,
                    "choices": text,
                    "macs": int(self.problem.costs.macs(choices[None])[0]),
                    "clips": count,
                    "correct": score.correct,
                    "loss": score.loss,
                    "chunks": [[c, loss] for c, loss in taken],
                }
            )
        return score

    def covered(self, clips: int) -> int:
        """How many clips a score on `clips` of them takes: whole chunks."""
        return next((edge for edge in self._edges if edge >= clips), self.size)

    @property
    def clips(self) -> int:
        """Clips that networks have run on, those in the ledger included."""
        return sum(self._edges[len(known)] for known in self._known.values())

    def _run(self, architecture: Architecture, chunk: int) -> tuple[int, float]:
        """Correct clips and summed loss of one chunk."""
        views = (self._load(chunk, view) for view in range(self.views))
        (log,) = predictions(
            lambda clips: self._forward(clips, architecture), views, views=self.views, device=self._device
        )
        labels = self._labels[self._edges[chunk] : self._edges[chunk + 1]]
        correct, loss = count_right(log, labels)
        return correct, loss if math.isfinite(loss) else DIVERGED * len(labels)

    def _load(self, chunk: int, view: int) -> torch.Tensor:
        """Clips of a chunk, uint8 [N, C, T, H, W]; kept as long as there is room."""
        if (chunk, view) not in self._clips:
            indices = range(self._edges[chunk], self._edges[chunk + 1])
            clips = to_clips(self._source.batch(self.part, indices, view=view)[0])
            if (len(self._clips) + 1) * clips.nbytes > CACHE_BYTES:
                return clips
            self._clips[chunk, view] = clips
        return self._clips[chunk, view]
