"""Where the weights of a training come from: drawn, from a trained network, or from the shared weights of a search."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

import networks
from networks import Network
from searchspace import Architecture, NetworkSpec
from searchspace.schema import show
from searchspace.stored import naming
from training.data_parts import TRAIN, Selection
from training.recipe import Recipe
from training.retrain.recalibration import training_clips
from training.retrain.solved_classifier import SOFT, solve_
from training.run import CONFIG, SPACE, SearchRun, find_run
from training.search.search_config import SearchConfig
from training.search.search_problem import build
from training.search.supernet_steps import SupernetSteps
from training.seeds import derived, generator
from training.steps import checkpoint
from training.steps.trainer import prepare_scratch

UNFOLDING_CLIPS, UNFOLDING_BATCH = 48, 8
"""Clips on which folded BatchNorm is unfolded, and how many are read at once; see `networks.unfold_`."""


def check(init: str, members: Sequence[NetworkSpec]) -> None:
    """Refuses weights that the networks to train cannot start from, before anything is made.

    Args:
        init: see `training.retrain.retrain_config.RetrainConfig`.
        members: the networks, one or those of an ensemble; of any number of classes.

    Raises:
        ValueError: weights that are not there, are of another network, or of another number of networks.
    """
    if isinstance(find_run(init), SearchRun):
        return  # what its shared weights lack is known once the path is cut out of them
    trained = networks.load(init)
    for i, architecture in enumerate(members):
        given = _of_member(trained.network, init, i, len(members))
        _copy(networks.create(architecture, generator=torch.Generator()), given, init, classifier=False)


def start(
    architecture: NetworkSpec,
    recipe: Recipe,
    init: str | None,
    source: Selection,
    seed: int,
    member: int = 0,
    members: int = 1,
) -> tuple[Network, str]:
    """A network to train, and what to say of its weights.

    Args:
        architecture: with the data's number of classes.
        recipe: for residual scalars, from scratch only.
        init: see `training.retrain.retrain_config.RetrainConfig`.
        source: of training clips, part "train", for BatchNorm's statistics after a search, or where it is folded, and
            for a classifier of other classes.
        seed: of drawn weights.
        member: which one it is of the networks to train.
        members: how many these are; weights of as many go to one each.

    Raises:
        ValueError: weights that are not there or do not fit.
    """
    drawn = torch.Generator().manual_seed(derived(seed, "weights"))
    if init is None:
        network = networks.create(architecture, generator=drawn)
        prepare_scratch(network, recipe)
        return network, "weights: from scratch"
    run = find_run(init)
    if isinstance(run, SearchRun):
        return _extracted(architecture, run, source, seed)
    trained = networks.load(init)
    given = _of_member(trained.network, init, member, members)
    network = networks.create(architecture, generator=drawn)
    same = _knows(trained, source)
    _copy(network, given, init, classifier=same)
    text = f"weights: {init}"
    if networks.is_folded(network):
        clips = training_clips(source, TRAIN, UNFOLDING_CLIPS, UNFOLDING_BATCH, generator(seed, "unfolding"))
        text += f", BatchNorm unfolded on {networks.unfold_(network, clips)} clips, since it was folded"
    if len(trained.network.networks()) > 1:
        text += f", member {member + 1}"
    if not same and network.last_linear() is None:
        text += ", with a new classifier"
    elif not same:
        right, solved = solve_(network, given, source, (TRAIN,), SOFT)
        text += (
            f", with a new classifier ({_few(trained.classes)} before, {_few(source.classes)} now), solved on training "
            f"clips: {right:,} of {solved:,} right where their group is left out"
        )
    return network, text


def solve_again_(
    network: Network, init: str, source: Selection, parts: Sequence[str], member: int = 0, members: int = 1
) -> bool:
    """Solves the classifier of a network anew that training did not improve, on more clips than it could be chosen by.

    Args:
        network: with the weights that it started from.
        init, source, member, members: as of `start`.
        parts: of the data, to learn from.

    Returns:
        Whether there was one to solve: not where the weights knew the same classes, or are not there any more.
    """
    if isinstance(find_run(init), SearchRun) or not Path(init).exists():
        return False
    trained = networks.load(init)
    if _knows(trained, source) or network.last_linear() is None:
        return False
    solve_(network, _of_member(trained.network, init, member, members), source, parts)
    return True


def _knows(trained: networks.Trained, source: Selection) -> bool:
    """Whether a network's classes are those of the data; such without names are, if they are as many."""
    if all(name.isdigit() for name in trained.classes):
        return len(trained.classes) == len(source.classes)
    return trained.classes == source.classes


