"""Ensembles of small networks with live weights."""

from __future__ import annotations

import dataclasses

import torch

from networks import TemporalEnsemble
from searchspace import STREAM, Architecture, Clip, Ensemble, Form, Head, Member
from tests.networks.live_networks import randomise_, small

POSITIONS = dataclasses.replace(STREAM, position_encoding=True)


def single(form: Form = STREAM, width: int = 48, clip: Clip | None = None) -> Architecture:
    """The small network in a form; members of one ensemble may differ in `width` and `clip`."""
    base = small()
    return dataclasses.replace(base, form=form, head=Head(base.head.width, width), clip=clip or base.clip)


def uneven(form: Form = STREAM) -> Ensemble:
    """As A6: every third frame, smaller, and every second one later; frames 2 and 4 of six are nobody's."""
    slow = single(form, clip=Clip(4, 20, 24, 10))
    fast = single(POSITIONS if form.causal else form, 32, Clip(6, 24, 24, 15))
    return Ensemble("uneven", Clip(12, 24, 24, 30), (Member(slow, 0), Member(fast, 1)))


def turns(count: int, form: Form = STREAM) -> Ensemble:
    return Ensemble.interleave([single(form, 16 * (i + 1)) for i in range(count)])


def live_ensemble(ensemble: Ensemble) -> TemporalEnsemble:
    network = TemporalEnsemble(ensemble, torch.Generator().manual_seed(0)).eval()
    for i, member in enumerate(network.members):
        randomise_(member, i)
    return network


ENSEMBLES = {"one": turns(1), "two": turns(2), "three": turns(3), "uneven": uneven()}
