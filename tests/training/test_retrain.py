"""A retraining from end to end: what it leaves, where it starts from, and going on as if nothing had happened."""

import csv
import dataclasses
import json
import os
import re
import shutil
import signal
from pathlib import Path

import pytest
import torch
from safetensors.numpy import load_file

import networks
from searchspace import Clip, Ensemble, load_spec, published
from tests.training.networks_of_seconds import architecture
from tests.training.small import settings as search_settings
from tests.training.small import without_clock
from training.machine.interrupt import Interrupted
from training.progress import Silent
from training.recipe import Recipe
from training.retrain.footprint import KEPT
from training.retrain.retrain_config import RetrainConfig, resolve
from training.retrain.retrain_task import Length
from training.retrain.run_retrain import retrain
from training.run import accept
from training.search.run_search import search
from training.steps import checkpoint, losses
from training.steps.trainer import Trainer

SETTINGS = {
    "clip": "4x16x16@5",
    "schedule.epochs": 3,
    "schedule.epoch_clips": 32,
    "optimizer.batch": 8,
    "evaluation.clips": 32,
    "network.recalibrate": 16,
    "loss.mixup": 0.2,
    "network.dropout": 0.2,
    "network.drop_path": 0.2,
    "threads": 1,
}


@pytest.fixture(autouse=True, scope="module")
def few_test_clips():
    patch = pytest.MonkeyPatch()
    patch.setitem(__import__("video.motion").motion.DEFAULT_SIZES, "val", 64)
    yield
    patch.undo()


class Heard(Silent):
    """Keeps remarks; does something at a given step."""

    def __init__(self, step=None, act=lambda: None):
        self.lines, self.step, self.act = [], step, act

    def line(self, text):
        self.lines.append(text)

    def status(self, status):
        if status.step == self.step:
            self.act()


class Crash(Exception):
    pass


def crash():
    raise Crash


@pytest.fixture(scope="module")
def finished(tmp_path_factory, few_test_clips):
    folder = tmp_path_factory.mktemp("finished")
    heard = Heard()
    return retrain(architecture(), SETTINGS, runs=folder, name="a", progress=heard), heard


def assert_equal_trainings(one: Path, two: Path) -> None:
    """Same ledgers and scores, bit-identical states and networks; wall-clock fields aside."""
    for name in ("metrics.csv", "scores.jsonl"):
        ours, theirs = ((run / name).read_text() for run in (one, two))
        assert without_clock(name, ours) == without_clock(name, theirs), name
    names = [checkpoint.names(run / "checkpoints") for run in (one, two)]
    assert names[0] == names[1] and len(names[0]) == KEPT
    for name in [*names[0], "best", "last"]:
        files = sorted(path.name for path in (one / "checkpoints" / name).glob("*.safetensors"))
        assert files == sorted(path.name for path in (two / "checkpoints" / name).glob("*.safetensors"))
        for file in files:
            ours, theirs = (load_file(run / "checkpoints" / name / file) for run in (one, two))
            assert ours.keys() == theirs.keys()
            assert all(ours[key].tobytes() == theirs[key].tobytes() for key in ours), (name, file)


def test_what_a_run_leaves(finished):
    result, heard = finished
    folder = result.folder
    rows = list(csv.DictReader((folder / "metrics.csv").read_text().splitlines()))
    assert [int(row["step"]) for row in rows] == list(range(1, 13))
    scores = [json.loads(line) for line in (folder / "scores.jsonl").read_text().splitlines()]
    assert [score["step"] for score in scores] == [4, 8, 12] and all(score["clips"] == 32 for score in scores)
    best = networks.load(folder)
    assert best.path == folder / "checkpoints" / "best"
    assert best.metrics["accuracy"] == result.accuracy and best.metrics["clips"] == 64
    top = max(scores, key=lambda score: (score["accuracy"], -score["loss"]))
    assert best.step == top["step"] == result.summary["members"][0]["best"]["step"]
    assert networks.load(folder / "checkpoints" / "last").step == 12
    assert len(best.classes) == 18 and str(best.network.architecture.clip) == SETTINGS["clip"]
    assert best.recipe["loss"]["mixup"] == 0.2
    config = json.loads((folder / "config.json").read_text())
    assert config["loss.mixup"] == 0.2 and RetrainConfig.stored({k: v for k, v in config.items() if k != "command"})
    confusion = list(csv.reader((folder / "confusion.csv").read_text().splitlines()))
    counts = [[int(cell) for cell in row] for row in confusion[1:]]
    assert confusion[0] == list(best.classes) and sum(map(sum, counts)) == 64
    assert sum(counts[i][i] for i in range(18)) == round(64 * result.accuracy)
    assert any(line.startswith("data: built-in motion") for line in heard.lines)
    assert any(line.startswith("recipe: demo") for line in heard.lines)


