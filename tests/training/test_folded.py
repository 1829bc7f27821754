"""Training from weights whose BatchNorm is folded: it is unfolded on the training clips first, and told."""

from pathlib import Path

import pytest
import torch

import networks
import training.retrain.initial_weights
import video
from searchspace import Clip
from tests.training.networks_of_seconds import architecture, network
from training.data_parts import select
from training.progress import Silent
from training.recipe import Recipe
from training.retrain.run_retrain import retrain

SHARED = Path(__file__).resolve().parents[2].parent / "shared"


def folded_file(folder: Path, stream: bool = False) -> Path:
    """Weights as an import from TensorFlow Lite leaves them."""
    made = network(stream, dropout=0.0, drop_path=0.0).eval()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for layer in made.modules():
            if hasattr(layer, "running_var"):
                layer.running_var.fill_(1 - layer.eps)
                layer.bias.copy_(0.3 * torch.randn(layer.bias.shape, generator=generator))
    networks.save_weights(made, folder / "folded.safetensors")
    return folder / "folded.safetensors"


@pytest.mark.parametrize("stream", [False, True], ids=["base", "stream"])
def test_a_training_starts_from_unfolded_weights(stream: bool, tmp_path: Path) -> None:
    file = folded_file(tmp_path, stream)
    source = select(video.MotionSource(seed=0, clip=Clip(4, 16, 16, 5.0)), 8)
    own = architecture(stream, dropout=0.0, drop_path=0.0)
    before = networks.load(file).network
    first, text = training.retrain.initial_weights.start(own, Recipe(), str(file), source, seed=5)
    again, _ = training.retrain.initial_weights.start(own, Recipe(), str(file), source, seed=5)
    assert text == f"weights: {file}, BatchNorm unfolded on 48 clips, since it was folded"
    assert networks.is_folded(before) and not networks.is_folded(first)  # type: ignore[arg-type]
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in first.state_dict().items())
    clips = torch.rand(4, 3, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected, found = before.logits(clips), first.eval().logits(clips)
    assert float((expected - found).abs().max() / expected.abs().max()) < 1e-4
    unfolded = tmp_path / "unfolded.safetensors"
    networks.save_weights(first, unfolded)
    third, text = training.retrain.initial_weights.start(own, Recipe(), str(unfolded), source, seed=6)
    assert text == f"weights: {unfolded}"
    assert torch.equal(third.stem.norm.running_mean, first.stem.norm.running_mean)


def test_a_retraining_says_it(tmp_path: Path) -> None:
    class Heard(Silent):
        def line(self, text: str) -> None:
            lines.append(text)

    lines: list[str] = []
    file = folded_file(tmp_path)
    settings = {"init": str(file), "clip": "4x16x16@5", "schedule.epochs": 1, "schedule.epoch_clips": 16}
    settings |= {"optimizer.batch": 8, "evaluation.clips": 8, "threads": 1}
    result = retrain(file, settings, runs=tmp_path, progress=Heard())
    assert any("BatchNorm unfolded on 16 clips, since it was folded" in line for line in lines)
    trained = networks.load(result.folder).network
    assert isinstance(trained, networks.MoViNet) and not networks.is_folded(trained)
    lines.clear()
    retrain(None, runs=tmp_path, name=result.folder.name, resume=True, progress=Heard())
    assert not any("unfolded" in line for line in lines)


@pytest.mark.slow
def test_published_weights_learn_what_they_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six interactions of two people, BatchNorm of the batch: unfolded they are learned, folded all is forgotten."""
    weights, data = SHARED / "weights" / "movinet_a0_stream_k600_int8.tflite", SHARED / "video" / "ut_set1"
    if not weights.exists() or not data.is_dir():
        pytest.skip("no ../shared/weights or ../shared/video/ut_set1 here")
    file = tmp_path / "k600.safetensors"
    imported = networks.import_weights(weights)
    networks.save_weights(imported.network, file, imported.classes)
    settings = {"init": str(file), "data": str(data), "group": r"^(set\d_seq\d+)", "recipe": "finetune"}
    settings |= {"clip": "8x112x112@5", "schedule.epochs": 4, "network.dropout": 0.0, "threads": 2}
    settings |= {"network.recalibrate": 48, "evaluation.patience": 0}
    settings |= {"optimizer.name": "rmsprop", "optimizer.lr": 0.01, "optimizer.weight_decay": 3e-5}
    accuracy, last = {}, {}
    for unfolded in (True, False):
        if not unfolded:
            monkeypatch.setattr(networks, "is_folded", lambda network: False)
        result = retrain(file, settings, runs=tmp_path, name=f"unfolded-{unfolded}")
        rows = (result.folder / "metrics.csv").read_text().splitlines()[1:]
        accuracy[unfolded] = result.summary["members"][0]["last"]["accuracy"]
        last[unfolded] = sum(float(row.split(",")[2]) for row in rows[-6:]) / 6
    assert last[True] < 1.5 and accuracy[True] > 0.6, (last, accuracy)
    assert last[False] > 1.6 and accuracy[False] < 0.45, (last, accuracy)