def _few(classes: tuple[str, ...]) -> str:
    return f"{len(classes)} classes: {', '.join(classes[:2])}, ..."


def _of_member(network: Network, where: str, member: int, members: int) -> Network:
    """Whose weights a network starts from: those of a single one go to each, those of several to one each."""
    given = network.networks()
    if len(given) not in (1, members):
        raise ValueError(
            f"{where} has weights of {len(given)} networks, {'one is' if members == 1 else f'{members} are'} to be "
            "trained; give those of one of them, or of as many"
        )
    return given[member if len(given) > 1 else 0]


def _copy(network: Network, given: Network, where: str, classifier: bool) -> None:
    """Copies all weights, those of the classifier only where it answers the same classes."""
    ours, theirs = network.state_dict(), given.state_dict()
    if network.architecture.computes != given.architecture.computes:
        raise ValueError(
            f"{where}: weights of {_kind(given, network)}, the network to train has {_kind(network, given)}; give the "
            "architecture of these weights, or --init none"
        )
    taken = [name for name in dict.fromkeys([*ours, *theirs]) if classifier or not name.startswith("classifier.")]
    for name in taken:
        if name not in ours or name not in theirs or ours[name].shape != theirs[name].shape:
            raise ValueError(
                f"{where}: weights of another network ({given.architecture.name!r}): tensor {name!r} does not fit "
                f"{network.architecture.name!r}; give weights of this architecture, or leave --init out"
            )
    network.load_state_dict({**ours, **{name: theirs[name] for name in taken}})


def _kind(network: Network, other: Network) -> str:
    """What sets the form of a network apart from that of another."""
    if network.architecture.causal != other.architecture.causal:
        return "the causal form" if network.architecture.causal else "the base form"
    own, theirs = network.architecture.computes, other.architecture.computes
    return ", ".join(f"{key} {show(value)}" for key, value in own.items() if value != theirs.get(key))


def _extracted(architecture: NetworkSpec, run: SearchRun, source: Selection, seed: int) -> tuple[Network, str]:
    """The path of the architecture in a search's shared weights, its BatchNorm recalibrated on training clips."""
    file = run.folder / SPACE
    space = {"space": str(file)} if file.exists() else {}
    with naming(run.folder / CONFIG):  # settings that came after the search do not change its weights
        settings = SearchConfig.resolve(**{**run.settings, **space, "device": "cpu"})
    built: list[SupernetSteps] = []

    def restore(found: checkpoint.Checkpoint) -> None:
        shared = found.tensors["supernet"]
        built[:] = [SupernetSteps(build(settings, len(shared["classifier.bias"])))]
        built[0].restore(shared)

    found, _ = checkpoint.load_newest(run.checkpoints, restore)
    if found is None:
        raise ValueError(f"{run.folder} has no checkpoint yet; go on with: {run.resume()}")
    (steps,) = built
    problem = steps.problem
    if not isinstance(architecture, Architecture):
        raise ValueError(f"{run.folder}: a search has no weights for family {architecture.family}; give --init none")
    own = architecture.with_classes(problem.space.classes)
    network = steps.extracted(own, source, TRAIN, seed)
    result = networks.create(architecture, generator=torch.Generator().manual_seed(derived(seed, "weights")))
    same = problem.space.classes == architecture.classes
    _copy(result, network, str(run.folder), classifier=same)
    text = f"weights: the shared ones of {run.folder} at step {found.step}, BatchNorm recalibrated"
    return result, text + ("" if same else ", with a new classifier")