def test_the_best_checkpoint_scores_what_it_says(finished):
    from training.evaluation.part_scores import evaluate
    from video import MotionSource

    trained = networks.load(finished[0].folder)
    source = MotionSource(seed=0, clip=Clip.parse(SETTINGS["clip"]), sizes={"val": 64})
    score = evaluate(trained.network.logits, source, "val")
    assert score.accuracy == trained.metrics["accuracy"]
    assert score.loss == pytest.approx(trained.metrics["loss"], rel=1e-6)


@pytest.mark.parametrize("step", [1, 4, 6, 12])
def test_a_crash_and_a_resume_equal_an_uninterrupted_run(finished, tmp_path, step):
    with pytest.raises(Crash):
        retrain(architecture(), SETTINGS, runs=tmp_path, name="a", progress=Heard(step, crash))
    heard = Heard()
    result = retrain(architecture(), SETTINGS, runs=tmp_path, name="a", resume=True, progress=heard)
    assert_equal_trainings(finished[0].folder, result.folder)
    assert without_clock("", json.dumps(result.summary)) != ""
    ours, theirs = (dict(run.summary["members"][0], seconds=0) for run in (finished[0], result))
    assert ours == theirs


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_signal_saves_and_says_how_to_go_on(finished, tmp_path, number, code):
    stop = Heard(6, lambda: os.kill(os.getpid(), number))
    with pytest.raises(Interrupted, match=r"stopped at step 6 of 12.*nas retrain --resume --name a") as caught:
        retrain(architecture(), SETTINGS, runs=tmp_path, name="a", progress=stop)
    assert caught.value.exit_code == code
    assert checkpoint.names(tmp_path / "a" / "checkpoints")[-1] == "step-00000006"
    result = retrain(None, runs=tmp_path, resume=True)
    for name in ("best", "last"):
        ours, theirs = (
            load_file(run.folder / "checkpoints" / name / "model.safetensors") for run in (finished[0], result)
        )
        assert all(ours[key].tobytes() == theirs[key].tobytes() for key in ours)


@pytest.mark.parametrize(("title", "kept"), [("scoring on held-out clips", 4), ("scoring the last network", 12)])
def test_a_signal_while_it_scores_is_heard_and_goes_on_to_the_same_end(finished, tmp_path, title, kept):
    class Stop(Silent):
        def phase(self, text, done, total):
            if text.startswith(title):
                os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted) as caught:
        retrain(architecture(), SETTINGS, runs=tmp_path, name="a", progress=Stop())
    assert caught.value.exit_code == 143
    assert checkpoint.names(tmp_path / "a" / "checkpoints")[-1] == f"step-{kept:08d}"
    result = retrain(None, runs=tmp_path, resume=True)
    assert_equal_trainings(finished[0].folder, result.folder)


def test_a_finished_run_is_only_read(finished):
    folder = finished[0].folder
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}
    again = retrain(None, SETTINGS, runs=folder.parent, name="a", resume=True)
    assert again.summary == finished[0].summary
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")}


