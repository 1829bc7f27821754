"""A short training alone: what is scored at its end."""

import pytest
import torch

import video
from networks.kernels import channels_last, spatial_conv
from searchspace import Clip
from tests.training.networks_of_seconds import network
from training.evaluation.part_scores import evaluate
from training.fit import TRIAL, FitConfig, fit
from training.retrain.recalibration import training_clips
from training.seeds import generator


@pytest.fixture
def source() -> video.MotionSource:
    return video.MotionSource(0, Clip.parse("4x16x16@5"), sizes={"weights": 64, "rescoring": 32})


def config(recalibrate: int, clips: int = 32) -> FitConfig:
    recipe = TRIAL.changed({"optimizer.batch": 8, "network.recalibrate": recalibrate})
    return FitConfig(clips=clips, recipe=recipe)


def test_it_is_scored_with_the_statistics_of_training_clips(source):
    lagging, ours = network(), network()
    fit(lagging, source, config(0))
    scores = fit(ours, source, config(32))
    for name, parameter in ours.named_parameters():
        assert torch.equal(parameter, lagging.get_parameter(name)), name
    clips = training_clips(source, "weights", 32, 8, generator(0, "recalibration"))
    means = [spatial_conv(channels_last(some), ours.stem.weight, 2).mean((0, 2, 3, 4)).detach() for some in clips]
    mean = torch.stack(means).mean(0)
    torch.testing.assert_close(ours.stem.norm.running_mean, mean, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(lagging.stem.norm.running_mean, mean, rtol=1e-2)
    # the network is left as it was scored
    assert not ours.training
    assert evaluate(ours.logits, source, "rescoring").loss == pytest.approx(scores.loss, abs=1e-6)
    assert scores.loss != pytest.approx(evaluate(lagging.logits, source, "rescoring").loss, abs=1e-3)


def test_no_more_clips_are_taken_than_were_trained_on():
    assert config(256).recalibrating == 32
    assert config(256, clips=4000).recalibrating == 256
    assert config(0).recalibrating == 0
    assert FitConfig().recalibrating == 256
