"""The classifier that trained weights get for other classes: a linear one in closed form, before anything is trained.

A drawn classifier throws away at first what the weights know, since its gradients go through all of the network. The
solution of a regularised regression on the training clips is what `nas probe` judges weights by; on a network's logits
it is, with its old classifier, one linear layer again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

import video
from networks import Network
from training.data_parts import Selection
from training.evaluation import linear
from training.evaluation.predictions import for_inference, logits_of

MANY_CLASSES = 100
"""Classes of a network from which on its logits are its features, else what its classifier sees; see docs/probe.md."""

MOST_CLIPS, BATCH = 2048, 8
"""Training clips that a classifier is solved on, at most (the system has one equation a clip), and how many at once."""

SOFT = 0.5
"""Temperature of a solved classifier that is to be trained. With the one that left-out groups choose, about a tenth of
it, the first steps answer for the few clips on which the solution is sure and wrong, and the features are gone."""


def says_much(network: Network) -> bool:
    """Whether a network's logits are its features."""
    classes: int = network.architecture.classes
    return classes >= MANY_CLASSES


@torch.no_grad()
def solve_(
    network: Network, old: Network, source: Selection, parts: Sequence[str], temperature: float | None = None
) -> tuple[int, int]:
    """Gives a network the classifier that a ridge regression finds on training clips, as they are scored.

    Args:
        network: with the trained weights everywhere but in its classifier, which is set.
        old: the network that these are from.
        source: the data.
        parts: of it, to learn from.
        temperature: that its scores are divided by; None for what left-out groups choose, for a network that answers.

    Returns:
        How many of these clips are right where their group is left out of the solution, and how many they are.
    """
    hidden, last, own = network.hidden_copy(), old.last_linear(), network.last_linear()
    assert hidden is not None and last is not None and own is not None, "a family without a classifier of its own"
    body = for_inference(hidden)
    every = [(part, index) for part in parts for index in range(source.parts[part])]
    spread = np.linspace(0, len(every) - 1, min(len(every), MOST_CLIPS)).round().astype(np.int64)
    chosen = {part: [index for own, index in (every[i] for i in np.unique(spread)) if own == part] for part in parts}
    requests = [
        video.Request(part, some[i : i + BATCH]) for part, some in chosen.items() for i in range(0, len(some), BATCH)
    ]
    rows = [logits_of(body.logits, clips).double() for clips, _ in video.batches(source, requests)]
    features = torch.cat(rows)
    weight, bias = last.weight.double().cpu(), last.bias.double().cpu()
    if says_much(old):
        features = features @ weight.T + bias
    groups = [source.groups(part)[i] for part, some in chosen.items() for i in some]
    labels = np.concatenate([source.labels(part)[some] for part, some in chosen.items()])
    found = linear.fit(features.numpy(), labels, len(source.classes), groups)
    solved, constant = torch.from_numpy(found.weight).T, torch.from_numpy(found.bias)
    if says_much(old):
        solved, constant = solved @ weight, solved @ bias + constant
    divisor = temperature or found.temperature
    own.weight.copy_(solved / divisor)
    own.bias.copy_(constant / divisor)
    return int((found.left_out.argmax(1) == labels).sum()), len(labels)