def test_an_ensemble_is_members_at_half_the_rate_and_resumes_in_its_second(tmp_path):
    given = {**SETTINGS, "ensemble": 2}
    straight = retrain(architecture(), given, runs=tmp_path, name="straight")
    trained = networks.load(straight.folder)
    ensemble = trained.network.architecture
    assert isinstance(ensemble, Ensemble) and str(ensemble.clip) == SETTINGS["clip"]
    assert [str(member.architecture.clip) for member in ensemble.members] == ["2x16x16@2.5"] * 2
    assert [member.offset for member in ensemble.members] == [0, 1]
    one, two = (networks.load(straight.folder / "members" / str(i)).network.state_dict() for i in range(2))
    assert not torch.equal(one["stem.weight"], two["stem.weight"])
    for name, tensor in trained.network.networks()[1].state_dict().items():
        assert torch.equal(tensor, two[name])
    assert straight.summary["clips"] == 64 and len(straight.summary["members"]) == 2

    class InTheSecond(Heard):
        def line(self, text):
            super().line(text)
            if text.startswith("member 2"):
                self.step = 6

    with pytest.raises(Crash):
        retrain(architecture(), given, runs=tmp_path, name="cut", progress=InTheSecond(None, crash))
    cut = retrain(None, runs=tmp_path, name="cut", resume=True)
    for i in range(2):
        assert_equal_trainings(straight.folder / "members" / str(i), cut.folder / "members" / str(i))
    assert cut.accuracy == straight.accuracy


def test_a_causal_network_in_sub_clips(tmp_path):
    given = {**SETTINGS, "stream": True, "compute.subclips": 2, "loss.smoothness": 0.1}
    result = retrain(architecture(), given, runs=tmp_path)
    assert networks.load(result.folder).network.streams


# Where weights come from


def test_weights_of_a_trained_network_stay_and_a_classifier_of_other_classes_is_new(finished, tmp_path):
    still = {**SETTINGS, "optimizer.lr": 0.0, "network.average": 0.0, "schedule.epochs": 1}
    trained = networks.load(finished[0].folder).network
    result = retrain(architecture(), {**still, "init": str(finished[0].folder)}, runs=tmp_path)
    after = networks.load(result.folder).network.state_dict()
    parameters = dict(trained.named_parameters())
    assert all(torch.equal(after[name], p) for name, p in parameters.items())
    file = tmp_path / "other.safetensors"
    other = networks.create(architecture(classes=5))
    networks.save_weights(other, file)
    heard = Heard()
    result = retrain(file, {**still, "init": str(file)}, runs=tmp_path, progress=heard)
    after = networks.load(result.folder).network.state_dict()
    assert after["classifier.weight"].shape == (18, 32)
    assert torch.equal(after["dense.weight"], other.dense.weight)
    assert any("a new classifier (5 classes: 0, 1, ... before, 18 classes: " in line for line in heard.lines)


def test_weights_of_an_ensemble_go_member_by_member_and_those_of_one_to_all(finished, tmp_path):
    still = {**SETTINGS, "optimizer.lr": 0.0, "network.average": 0.0, "schedule.epochs": 1}
    half = dataclasses.replace(architecture(), clip=Clip(2, 16, 16, 2.5))
    pair = Ensemble.interleave([half, half])
    network = networks.create(pair)
    names = networks.load(finished[0].folder).classes
    networks.save_trained(tmp_path / "pair", network, classes=names, recipe={}, data={}, metrics={}, step=1)
    result = retrain(pair, {**still, "init": str(tmp_path / "pair")}, runs=tmp_path)
    after = networks.load(result.folder).network.networks()
    assert not torch.equal(after[0].stem.weight, after[1].stem.weight)
    for given, found in zip(network.networks(), after, strict=True):
        assert all(torch.equal(found.get_parameter(name), p) for name, p in given.named_parameters())
    alone = networks.load(finished[0].folder).network
    after = networks.load(retrain(pair, {**still, "init": str(finished[0].folder)}, runs=tmp_path).folder).network
    assert all(torch.equal(one.stem.weight, alone.stem.weight) for one in after.networks())


