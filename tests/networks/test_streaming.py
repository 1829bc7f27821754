"""Causal networks: whole clips equal any chunking, no frame sees a later one, streams of a batch do not meet."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import networks
import searchspace
from networks import MoViNet
from searchspace import Form
from searchspace.form import WORDS
from tests.networks.live_networks import (
    CHUNKS,
    FORMS,
    assert_any_chunking,
    assert_close,
    frames,
    live,
    randomise_,
    run,
    slow,
    small,
)


@pytest.mark.parametrize("name", [slow(name, name in ("a4", "a5")) for name in searchspace.published_names()])
def test_published_networks_on_any_chunking(name: str) -> None:
    network = live(searchspace.published(name, stream=True))
    assert_any_chunking(network, frames(2, 9, 26, 20), list(CHUNKS.values()))


@pytest.mark.parametrize("seed", [slow(seed, seed >= 10) for seed in range(30)])
def test_random_networks_of_the_space(seed: int) -> None:
    """Every kernel, depth, width and squeeze-excitation of the space, in every causal form."""
    rng = np.random.default_rng(seed)
    space = searchspace.load("movinet")
    architecture = space.architecture(space.decisions.sample(rng, 1)[0])
    words = {key: str(rng.choice(allowed)) for key, allowed in WORDS.items() if key != "head_pool"}
    form = Form(causal=True, position_encoding=bool(rng.integers(2)), **words)
    architecture = dataclasses.replace(architecture.streaming(), form=form if seed % 3 else searchspace.STREAM)
    assert_any_chunking(live(architecture, seed), frames(2, 6, 17, 20, seed), [[1] * 6, [2, 1, 3]])


@pytest.mark.parametrize("form", FORMS)
def test_logits_are_of_the_frames_so_far(form: Form) -> None:
    network = live(dataclasses.replace(small(), form=form))
    clip = frames(2, 9, 24, 24)
    for chunks in CHUNKS.values():
        logits, _ = run(network, clip, chunks)
        seen = 0
        for chunk, ours in zip(chunks, logits, strict=True):
            seen += chunk
            with torch.no_grad():
                assert_close(ours, network(clip[:, :, :seen])[0])


@pytest.mark.parametrize("pool", ["2d", "none"])
@pytest.mark.parametrize("form", FORMS[1:3])
def test_answers_of_each_frame(form: Form, pool: str) -> None:
    """The classifier on what the head's pool leaves: each frame's mean, or each position; in chunks as in one piece."""
    network = live(dataclasses.replace(small(), form=dataclasses.replace(form, head_pool=pool)))
    clip = frames(2, 9, 24, 20)
    with torch.no_grad():
        whole, _ = network(clip)
        maps, _ = network.features(clip)
        x = maps["block2"].movedim(1, -1)
        conv, norm = network.head.weight, network.head.norm
        assert norm.running_mean is not None and norm.running_var is not None
        x = ((x @ conv.T) - norm.running_mean) / (norm.running_var + form.norm_eps).sqrt() * norm.weight + norm.bias
        x = F.hardswish(x) if form.activation == "hard_swish" else F.silu(x)
        x = x.mean((2, 3)) if pool == "2d" else x
        x = F.silu(x @ network.dense.weight.T + network.dense.bias)
        expected = (x @ network.classifier.weight.T + network.classifier.bias).movedim(-1, 1)
        assert_close(whole, expected)
        assert whole.shape == (2, network.architecture.classes, 9, *((3, 3) if pool == "none" else ()))
        assert_close(network.logits(clip), whole.flatten(2).mean(2))
    for chunks in CHUNKS.values():
        logits, state = run(network, clip, chunks)
        assert_close(torch.cat(logits, 2), whole)
        assert not any(name.startswith("head") for name in state)
    stream = networks.Stream(network)
    pushed = torch.stack([stream.push(frame) for frame in clip[0].unbind(1)], 1)
    assert_close(pushed, whole[0].softmax(0))


@pytest.mark.parametrize("form", [*FORMS, Form(), Form(convolution="2plus1d", squeeze_kind="2plus3d")])
def test_a_later_frame_changes_no_earlier_one(form: Form) -> None:
    """Maps of the last block, frame by frame; networks that are not causal must show the change before it."""
    network = live(dataclasses.replace(small(), form=form))
    clip = frames(1, 8, 24, 24)
    changed = clip.clone()
    changed[:, :, 5] = 1 - changed[:, :, 5]
    with torch.no_grad():
        given = [network.features(x) for x in (clip, changed)]
    one, other = (maps[0]["block2"] if form.causal else maps["block2"] for maps in given)
    moved = (one - other).abs().amax((0, 1, 3, 4)) > 0
    assert moved[5:].all()
    assert moved[:5].any().item() is not form.causal


def test_feature_maps_stream_too() -> None:
    """Other heads on the same state: maps of each chunk are those of the whole clip; the head's own state stays."""
    network = live(dataclasses.replace(small(), form=FORMS[-1]))
    clip = frames(2, 9, 24, 24)
    with torch.no_grad():
        whole, _ = network.features(clip)
        _, state = network(clip[:, :, :1])
        parts = []
        for chunk in clip[:, :, 1:].split([3, 1, 4], 2):
            maps, after = network.features(chunk, state)
            assert after.keys() == state.keys() and torch.equal(after["head_pool_buffer"], state["head_pool_buffer"])
            parts.append(maps)
            state = after
    assert list(whole) == ["stem", "block0", "block1", "block2"]
    for name, x in whole.items():
        assert_close(torch.cat([maps[name] for maps in parts], 2), x[:, :, 1:])


