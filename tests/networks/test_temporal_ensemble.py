"""Networks of ensembles: who sees which frames, clips equal any chunking, streams that start at different times."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor

import networks
import searchspace
from networks import Stream, TemporalEnsemble
from searchspace import STREAM, Form, cost, published
from tests.networks.live_ensembles import ENSEMBLES, live_ensemble, turns, uneven
from tests.networks.live_networks import (
    CHUNKS,
    assert_any_chunking,
    assert_close,
    floats,
    frames,
    on_meta,
    run,
)


def expected(network: TemporalEnsemble, clip: Tensor) -> Tensor:
    """By the definition: every member alone on its frames, each frame scaled by itself, and the mean of who saw any."""
    ensemble, answers = network.architecture, []
    for i, (member, own) in enumerate(zip(network.networks(), ensemble.members, strict=True)):
        step = ensemble.clip.fps / own.architecture.clip.fps
        taken = [t for t in range(clip.shape[2]) if (t - own.offset) % step == 0 and t >= own.offset]
        if taken:
            size = ensemble.size(i, *clip.shape[3:])
            seen = torch.stack([F.interpolate(clip[:, :, t], size, mode="bilinear") for t in taken], 2)
            logits = member(seen)
            answers.append(logits[0] if member.streams else logits)
    return torch.stack(answers).mean(0)


# --------------------------------------------------------------------------------------------------------------- clips


@pytest.mark.parametrize("form", [Form(), Form(causal=True), STREAM])
@pytest.mark.parametrize("length", [1, 2, 3, 12])
def test_clips(form: Form, length: int) -> None:
    for ensemble in (turns(1, form), turns(2, form), turns(3, form), uneven(form)):
        network, clip = live_ensemble(ensemble), frames(2, length, 24, 24)
        with torch.no_grad():
            ours = network(clip)
            assert_close(ours[0] if form.causal else ours, expected(network, clip))


def test_members_see_frames_of_their_own() -> None:
    """A frame moves only the members that take it; one that nobody takes moves nothing."""
    network, clip = live_ensemble(uneven(Form())), frames(1, 12, 24, 24)
    with torch.no_grad():
        whole = network(clip)
        for t in range(12):
            changed = clip.clone()
            changed[:, :, t] = 1 - changed[:, :, t]
            assert bool((network(changed) != whole).any()) is (t % 3 == 0 or t % 2 == 1), t


def test_one_member_is_the_network_itself() -> None:
    network, clip = live_ensemble(turns(1, Form())), frames(2, 5, 24, 24)
    with torch.no_grad():
        torch.testing.assert_close(network(clip), network.networks()[0](clip), rtol=0, atol=0)


def test_logits_are_averaged_and_not_probabilities() -> None:
    network, clip = live_ensemble(turns(2, Form())), frames(1, 4, 24, 24)
    with torch.no_grad():
        logits = [member(clip[:, :, i::2]) for i, member in enumerate(network.networks())]
        of_logits = torch.stack(logits).mean(0).softmax(1)
        of_probabilities = torch.stack([one.softmax(1) for one in logits]).mean(0)
        assert_close(network(clip).softmax(1), of_logits)
    assert (of_logits - of_probabilities).abs().max() > 1e-3


def test_training_reaches_every_weight_of_every_member() -> None:
    certain = turns(2).map(lambda one: dataclasses.replace(one, dropout=0.0, drop_path=0.0))  # nothing is left out
    network = live_ensemble(certain).train()
    logits, _ = network(frames(2, 8, 24, 24))
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in network.parameters())


# ------------------------------------------------------------------------------------------------------------- streams


@pytest.mark.parametrize("name", ENSEMBLES)
def test_any_chunking(name: str) -> None:
    network, clip = live_ensemble(ENSEMBLES[name]), frames(2, 9, 24, 28)
    assert_any_chunking(network, clip, list(CHUNKS.values()))
    for chunks in ([1] * 9, [2, 4, 3]):
        seen = 0
        for chunk, logits in zip(chunks, run(network, clip, chunks)[0], strict=True):
            seen += chunk
            with torch.no_grad():
                assert_close(logits, expected(network, clip[:, :, :seen]))


@pytest.mark.parametrize("name", ENSEMBLES)
@pytest.mark.parametrize("chunks", [[1] * 7, [3, 4], [5, 1, 1]])
def test_streams_that_start_at_different_times(name: str, chunks: list[int]) -> None:
    """Rows reset after 2 and 3 frames, so that no two are at the same turn, go on as if they were alone."""
    network, clip = live_ensemble(ENSEMBLES[name]), frames(3, 10, 24, 24)
    with torch.no_grad():
        _, state = network(clip[:, :, :2], network.initial_state(3, 24, 24))
        state = network.reset(state, [1])
        _, state = network(clip[:, :, 2:3], state)
        state = network.reset(state, [2])
        assert state["frame_count"].tolist() == [3, 1, 0]
        state = networks.gather(state, [2, 0, 1])
        seen = 3
        for chunk in chunks:
            part = clip[[2, 0, 1], :, seen : seen + chunk]
            logits, state = network(part, state)
            seen += chunk
            for row, (own, start) in enumerate(((2, 3), (0, 0), (1, 2))):
                assert_close(logits[row], expected(network, clip[own : own + 1, :, start:seen])[0])
    assert state["frame_count"].tolist() == [7, 10, 8]


@pytest.mark.parametrize("part", ["frame_count", "member0_logits", "member1_logits", "member1_head_pool_buffer"])
def test_every_part_of_a_state_matters(part: str) -> None:
    network, clip = live_ensemble(turns(2)), frames(1, 4, 24, 24)
    _, state = run(network, clip, [4])
    with torch.no_grad():
        # two frames call both members, whose latest answers then do not matter; one frame calls the first only
        then = clip[:, :, :2] if part.endswith("buffer") else clip[:, :, :1]
        whole, _ = network(then, state)
        logits, _ = network(then, {**state, part: state[part] + 1})
    changes = part != "member0_logits"
    assert bool((logits - whole).abs().max() > 1e-5 * whole.abs().max()) is changes


def test_state_sizes_are_the_closed_form() -> None:
    a6 = published("a6", stream=True)
    network = on_meta(a6)
    assert sum(p.numel() for p in network.parameters()) == cost(a6).params == 49_632_116
    state = network.initial_state(1, 320, 320)
    assert 4 * floats(state) == cost(a6).state_bytes
    assert len(state) == 178 + 222 + 3
    assert state["member0_block1_layer0_stream_buffer"].shape[3:] == (37, 37)  # 290 halved thrice
    for ensemble in ENSEMBLES.values():
        state = on_meta(ensemble).initial_state(3, ensemble.clip.height, ensemble.clip.width)
        assert 4 * floats(state) == 3 * cost(ensemble).state_bytes
        assert {t.dtype for t in state.values()} == {torch.float32, torch.int32}


def test_push() -> None:
    network, clip = live_ensemble(uneven()), frames(2, 9, 24, 24)
    one, both = Stream(network, fps=30), Stream(network, memory=9)
    for t in range(9):
        with torch.no_grad():
            answer = expected(network, clip[:, :, : t + 1]).softmax(1)
        torch.testing.assert_close(one.push(clip[1, :, t]), answer[1], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(both.push(clip[:, :, t]), answer, rtol=1e-5, atol=1e-6)
    both.reset([1])
    again = both.push(clip[:, :, 0])[1]
    torch.testing.assert_close(again, Stream(network).push(clip[1, :, 0]), rtol=1e-5, atol=1e-6)
    with pytest.warns(UserWarning, match="frames come at 15 per second, network 'uneven' is meant for 30"):
        Stream(network, fps=15)


@pytest.mark.parametrize(("name", "memories"), [("uneven", (2, 3)), ("three", (2, 2, 2))])
def test_memory_is_shared_out(name: str, memories: tuple[int, ...]) -> None:
    """With a memory of 6 frames a member that takes every third forgets as alone with a memory of 2."""
    network, clip = live_ensemble(ENSEMBLES[name]), frames(1, 20, 24, 24)
    alone = [Stream(member, memory=memory) for member, memory in zip(network.networks(), memories, strict=True)]
    stream, latest = Stream(network, memory=6), {}
    for t in range(20):
        for i, own in enumerate(network.architecture.members):
            if (t - own.offset) % network.architecture.stride(i) == 0:
                seen = F.interpolate(clip[:, :, t], network.architecture.size(i, 24, 24), mode="bilinear")
                latest[i] = alone[i].push(seen).log()
        torch.testing.assert_close(
            stream.push(clip[:, :, t]), torch.stack([*latest.values()]).mean(0).softmax(1), rtol=1e-4, atol=1e-5
        )
        assert stream.state is not None and int(stream.state["frame_count"]) <= 12  # bounded, and the turns go on


# ----------------------------------------------------------------------------------------------------------- bad input


def test_states_that_do_not_fit() -> None:
    network = live_ensemble(turns(2))
    state, clip = network.initial_state(2, 24, 24), frames(2, 1, 24, 24)
    for changed, message in (
        ({"frame_count": None}, "state tensor 'frame_count' is missing; give a state of network 'small\\+small'"),
        ({"member1_logits": torch.zeros(2, 4)}, r"'member1_logits' has shape \[2, 4\], expected \[2, 5\]"),
        ({"member2_logits": torch.zeros(2, 5)}, "'member2_logits' belongs to no layer"),
        ({"frame_count": torch.zeros(2)}, r"'frame_count' of shape \[2\] has torch.float32, expected torch.int32"),
        ({"member0_head_pool_buffer": torch.full((2, 32), torch.inf)}, "'member0_head_pool_buffer' .* not finite"),
    ):
        bad = {name: tensor for name, tensor in {**state, **changed}.items() if tensor is not None}
        with pytest.raises(ValueError, match=message):
            network(clip, bad)
    with pytest.raises(ValueError, match=r"'frame_count' has shape \[2\], expected \[1\]"):
        network(clip[:1], state)
    with pytest.raises(ValueError, match="is missing"):
        network(clip, network.networks()[0].initial_state(2, 24, 24))
    with pytest.raises(ValueError, match="rows"):
        network.reset(state, [2])
    with pytest.raises(ValueError, match="is not causal and has no state"):
        live_ensemble(turns(2, Form())).initial_state(1, 24, 24)
    with pytest.raises(ValueError, match=r"'small\+small' is not causal, so it cannot stream"):
        Stream(live_ensemble(turns(2, Form())))


def test_clips_that_do_not_fit() -> None:
    network = live_ensemble(turns(2, Form()))
    with pytest.raises(ValueError, match=r"clip has shape \[3, 4, 24, 24\].*clip\[None\]"):
        network(frames(1, 4, 24, 24)[0])
    with pytest.raises(ValueError, match="not finite"):
        network(torch.full((1, 3, 4, 24, 24), torch.nan))
    with pytest.warns(UserWarning, match=r"clip of shape \[1, 3, 4, 24, 24\] has values from 0 to 255") as caught:
        network(255 * frames(1, 4, 24, 24).round())
    assert len(caught) == 1  # of the whole clip, and not once more of each member's


# ------------------------------------------------------------------------------------------------------------ creation


def test_creation(tmp_path: Path) -> None:
    with torch.device("meta"):
        network = networks.create("a6", stream=True, classes=7, gate="hard_sigmoid")
    assert isinstance(network, TemporalEnsemble)
    for member, name in zip(network.architecture.members, ("a4", "a5"), strict=True):
        wanted = published(name, stream=True)
        wanted = dataclasses.replace(wanted, classes=7, form=dataclasses.replace(wanted.form, gate="hard_sigmoid"))
        assert member.architecture == wanted
    turns(2, Form()).save(tmp_path / "arch.json")
    assert networks.create(tmp_path / "arch.json").architecture == turns(2, Form())
    assert networks.create(tmp_path / "arch.json", stream=True).streams
    with pytest.raises(ValueError, match=r"has no feature maps of its own; create its members"):
        networks.create(turns(2), features_only=True)


def test_weights(tmp_path: Path) -> None:
    network, clip = live_ensemble(turns(2, Form())), frames(1, 4, 24, 24)
    whole, parts = tmp_path / "all.safetensors", [tmp_path / f"{i}.safetensors" for i in range(2)]
    safetensors.torch.save_file(network.state_dict(), whole)
    for member, file in zip(network.members, parts, strict=True):
        safetensors.torch.save_file(member.state_dict(), file)
    with torch.no_grad():
        for weights in (whole, parts):
            again = networks.create(network.architecture, weights=weights).eval()
            assert torch.equal(again(clip), network(clip))
    with pytest.raises(ValueError, match=r"1 files of weights for network 'small\+small' of 2 members; give one file"):
        networks.create(network.architecture, weights=parts[:1])
    with pytest.raises(ValueError, match=r"1.safetensors: tensor 'dense.weight' has shape"):
        networks.create(network.architecture, weights=parts[::-1])


def test_one_untrained_member_is_said() -> None:
    network = live_ensemble(turns(2))
    assert not network.untrained
    with torch.no_grad():
        for layer in network.networks()[1].bottlenecks():
            layer.scale.zero_()
    with pytest.warns(UserWarning, match="has fresh weights"):
        Stream(network)


def test_published_ensemble_is_listed() -> None:
    assert "a6" in networks.list() and len(networks.list()) == len(searchspace.published_names()) + 1