def test_classes_of_other_names_get_a_new_classifier_though_they_are_as_many(finished, tmp_path):
    trained = networks.load(finished[0].folder)
    names = [f"other {i}" for i in range(18)]
    networks.save_trained(
        tmp_path / "other", trained.network, classes=names, recipe={}, data={}, metrics={}, step=1
    )  # fmt: skip
    still = {**SETTINGS, "optimizer.lr": 0.0, "schedule.epochs": 1, "init": str(tmp_path / "other")}
    after = networks.load(retrain(architecture(), still, runs=tmp_path).folder).network.state_dict()
    assert torch.equal(after["dense.weight"], trained.network.dense.weight)
    assert not torch.equal(after["classifier.weight"], trained.network.classifier.weight)


def test_weights_of_another_network_are_refused(finished, tmp_path):
    with pytest.raises(ValueError, match="weights of the base form, the network to train has the causal form"):
        retrain(architecture(stream=True), {**SETTINGS, "init": str(finished[0].folder)}, runs=tmp_path)
    file = tmp_path / "a0.safetensors"
    networks.save_weights(networks.create("a0"), file)
    with pytest.raises(ValueError, match=r"weights of another network .'a0'."):
        retrain(architecture(), {**SETTINGS, "init": str(file)}, runs=tmp_path)


def test_weights_of_a_search_are_the_shared_ones_with_statistics_of_their_own(tmp_path):
    found = search(search_settings(tmp_path, steps=6), runs=tmp_path, name="s")
    given = {key: value for key, value in SETTINGS.items() if key not in ("network.dropout", "network.drop_path")}
    given |= {"optimizer.lr": 0.0, "network.average": 0.0, "schedule.epochs": 1, "init": str(tmp_path / "s")}
    heard = Heard()
    result = retrain(found.architecture, given, runs=tmp_path, progress=heard)
    assert any("the shared ones" in line and "step 6" in line for line in heard.lines)
    after = networks.load(result.folder).network.state_dict()
    newest = tmp_path / "s" / "checkpoints" / checkpoint.names(tmp_path / "s" / "checkpoints")[-1]
    shared = load_file(newest / "supernet.safetensors")
    assert after["dense.weight"].numpy().tobytes() in (
        shared["dense.weight"].tobytes(), shared["dense.weight"][:, : after["dense.weight"].shape[1]].tobytes(),
    )  # fmt: skip
    # one epoch at rate 0 has moved the statistics, but not far from the recalibrated ones
    assert not torch.allclose(after["stem.norm.running_mean"], torch.zeros(8))


# What is chosen, and what is refused


def test_what_was_not_given_follows_from_where_the_architecture_came_from(tmp_path):
    import dataclasses

    tiny = architecture()
    assert resolve(tiny, {}).config.clip == "8x64x64@5"
    searched = dataclasses.replace(tiny, provenance={"data": "motion"})
    assert resolve(searched, {}).config.clip == str(tiny.clip)
    assert "trains in minutes" in resolve(searched, {}).remarks[-1]
    assert resolve(searched, {"clip": "8x32x32@5"}).config.clip == "8x32x32@5"
    videos = dataclasses.replace(tiny, provenance={"data": str(tmp_path), "group": "(s\\d+)"})
    config = resolve(videos, {}).config
    assert (config.data, config.group, config.clip) == (str(tmp_path), "(s\\d+)", str(tiny.clip))
    gone = dataclasses.replace(tiny, provenance={"data": str(tmp_path / "gone")})
    with pytest.raises(ValueError, match="not there now; give its new place with --data"):
        resolve(gone, {})


