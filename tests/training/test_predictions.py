"""Predictions of a network or any function: views, progress, stopping, and frames one by one."""

import pytest
import torch
import torch.nn.functional as F

import video
from tests.training.networks_of_seconds import batch, network
from training.evaluation.predictions import logits_of, predictions, stream


def classes(clips: torch.Tensor) -> torch.Tensor:
    """A function in place of a network."""
    return clips.mean((2, 3, 4)) @ torch.arange(15.0).reshape(3, 5).sin() * 9


def test_batches_in_a_row_are_views_of_the_same_clips() -> None:
    clips = [batch(seed, clips=3)[0] for seed in range(6)]
    singles = [F.softmax(classes(video.to_float(some)), 1) for some in clips]
    for views in (1, 2, 3):
        found = list(predictions(classes, iter(clips), views=views))
        means = [torch.stack(singles[at : at + views]).mean(0) for at in range(0, 6, views)]
        torch.testing.assert_close(torch.stack(found).exp(), torch.stack(means))
        assert not any(log.requires_grad for log in found)


def test_it_says_how_many_clips_have_run_and_may_be_stopped_there() -> None:
    clips, heard = [batch(seed, clips=3)[0] for seed in range(4)], []
    list(predictions(classes, clips, views=2, told=heard.append))
    assert heard == [0, 3, 6, 9, 12]
    ran: list[torch.Tensor] = []

    def stop(done: int) -> None:
        if done == 6:
            raise KeyboardInterrupt

    def noted(floats: torch.Tensor) -> torch.Tensor:
        ran.append(floats)
        return classes(floats)

    with pytest.raises(KeyboardInterrupt):
        list(predictions(noted, clips, told=stop))
    assert len(ran) == 2


def test_a_stream_of_pieces_ends_as_the_clip_does() -> None:
    causal = network(stream=True).eval()
    clips, _ = batch(clips=1)
    found = stream(causal, [clips[:, :, :1], clips[:, :, 1:]])
    torch.testing.assert_close(found.logits, logits_of(causal.logits, clips), atol=1e-5, rtol=1e-4)
    assert found.frames == 4 and found.seconds > 0
