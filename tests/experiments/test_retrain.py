"""`nas retrain` and `nas config` on the command line."""

import dataclasses
import json
import signal

import pytest
import torch

import networks
from experiments.cli import main
from experiments.plots import curves
from searchspace import Clip, Ensemble
from tests.training.networks_of_seconds import architecture
from training.machine.interrupt import signals_raise

SHORT = ["--clip", "4x16x16", "--epochs", "2", "--batch", "8", "--threads", "1", "--device", "cpu"]
SHORT += ["--set", "schedule.epoch_clips=16", "--set", "evaluation.clips=16"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(__import__("video.motion").motion.DEFAULT_SIZES, "val", 32)
    architecture().save("arch.json")
    return tmp_path


def test_the_bare_command_says_what_it_chose_and_what_comes_next(here, capsys):
    assert main(["retrain", "arch.json", *SHORT]) == 0
    answer = capsys.readouterr()
    assert "data: built-in motion" in answer.err and "recipe: demo" in answer.err
    lines = answer.out.splitlines()
    commands = ["nas evaluate runs/retrain-1", "nas predict runs/retrain-1 VIDEO", "nas report runs/retrain-1"]
    assert [line.removeprefix("next:").strip() for line in lines[-3:]] == commands
    assert lines[0].startswith("best checkpoint: accuracy ") and "on 32 clips" in lines[0]
    run = here / "runs" / "retrain-1"
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")
    page = (run / "curves.html").read_text()
    assert "/*DATA*/" not in page and "https://" not in page and '"accuracy":[' in page
    pictures = {name: (run / name).read_bytes() for name in ("curves.png", "curves.html", "confusion.png")}
    for missing in pictures:
        (run / missing).unlink()
        assert main(["retrain", "--resume", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["clips"] == 32
        assert {name: (run / name).read_bytes() for name in pictures} == pictures


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_pictures_are_drawn_says_how_to_get_them(here, nas, monkeypatch, number):
    with monkeypatch.context() as patch, signals_raise():
        patch.setattr(curves, "draw", lambda folder: signal.raise_signal(number))
        answer = nas("retrain", "arch.json", *SHORT)
    assert answer.code == 128 + number
    told = "nas: stopped while pictures were drawn; runs/retrain-1 is finished, the rest comes with: "
    assert answer.err.splitlines()[-1] == f"{told}nas retrain --resume --name retrain-1"
    assert nas("retrain", "--resume", "--name", "retrain-1").code == 0
    assert (here / "runs/retrain-1/curves.png").exists()


def test_an_ensemble_draws_a_curve_for_each_member(here, capsys):
    assert main(["retrain", "arch.json", *SHORT, "--ensemble", "2", "--name", "pair"]) == 0
    out = capsys.readouterr().out
    assert "member 2 alone" in out and "ensemble: accuracy" in out
    assert '"name":"member 1"' in (here / "runs" / "pair" / "curves.html").read_text()


def test_an_ensemble_goes_wherever_a_network_goes(here, nas):
    half = dataclasses.replace(architecture(stream=True), clip=Clip(2, 16, 16, 2.5))
    Ensemble.interleave([half, half], "pair").save("pair.json")
    assert nas("retrain", "pair.json", *SHORT, "--name", "one").code == 0
    again = nas("retrain", "runs/one", *SHORT, "--init", "runs/one", "--name", "two")
    assert again.code == 0 and "runs/one, member 2" in again.err
    assert nas("show", "one").out.count("member ") == 2
    assert len(json.loads(nas("cost", "runs/one", "--json").out)["members"]) == 2
    judged = json.loads(nas("evaluate", "runs/one", "--json").out)
    assert [protocol["protocol"] for protocol in judged["protocols"]] == ["clip", "multiclip", "stream"]
    demo = ["data", "demo", "--output", "videos", "--train", "1", "--val", "1", "--clip", "8x16x16@5"]
    assert nas(*demo).code == 0
    answers = json.loads(nas("predict", "runs/one", "videos/val", "--stream", "--format", "json").out)
    assert len(answers) == 18 and all(len(answer["classes"]) == 5 for answer in answers)
    report = nas("report", "runs/one", "runs/two").out
    assert "one" in report and "two" in report  # weights from elsewhere are no other seed


def test_on_real_videos_it_ends_with_the_protocols_that_are_cheap(here, nas):
    demo = ["data", "demo", "--output", "videos", "--train", "3", "--val", "1", "--clip", "8x16x16@5"]
    assert nas(*demo).code == 0
    words = ["retrain", "arch.json", "--stream", "--data", "videos", "--clip", "4x16x16", "--batch", "8"]
    words += ["--threads", "1", "--device", "cpu", "--workers", "0", "--json"]
    first = nas(*words, "--epochs", "2", "--set", "evaluation.views=1")
    assert first.code == 0, first.err
    found = json.loads(first.out)["protocols"]
    # 2 epochs of 54 clips, backwards twice: 324 clips forward; 18 videos are 18 clips, 36 as streams, 540 by 10x3
    assert [one["protocol"] for one in found] == ["clip", "stream"]
    kept = json.loads((here / "runs/retrain-1/evaluation-1/evaluation.json").read_text())["protocols"]
    assert kept == found and found[0]["videos"] == 18
    again = nas("retrain", "--resume", "--name", "retrain-1")
    assert again.code == 0 and "stream" in again.out and "multiclip was left out" in again.out
    assert [path.name for path in (here / "runs/retrain-1").glob("evaluation-*") if path.is_dir()] == ["evaluation-1"]
    more = nas(*words, "--epochs", "1", "--set", "evaluation.views=2")
    assert [(one["protocol"], one["views"]) for one in json.loads(more.out)["protocols"]][1] == ("multiclip", 2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["arch.json", "--init", "pair"], "pair has weights of 2 networks, one is to be trained"),
        (["arch.json", "--ensemble", "4", "--init", "pair"], "2 networks, 4 are to be trained"),
        (["causal.json", "--init", "pair"], "weights of the base form"),
        (["pair", "--stream"], "weights of the base form, the network to train has the causal form"),
        (["a0", "--init", "pair/model.safetensors", "--ensemble", "2"], "does not fit 'a0'"),
        (["arch.json", "--init", "nowhere"], "nowhere: no such file or folder"),
        (["arch.json", "--teacher", "nowhere"], "nowhere: no such file or folder"),
    ],
)
def test_weights_that_cannot_be_taken_are_refused_before_there_is_a_run(here, nas, words, message):
    half = dataclasses.replace(architecture(), clip=Clip(2, 16, 16, 2.5))
    network = networks.create(Ensemble.interleave([half, half]))
    names = [str(i) for i in range(18)]
    networks.save_trained("pair", network, classes=names, recipe={}, data={}, metrics={}, step=1)
    Ensemble.interleave([half.streaming(), half.streaming()]).save("causal.json")
    answer = nas("retrain", *words, *SHORT)
    assert answer.code == 2 and message in answer.err.splitlines()[-1]
    assert not (here / "runs").exists()


def test_a_dry_run_writes_nothing(here, capsys):
    assert main(["retrain", "a0", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "clip: 8x64x64@5 for the built-in data" in out and "20,480 clips in 1,280 steps of 16" in out
    assert "memory: about" in out and not (here / "runs").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no architecture given"),
        (["a9"], "did you mean 'a6'"),
        (["a0", "--recipe", "demos"], "did you mean 'demo'"),
        (["a0", "--set", "optimizer.lrr=1"], "did you mean 'optimizer.lr'"),
        (["a0", "--set", "optimizer.lr"], "write KEY=VALUE"),
        (["a0", "--epochs", "3", "--set", "schedule.epochs=4"], "given twice"),
        (["a0", "--group", "x"], "give one with --data"),
        (["a0", "--data", "nowhere"], "does not exist"),
        (["a0", "--name", "a/b"], "single folder name"),
        (["a0", "--ensemble", "3"], "do not split among 3 members"),
        (["a6", "--ensemble", "2"], "an ensemble already"),
        (["a0", "--set", "compute.subclips=3", "--stream"], "which clips of 8 frames do not split into"),
        (["arch.json", *SHORT, "--set", "compute.subclips=2"], "is not causal"),
        (["arch.json", *SHORT, "--set", "compute.precision=float16"], "needs a GPU"),
        (["a0", "--freeze", "1"], "did you mean '--freeze-epochs'"),
        (["arch.json", "--clip", "1x8x8", "--batch", "1", "--dry-run"], "would see one clip of one frame"),
        (["arch.json", "--clip", "1x8x8", "--set", "network.recalibrate=1"], "network.recalibrate = 1: BatchNorm"),
    ],
)
def test_a_mistake_ends_in_one_line(here, capsys, words, message):
    assert main(["retrain", *words]) == 2
    error = capsys.readouterr().err
    assert message in error.splitlines()[-1] and sum(line.startswith("nas: error") for line in error.splitlines()) == 1
    assert not (here / "runs").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_said_before_there_is_a_run(here, nas):
    answer = nas("retrain", "arch.json", *SHORT[:-2], "--device", "cuda")
    assert answer.code == 2 and "torch finds no GPU here" in answer.err.splitlines()[-1]
    assert not (here / "runs").exists()


def test_config_lists_shows_changes_and_writes(here, capsys):
    assert main(["config"]) == 0
    assert capsys.readouterr().out.splitlines()[:3] == ["demo", "finetune", "kinetics600"]
    assert main(["config", "kinetics600", "--print"]) == 0
    assert "lr: 1.8" in capsys.readouterr().out
    assert main(["config", "demo", "--set", "optimizer.lr=1e-3", "--output", "mine.yaml"]) == 0
    assert capsys.readouterr().out == "next: nas retrain ARCH --recipe mine.yaml\n"
    assert main(["config", "mine.yaml", "--print"]) == 0
    assert "lr: 0.001" in capsys.readouterr().out
    assert main(["config", "demo", "--output", "mine.yaml"]) == 2
    assert "exists" in capsys.readouterr().err