@pytest.mark.parametrize(
    ("named", "given", "recipe"),
    [
        (None, {}, "demo"),
        ("finetune", {}, "demo"),  # of the built-in data, whatever the network was trained with
        (None, {"data": "."}, "videos"),
        ("demo", {"data": "."}, "videos"),
        ("kinetics600", {"data": "."}, "kinetics600"),
        ("kinetics600", {"data": ".", "init": "x"}, "finetune"),
        ("videos", {"data": ".", "init": "none"}, "videos"),
        ("finetune", {"data": ".", "init": "none"}, "videos"),
        (None, {"data": ".", "recipe": "demo"}, "demo"),
    ],
)
def test_the_recipe_follows_data_and_weights(named, given, recipe):
    tiny = dataclasses.replace(architecture(), provenance={} if named is None else {"recipe": named})
    assert resolve(tiny, {"clip": "4x16x16@5", **given}).config.recipe_name == recipe


def test_weights_that_come_with_the_architecture_are_the_start_unless_none_are_asked_for(finished, tmp_path):
    folder = finished[0].folder
    assert (
        accept("retrain", folder).weights == folder
        and accept("retrain", folder / "checkpoints" / "last" / "arch.json").weights is not None
    )
    assert accept("retrain", "a0").weights is None and accept("retrain", tmp_path).weights is None
    for given, init in (({}, str(folder)), ({"init": "none"}, None), ({"init": "other"}, "other")):
        found = resolve(architecture(), given, accept("retrain", folder).weights)
        assert found.config.init == init
        assert any(line.startswith("weights: those of") for line in found.remarks) == (given == {})
    (tmp_path / "s" / "checkpoints").mkdir(parents=True)
    shared = tmp_path / "s"
    (shared / "config.json").write_text('{"command": "search"}')
    assert accept("retrain", shared).weights == shared
    for named, given, init in (
        (".", {}, str(shared)),  # found on this data
        (".", {"init": "none"}, None),
        (".", {"data": str(tmp_path)}, None),
        ("motion", {}, None),  # of which there are fresh clips without end
    ):
        tiny = dataclasses.replace(architecture(), provenance={"data": named})
        found = resolve(tiny, {"clip": "4x16x16@5", **given}, shared)
        assert found.config.init == init
        assert found.config.recipe_name == ("demo" if named == "motion" else "videos")
        assert any(line.startswith("weights: the shared ones of") for line in found.remarks) == (init is not None)
    heard = Heard()
    settings = {**SETTINGS, "schedule.epochs": 1, "optimizer.lr": 0.0, "network.recalibrate": 0}
    result = retrain(folder, settings, runs=tmp_path, name="again", progress=heard)
    trained = networks.load(folder).network.get_parameter("stem.weight")
    assert torch.equal(networks.load(result.folder).network.get_parameter("stem.weight"), trained)
    assert any(line.startswith("weights: those of") for line in heard.lines)
    retrain(folder, {**settings, "init": "none"}, runs=tmp_path, name="fresh", progress=heard)
    assert "weights: from scratch" in heard.lines
    assert retrain(None, {"init": "none"}, runs=tmp_path, name="fresh", resume=True).folder.name == "fresh"


@pytest.mark.parametrize("cut", [None, 4, 8])
def test_training_ends_when_no_scoring_is_better(tmp_path, cut):
    """At rate 0 every scoring is like the first, and a resumed run counts as one that went through."""
    still = {**SETTINGS, "optimizer.lr": 0.0, "network.recalibrate": 0, "network.average": 0.0, "loss.mixup": 0.0}
    given = {
        **still,
        "schedule.epochs": 6,
        "evaluation.patience": 2,
        "network.dropout": 0.0,
        "network.freeze_epochs": 6,
    }
    heard = Heard()
    if cut is not None:
        with pytest.raises(Crash):
            retrain(architecture(), given, runs=tmp_path, name="a", progress=Heard(cut, crash))
    result = retrain(architecture(), given, runs=tmp_path, name="a", resume=cut is not None, progress=heard)
    scores = [json.loads(line) for line in (result.folder / "scores.jsonl").read_text().splitlines()]
    assert [score["step"] for score in scores] == [4, 8, 12]
    (member,) = result.summary["members"]
    assert (member["steps"], member["clips"], member["last"]["step"], member["best"]["step"]) == (12, 96, 12, 4)
    assert "stopped at step 12 of 24: 2 scorings in a row were not better" in heard.lines
    assert len((result.folder / "metrics.csv").read_text().splitlines()) == 13