@pytest.mark.parametrize("part", ["stream_buffer", "pool_buffer", "pool_frame_count", "pos_enc_frame_count"])
def test_every_part_of_a_state_matters(part: str) -> None:
    """The proofs above could not see a part that nothing reads."""
    network = live(dataclasses.replace(small(), form=FORMS[-1]))
    clip = frames(1, 6, 24, 24)
    _, state = run(network, clip[:, :, :5], [5])
    names = [name for name in state if name.endswith(part)]
    assert len(names) >= 4
    with torch.no_grad():
        whole, _ = network(clip[:, :, 5:], state)
        for name in names:
            logits, _ = network.compute(clip[:, :, 5:], {**state, name: state[name] + 3})  # not checked
            assert (logits - whole).abs().max() > 1e-5 * whole.abs().max(), name


def test_every_branch_matters() -> None:
    network = live(searchspace.published("t0", stream=True))
    clip = frames(1, 3, 32, 32)
    with torch.no_grad():
        whole, _ = network(clip)
        for layer in network.bottlenecks():
            kept = layer.scale.clone()
            layer.scale.zero_()
            assert (network(clip)[0] - whole).abs().max() > 1e-3 * whole.abs().max()
            layer.scale.copy_(kept)


def test_streams_of_a_batch_are_alone() -> None:
    """Streams that start at other times, reset and move to other rows, equal streams that run alone."""
    network = live(searchspace.published("t0", stream=True))
    clip = frames(3, 6, 32, 24)
    alone = [run(network, clip[i : i + 1], [1] * 6) for i in range(3)]
    with torch.no_grad():
        _, state = network(clip[:, :, :2], network.initial_state(3, 32, 24))
        state = network.reset(state, [1])  # the second starts again, and sees its clip from the first frame on
        moved = clip[:, :, 2:5].clone()
        moved[1] = clip[1, :, :3]
        _, state = network(moved, state)
        order = [2, 1, 0]
        state = networks.gather(state, order)
        last = torch.stack([clip[2, :, 5:], clip[1, :, 3:4], clip[0, :, 5:]])
        logits, state = network(last, state)
    assert_close(logits[0:1], alone[2][0][5])
    assert_close(logits[1:2], alone[1][0][3])
    assert_close(logits[2:3], alone[0][0][5])
    assert state["head_pool_frame_count"].tolist() == [6, 4, 6]
    whole = network.reset(state)
    fresh = network.initial_state(3, 32, 24)
    assert all(torch.equal(whole[name], fresh[name]) for name in fresh)


def test_scatter_undoes_gather() -> None:
    network = live(dataclasses.replace(small(), form=FORMS[-1]))
    _, state = run(network, frames(3, 2, 24, 24), [2])
    rows = torch.tensor([2, 0])
    again = networks.scatter(state, rows, networks.gather(state, rows))
    assert all(torch.equal(again[name], state[name]) for name in state)
    swapped = networks.scatter(state, [0, 2], networks.gather(state, rows))
    assert all(torch.equal(swapped[name], state[name][[2, 1, 0]]) for name in state)
    with pytest.raises(ValueError, match=r"rows \[3\]; allowed: a list of rows from 0 to 2"):
        networks.gather(state, [3])
    with pytest.raises(ValueError, match=r"rows \[1, 1\]: each row at most once"):
        networks.scatter(state, [1, 1], networks.gather(state, rows))
    with pytest.raises(ValueError, match=r"'head_pool_buffer' to put in has shape \[3, 32\].*expected \[2, 32\]"):
        networks.scatter(state, rows, {**networks.gather(state, rows), "head_pool_buffer": state["head_pool_buffer"]})


def test_training_on_whole_clips_reaches_every_weight() -> None:
    """All weights get gradients, through (2+1)D convolutions and squeeze-excitation; of the scalars only, at zero."""
    architecture = dataclasses.replace(small(), form=FORMS[-1], dropout=0.0, drop_path=0.0)  # nothing is left out
    network = MoViNet(architecture, torch.Generator().manual_seed(0))
    fresh, _ = network(frames(2, 4, 24, 24))
    fresh.square().sum().backward()
    branch = ("expand", "depthwise", "temporal", "squeeze", "project")
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None
        inside = any(f".{part}." in name for part in branch)
        assert bool((parameter.grad == 0).all()) is inside, name
    randomise_(network)
    network.zero_grad()
    network(frames(2, 4, 24, 24))[0].square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("form", FORMS)
def test_fast_equals_reference(form: Form) -> None:
    network = live(dataclasses.replace(small(), form=form, dropout=0.0, drop_path=0.0)).double().train()
    clip = frames(2, 5, 25, 24).double()
    results = {}
    for name in ("fast", "reference"):
        network.zero_grad()
        with networks.formulation(name):
            logits, state = network(clip)
            logits.square().sum().backward()
        results[name] = (logits, state, [p.grad.clone() for p in network.parameters() if p.grad is not None])
    torch.testing.assert_close(*results.values())
