"""The memory that a search is said to need, against what autograd really keeps."""

import numpy as np
import pytest
import torch

import networks
import searchspace
from supernet import Path, Supernet
from tests.training.networks_of_seconds import architecture
from tests.training.small import settings
from training.recipe import Recipe
from training.retrain.footprint import checkpoint_bytes
from training.retrain.run_retrain import retrain
from training.search.search_config import SearchConfig
from training.search.search_estimate import estimate
from training.search.search_problem import build
from training.steps.checkpoint import names


def test_saved_bytes_are_what_the_backward_pass_keeps():
    space = searchspace.load("movinet").with_classes(10)
    clip = searchspace.Clip.parse("4x32x32")
    net = Supernet(space, 10)
    parameters = {net.flat_weights.untyped_storage().data_ptr()}
    for row in space.decisions.sample(np.random.default_rng(0), 4):
        architecture = space.architecture(row)
        kept: dict[int, int] = {}

        def keep(tensor, kept=kept):
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in parameters:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            logits = net(torch.rand(2, 3, 4, 32, 32), Path(architecture))
        real = sum(kept.values())
        del logits
        assert 0.7 < 2 * architecture.saved_bytes(clip) / real < 1.4


def test_an_estimate_writes_nothing_and_counts_every_part(tmp_path):
    given = settings(tmp_path, steps=10)
    before = sorted(tmp_path.iterdir())
    one = estimate(build(SearchConfig.resolve(**given)))
    twice = estimate(build(SearchConfig.resolve(**{**given, "micro_batch": 512})))
    assert one.training_seconds > 0 and one.rescoring_seconds > 0 and one.checkpoint_bytes > 0
    assert twice.memory_bytes > one.memory_bytes
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("stream", [False, True])
def test_bytes_of_weights_are_those_of_the_network(stream):
    for name in ("a0", "a3"):
        network = networks.create(name, stream=stream)
        floats = sum(tensor.nbytes for tensor in network.state_dict().values() if tensor.is_floating_point())
        assert network.architecture.weight_bytes() == floats


@pytest.mark.parametrize(("members", "keep"), [(1, 2), (2, 2), (1, 3), (1, 1)])
def test_bytes_of_checkpoints_are_those_on_disk_and_what_is_being_written(tmp_path, members, keep):
    settings = {"clip": "4x16x16@5", "schedule.epochs": 3, "schedule.epoch_clips": 16, "evaluation.clips": 18}
    own = {"network.recalibrate": 8, "ensemble": members, "optimizer.name": "adamw", "threads": 1, "keep": keep}
    folder = retrain(architecture(), {**settings, **own}, runs=tmp_path).folder
    for checkpoints in [path for path in folder.rglob("checkpoints") if list(path.glob("step-*"))]:
        assert len(names(checkpoints)) == keep and names(checkpoints)[-1] == "step-00000003"
    kept = 0
    for file in folder.rglob("checkpoints/*/*.safetensors"):
        header = 8 + int.from_bytes(file.read_bytes()[:8], "little")
        kept += file.stat().st_size - header
    recipe = Recipe.load("demo").changed({"optimizer.name": "adamw"})
    weights = architecture().weight_bytes()
    said = checkpoint_bytes([architecture()] * members, recipe, keep)
    assert said - 4 * weights == pytest.approx(kept, rel=0.03)  # four states of weights, one being written