@pytest.mark.parametrize(
    ("settings", "steps", "scored"),
    [
        ({"schedule.epochs": 3}, 12, [4, 8, 12]),
        ({"schedule.epochs": 1, "schedule.least_steps": 7}, 7, [4, 7]),
        ({"schedule.epochs": 3, "evaluation.least_steps": 5}, 12, [8, 12]),
        ({"schedule.epochs": 3, "evaluation.least_steps": 99}, 12, [12]),
        ({"schedule.epochs": 0.5}, 2, [2]),
    ],
)
def test_few_clips_have_steps_enough_and_no_more_scorings_than_are_worth_their_time(settings, steps, scored):
    length = Length.of(Recipe().changed(settings), 32, 8)
    assert length.steps == steps and [i for i in range(1, steps + 1) if length.scored_after(i)] == scored


def test_classes_of_few_clips_count_more():
    labels = torch.tensor([0] * 6 + [1] * 2 + [3] * 4)
    assert losses.class_weights(labels, 4, 0.0) is None
    assert losses.class_weights(torch.tensor([0, 0, 1, 1]), 2, 1.0) is None
    for balance in (0.5, 1.0):
        weights = losses.class_weights(labels, 4, balance)
        assert weights[labels].mean().item() == pytest.approx(1.0) and weights[2] == 1.0
        assert weights[1] / weights[0] == pytest.approx(3.0**balance)
    logits = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
    own = losses.class_weights(labels, 4, 1.0)
    loss = Recipe().changed({"loss.label_smoothing": 0.1}).loss
    each = torch.nn.functional.cross_entropy(logits, labels, reduction="none", label_smoothing=0.1)
    by_class = torch.stack([each[labels == k].mean() for k in (0, 1, 3)]).mean()  # every class as much as any other
    assert losses.classification(logits, labels, loss, None, own).item() == pytest.approx(by_class.item(), rel=1e-6)
    hot = torch.nn.functional.one_hot(labels, 4).float()
    assert losses.classification(logits, hot, loss, None, own).item() == pytest.approx(by_class.item(), rel=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sed": 1}, "did you mean 'seed'"),
        ({"lr": 1}, "did you mean 'optimizer.lr'"),
        ({"recipe": "demos"}, "did you mean 'demo'"),
        ({"ensemble": 3}, "do not split among 3 members.*--clip 9x64x64@5"),
        ({"augmentation.flip": 0.5}, "cannot be augmented by flip"),
        ({"init": "nowhere"}, "nowhere: no such file or folder"),
        ({"teacher": "nowhere"}, "nowhere: no such file or folder"),
    ],
)
def test_a_mistake_is_named(settings, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        retrain(architecture(), settings, runs=tmp_path)


def test_published_ensembles_are_shaped_to_the_clip():
    resolved = resolve(published("a6"), {"clip": "10x64x64@5"})
    assert resolved.ensemble is not None and str(resolved.ensemble.clip) == "10x64x64@5"
    assert [str(member.clip) for member in resolved.members] == ["4x58x58@1.666667", "5x64x64@2.5"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer.lr": 0.5}, "optimizer.lr: 0.04 in the run, 0.5 now"),
        ({"recipe": "finetune"}, "recipe_name: demo in the run, finetune now"),
    ],
)
def test_a_changed_recipe_is_refused_on_resume(finished, change, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        retrain(None, change, runs=finished[0].folder.parent, name="a", resume=True)


def _cut(tmp_path):
    with pytest.raises(Crash):
        retrain(architecture(), SETTINGS, runs=tmp_path, name="a", progress=Heard(6, crash))
    return tmp_path / "a"


def test_a_foreign_checkpoint_is_refused(tmp_path):
    run = _cut(tmp_path)
    other = architecture(classes=18, dropout=0.1)
    saved = load_spec(run / "arch.json")
    other.save(run / "arch.json")
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, "network.dropout": 0.1}))
    with pytest.raises(ValueError, match="checkpoints of another network"):
        retrain(None, runs=tmp_path, name="a", resume=True)
    assert saved != other


