"""Folded BatchNorm, unfolded on data: the same answers, and a network that training finds as it left it."""

import dataclasses
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import networks
from networks import MoViNet
from networks.moments import Moments
from searchspace import BASE, STREAM, Form
from tests.networks.live_networks import clips
from tests.networks.small_reference import small_reference
from tests.networks.weights.tflite_files import HARD, live
from tests.networks.weights.tflite_writer import write

SMOOTH = dataclasses.replace(STREAM, activation="relu6", dense_activation="relu6")


def folded(form: Form, folder: Path, seed: int = 0) -> MoViNet:
    """As a file for inference holds it, so that nothing of ours folds it; without draws in training."""
    architecture = dataclasses.replace(small_reference(form), dropout=0.0, drop_path=0.0)
    (folder / "folded.tflite").write_bytes(write(live(architecture, seed), 32, 32, 4))
    return networks.import_weights(folder / "folded.tflite", architecture).network


def close(one: Tensor, other: Tensor) -> float:
    """The largest difference, in parts of the largest number."""
    return float((one - other).abs().max() / one.abs().max())


def bright(count: int) -> Tensor:
    """Clips of one colour each with noise on it, so that networks see them differently; [N, 3, 5, 32, 32]."""
    colours = torch.rand(count, 3, 1, 1, 1, generator=torch.Generator().manual_seed(7))
    return (colours + 0.2 * (clips(count, 5, 32) - 0.5)).clamp(0, 1)


@pytest.mark.parametrize("form", [BASE, STREAM, HARD, SMOOTH])
def test_answers_stay_and_statistics_are_those_of_the_clips(form: Form, tmp_path: Path) -> None:
    network, data = folded(form, tmp_path), bright(12)
    assert networks.is_folded(network)
    with torch.no_grad():
        before = network.logits(data)
        assert networks.unfold_(network, data.split(5)) == 12
        assert close(before, network.logits(data)) < 1e-4 and not networks.is_folded(network) and not network.training
    seen = Moments()
    network.blocks[0].layers[0].expand.norm.observe = seen  # type: ignore[union-attr, index]
    with torch.no_grad():
        network.logits(data)
    norm = network.bottlenecks()[0].expand.norm
    mean, var = seen.result()
    torch.testing.assert_close(norm.running_mean.double(), mean, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(norm.running_var.double(), var, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("form", [BASE, STREAM])
def test_in_training_the_network_is_the_same(form: Form, tmp_path: Path) -> None:
    """A batch of the very clips has the statistics that were stored; the folded network becomes another one."""
    network, data = folded(form, tmp_path), bright(12)
    with torch.no_grad():
        answers = network.logits(data)
        lost = network.train().logits(data)
        network = folded(form, tmp_path)
        networks.unfold_(network, [data])
        kept = network.train().logits(data)
    assert close(answers, kept) < 1e-4 and close(answers, lost) > 0.3


@pytest.mark.parametrize("form", [BASE, STREAM])
def test_the_loss_falls_where_it_stayed(form: Form, tmp_path: Path) -> None:
    """Classes that the network tells apart by what it has learned; a rate at which nothing is learned anew."""
    data = bright(24)
    losses = {}
    for unfolded in (True, False):
        network = folded(form, tmp_path)
        with torch.no_grad():
            answers = network.logits(data)
            factor = 3 / answers.std(0)
            network.classifier.weight.mul_(factor[:, None])
            network.classifier.bias.sub_(answers.mean(0)).mul_(factor)
            labels = network.logits(data).argmax(1)
        if unfolded:
            networks.unfold_(network, [data])
        network.train()
        optimizer, of_steps = torch.optim.SGD(network.parameters(), 1e-3), []
        for _ in range(6):
            loss = F.cross_entropy(network.logits(data), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            of_steps.append(loss.item())
        losses[unfolded] = of_steps
    assert all(after < before for before, after in zip(losses[True], losses[True][1:], strict=False)), losses
    assert losses[True][0] < 0.6 and losses[True][-1] < 0.96 * losses[True][0], losses
    assert min(losses[False]) > 1.6, losses  # ln 5 = 1.61: as one that guesses


def test_what_is_not_folded_is_told_apart(tmp_path: Path) -> None:
    assert not networks.is_folded(networks.create(small_reference(BASE)))  # untrained: nothing to lose
    trained = live(small_reference(BASE))
    assert not networks.is_folded(trained)
    network = folded(BASE, tmp_path)
    with torch.no_grad():
        for module in network.modules():  # as others fold it: a variance of 1, undone by the weight
            if hasattr(module, "running_var"):
                module.running_var.fill_(1.0)
                module.weight.fill_((1 + 1e-3) ** 0.5)
    assert networks.is_folded(network)
    with torch.no_grad():
        network.stem.norm.running_mean[0] = 0.1
    assert not networks.is_folded(network)


def test_long_clips_of_a_causal_network_run_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames that follow one another see what came before, whatever the pieces are."""
    data = clips(2, 19, 32)
    found = []
    for frames in (3, 100):
        monkeypatch.setattr("networks.unfolding.FRAMES", frames)
        network = folded(STREAM, tmp_path)
        networks.unfold_(network, [data])
        found.append(network.state_dict())
    for name, tensor in found[0].items():
        torch.testing.assert_close(tensor, found[1][name], rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="no clips to unfold BatchNorm on"):
        networks.unfold_(network, [])
    assert all(module.observe is None for module in network.modules() if hasattr(module, "observe"))


def test_moments_of_pieces_are_those_of_all() -> None:
    values = 5 + torch.randn(3, 4, 5, 6, 7, generator=torch.Generator().manual_seed(0))
    pieces, whole = Moments(), Moments()
    for piece in values.split(1):
        pieces(piece)
    whole(values)
    for one, other in zip(pieces.result(), whole.result(), strict=True):
        torch.testing.assert_close(one, other)
    torch.testing.assert_close(whole.result()[1], values.double().var((0, 2, 3, 4), correction=0))
