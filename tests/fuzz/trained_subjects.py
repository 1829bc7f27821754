"""Files with weights in them, and runs that go on: the subjects of `subjects.py` that need torch."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import safetensors.torch
import torch

import networks
from experiments.plots.retraining_pictures import plot_retraining
from scaling import family_folder
from scaling.family_plan import plan
from scaling.family_training import retrain_family
from searchspace import BASE, published_names
from tests.fuzz.subjects import RUNS, File, Subject, family, nas
from tests.networks.small_reference import ASSETS, small_reference
from tests.networks.weights.other_projects import live_port
from tests.training import small
from tests.training.networks_of_seconds import architecture
from tests.training.tiny import trained_run
from training.evaluation.evaluation_data import open_videos
from training.evaluation.judging import evaluate_videos
from training.progress import Silent
from training.retrain.run_retrain import retrain
from training.run import CONFIG
from training.search.run_search import search
from video import motion

RETRAINING = {
    "clip": "4x16x16@5",
    "schedule.epochs": 3,
    "schedule.epoch_clips": 16,
    "optimizer.batch": 8,
    "evaluation.clips": 16,
    "network.average": 0.5,
    "threads": 1,
}

ELSEWHERE = ("does not exist: give a folder with one sub-folder", "no such file or folder; give a run")
"""What is said of data and weights that a configuration names and that are not there."""


class Stop(Exception):
    """The reader has seen enough."""


class StopAt(Silent):
    """Stops a run at a step, or where it is past its training."""

    def __init__(self, step: int) -> None:
        self.step = step

    def status(self, status: object) -> None:
        if status.step >= self.step:  # type: ignore[attr-defined]
            raise Stop

    def phase(self, title: str, done: int, total: int) -> None:
        if title.startswith("re-scoring"):
            raise Stop


def weights(folder: Path) -> Subject:
    """Files of weights of every kind."""
    own = small_reference(BASE)
    own.save(folder / "arch.json")
    state = live_port(own).state_dict()
    torch.save(state, folder / "zip.pth")
    torch.save({"epoch": 3, "state_dict": state}, folder / "plain.pth", _use_new_zipfile_serialization=False)
    safetensors.torch.save_file(state, folder / "port.safetensors")
    networks.save_weights(networks.create(own), folder / "ours.safetensors")
    reference = small_reference()
    reference.save(folder / "stream.json")
    for part in (".index", ".data-00000-of-00001"):
        (folder / f"ckpt{part}").write_bytes((ASSETS / f"ckpt{part}").read_bytes())
    for name in published_names():  # once, before memory is counted
        for stream in (False, True):
            networks.weights.convert_weights._published(name, stream)

    def imports(name: str) -> Callable[[Path], object]:
        arch = "stream.json" if name == "ckpt" else "arch.json"
        return lambda folder: networks.import_weights(folder / name, folder / arch)

    names = ("zip.pth", "plain.pth", "port.safetensors", "ours.safetensors", "ckpt")
    reads = (
        *map(imports, names),
        lambda folder: networks.load(folder / "ours.safetensors"),
        lambda folder: nas("show", folder / "ours.safetensors"),
    )
    files = (
        File("zip.pth", "archive"),
        File("plain.pth", "binary"),
        File("port.safetensors", "safetensors"),
        File("ours.safetensors", "safetensors"),
        File("ckpt.index", "index"),
        File("ckpt.data-00000-of-00001", "binary"),
    )
    return Subject(files, reads, longest=2000)  # lists what does not fit


def trained(folder: Path) -> Subject:
    """The folder of a trained network."""
    data = {"kind": "motion", "seed": 3, "parts": {"val": 20}, "recipe": motion.MotionRanges.at(0.2).to_dict()}
    names = tuple(item.name for item in motion.MOTION_CLASSES)
    trained_run(folder / RUNS / "t", names, data=json.loads(json.dumps(data)))

    reads = (
        lambda folder: open_videos(networks.load(folder / RUNS / "t")),
        lambda folder: nas("show", folder / RUNS / "t"),
        lambda folder: nas("report", folder / RUNS / "t", "--json"),
    )
    best = f"{RUNS}/t/checkpoints/best"
    files = (
        File(f"{best}/checkpoint.json", "json"),
        File(f"{best}/arch.json", "json"),
        File(f"{best}/model.safetensors", "safetensors"),
    )
    return Subject(files, reads, instead=("that the network was trained on",))


def interrupted_search(folder: Path) -> Subject:
    """A search that was stopped, with two checkpoints."""
    given = small.settings(folder, steps=8, checkpoint_every=2)
    with contextlib.suppress(Stop):
        search(given, runs=folder / RUNS, name="a", progress=StopAt(5))
    resumes = _until_stop(lambda: search({}, runs=folder / RUNS, name="a", resume=True, progress=StopAt(1)))
    steps = f"{RUNS}/a/checkpoints/step-00000004"
    files = (
        File(f"{RUNS}/a/{CONFIG}", "json"),
        File(f"{RUNS}/a/data.json", "json"),
        File(f"{RUNS}/a/space.yaml", "yaml"),
        File(f"{RUNS}/a/ledger.jsonl", "lines"),
        File(f"{RUNS}/a/metrics.csv", "table"),
        File(f"{steps}/checkpoint.json", "json"),
        File(f"{steps}/checkpoint.json", "json"),
        File(f"{steps}/supernet.safetensors", "safetensors"),
        File(f"{steps}/optimizer.safetensors", "safetensors"),
        File(f"{RUNS}/a/lock", "binary"),
    )
    return Subject(files, (resumes,), instead=ELSEWHERE)


def re_scored_search(folder: Path) -> Subject:
    """A search that was stopped while it scored networks on its final weights."""

    class StopLater(Silent):
        left = 9

        def phase(self, title: str, done: int, total: int) -> None:
            self.left -= 1
            if self.left == 0:
                raise Stop

    with contextlib.suppress(Stop):
        search(small.settings(folder, steps=4, checkpoint_every=4), runs=folder / RUNS, name="a", progress=StopLater())
    resumes = _until_stop(lambda: search({}, runs=folder / RUNS, name="a", resume=True, progress=StopLater()))
    return Subject((File(f"{RUNS}/a/scores.jsonl", "lines"), File(f"{RUNS}/a/ledger.jsonl", "lines")), (resumes,))


def _until_stop(go_on: Callable[[], object]) -> Callable[[Path], None]:
    def read(_: Path) -> None:
        with contextlib.suppress(Stop):
            go_on()

    return read


def interrupted_retraining(folder: Path) -> Subject:
    """A retraining that was stopped, with two checkpoints."""
    with contextlib.suppress(Stop):
        retrain(architecture(), RETRAINING, runs=folder / RUNS, name="r", progress=StopAt(5))
    resumes = _until_stop(lambda: retrain(None, runs=folder / RUNS, name="r", resume=True, progress=StopAt(1)))
    steps = f"{RUNS}/r/checkpoints/step-00000004"
    files = (
        File(f"{RUNS}/r/{CONFIG}", "json"),
        File(f"{RUNS}/r/arch.json", "json"),
        File(f"{RUNS}/r/data.json", "json"),
        File(f"{RUNS}/r/scores.jsonl", "lines"),
        File(f"{RUNS}/r/metrics.csv", "table"),
        File(f"{steps}/checkpoint.json", "json"),
        File(f"{steps}/checkpoint.json", "json"),
        File(f"{steps}/network.safetensors", "safetensors"),
        File(f"{steps}/average.safetensors", "safetensors"),
        File(f"{steps}/optimizer.safetensors", "safetensors"),
    )
    return Subject(files, (resumes,), instead=ELSEWHERE)


def retraining(folder: Path) -> Subject:
    """A finished retraining, with an evaluation of its own."""
    found = retrain(architecture(), RETRAINING, runs=folder / RUNS, name="r")
    evaluate_videos(networks.load(found.folder), lambda _: ["clip"], by="retrain")

    reads = (
        lambda folder: plot_retraining(folder / RUNS / "r"),
        lambda folder: nas("report", folder / RUNS / "r", "--json"),
        lambda folder: nas("retrain", "--resume", "--name", "r", "--runs", folder / RUNS),
        lambda folder: nas("retrain", "--resume", "--name", "r", "--runs", folder / RUNS, "--json"),
    )
    run, own = f"{RUNS}/r", f"{RUNS}/r/evaluation-1"
    files = (
        File(f"{run}/{CONFIG}", "json"),
        File(f"{run}/summary.json", "json"),
        File(f"{run}/scores.jsonl", "lines"),
        File(f"{run}/metrics.csv", "table"),
        File(f"{run}/confusion.csv", "table"),
        File(f"{own}/evaluation.json", "json"),
        File(f"{own}/videos-clip.csv", "table"),
    )
    return Subject(files, reads)


def trained_family(folder: Path) -> Subject:
    """A family with trained members, and one to go on with."""
    family(folder)
    home = folder / RUNS / "f"
    for name, accuracies in (("A1", (0.5, 0.6)), ("A3", (0.7, 0.8))):
        for seed, accuracy in enumerate(accuracies):
            run = trained_run(
                home / "retrained-1" / f"{name}-seed{seed}", seed=seed, architecture=int(name[1]), accuracy=accuracy
            )
            (run / "summary.json").write_text(json.dumps({"accuracy": accuracy, "clips": 64, "classes": 18}))
            (run / "metrics.csv").write_text(
                "step,epoch,loss,rate\n" + "".join(f"{i},{i},1.5,0.1\n" for i in range(20))
            )
    planned = plan(family_folder.load(home), {"threads": 1}, "A1,A3", 2)
    (home / "retrained-1" / CONFIG).write_text(json.dumps({"command": "retrained", **planned.config}))
    for one in planned.trainings:
        config = {"command": "retrain", **one.resolved.config.to_dict()}
        (home / "retrained-1" / one.name / CONFIG).write_text(json.dumps(config))

    reads = (
        lambda folder: nas("report", folder / RUNS / "f", "--json"),
        lambda folder: nas("report", folder / RUNS / "f" / "retrained-1", "--json"),
        lambda folder: retrain_family(folder / RUNS / "f", resume=True, name="retrained-1").measured(),
    )
    group = f"{RUNS}/f/retrained-1"
    files = (
        File(f"{group}/{CONFIG}", "json"),
        File(f"{group}/A1-seed0/{CONFIG}", "json"),
        File(f"{group}/A1-seed0/summary.json", "json"),
        File(f"{group}/A1-seed0/metrics.csv", "table"),
        File(f"{group}/A3-seed1/checkpoints/best/checkpoint.json", "json"),
        File(f"{RUNS}/f/coefficients.json", "json"),
    )
    return Subject(files, reads)


SUBJECTS: dict[str, Callable[[Path], Subject]] = {
    builder.__name__.replace("_", "-"): builder
    for builder in (
        weights,
        trained,
        interrupted_search,
        re_scored_search,
        interrupted_retraining,
        retraining,
        trained_family,
    )
}