def test_checkpoints_of_another_run_of_the_same_network_are_refused(tmp_path):
    run = _cut(tmp_path)
    for change, said in (
        ({"seed": 1}, "seed is 1 there, 0 here"),
        ({"optimizer.name": "adamw"}, "adamw there, sgd here"),
    ):
        with pytest.raises(Crash):
            other = {**SETTINGS, **change}
            retrain(architecture(), other, runs=tmp_path, name=said[:4], progress=Heard(6, crash))
        shutil.rmtree(run / "checkpoints")
        shutil.copytree(tmp_path / said[:4] / "checkpoints", run / "checkpoints")
        with pytest.raises(ValueError, match=f"checkpoints of another training .*{said}"):
            retrain(None, runs=tmp_path, name="a", resume=True)


def test_a_recipe_file_that_changed_is_refused(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(Recipe.load("demo").to_yaml())
    given = {**SETTINGS, "recipe": str(file)}
    with pytest.raises(Crash):
        retrain(architecture(), given, runs=tmp_path, name="a", progress=Heard(6, crash))
    file.write_text(Recipe.load("demo").changed({"optimizer.momentum": 0.8}).to_yaml())
    with pytest.raises(ValueError, match=r"optimizer.momentum: 0.9 in the run, 0.8 now"):
        retrain(None, given, runs=tmp_path, name="a", resume=True)
    file.write_text(Recipe.load("demo").to_yaml())
    assert retrain(None, given, runs=tmp_path, name="a", resume=True).summary["members"][0]["steps"] == 12


def test_changed_data_is_refused(tmp_path):
    run = _cut(tmp_path)
    data = json.loads((run / "data.json").read_text())
    (run / "data.json").write_text(json.dumps({**data, "seed": 5}))
    with pytest.raises(ValueError, match=r"the data has changed since .*seed 5, now 0"):
        retrain(None, runs=tmp_path, name="a", resume=True)


def test_a_training_that_comes_apart_keeps_its_last_good_checkpoint(tmp_path, monkeypatch):
    real, calls = losses.classification, []

    def broken(*args):
        calls.append(1)
        return real(*args) * (float("nan") if len(calls) > 6 else 1.0)

    monkeypatch.setattr(losses, "classification", broken)
    heard = Heard()
    with pytest.raises(ValueError, match=r"5 steps in a row, up to step 11.*last good checkpoint is .*step-00000008"):
        retrain(architecture(), SETTINGS, runs=tmp_path, name="a", progress=heard)
    assert sum("skipped" in line for line in heard.lines) == 5
    layers = json.loads((tmp_path / "a" / "diagnosis.json").read_text())
    assert len(layers) == 3 and all(layer["output"] is not None for layer in layers)


def test_too_little_memory_says_what_to_do(tmp_path, monkeypatch):
    def full(*_):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(Trainer, "step", full)
    with pytest.raises(ValueError, match=r"out of memory.*compute.accumulate=2.*checkpointing.*smaller --clip"):
        retrain(architecture(), SETTINGS, runs=tmp_path)


def test_checkpoints_that_do_not_fit_on_the_disk_are_refused_before_anything_is_made(finished, tmp_path, monkeypatch):
    said = re.compile(r"checkpoints will take about 1 MB, [\d,]+ MB are free")
    assert sum(bool(said.fullmatch(line)) for line in finished[1].lines) == 1
    half = _cut(tmp_path)
    before = sorted(half.rglob("*"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10}))
    with pytest.raises(ValueError, match=r"checkpoints take .* free some room"):
        retrain(architecture(), SETTINGS, runs=tmp_path / "none")
    assert not (tmp_path / "none").exists()
    with pytest.raises(ValueError, match=r"checkpoints take .* free some room"):
        retrain(None, runs=tmp_path, name="a", resume=True)
    assert sorted(half.rglob("*")) == before
