"""The step: against a bare loop, against closed forms, and cut into pieces."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import video
from networks import layer_weights
from networks.kernels import channels_last, spatial_conv
from tests.training.networks_of_seconds import batch, network, recipe
from training.recipe import GROUPS, Loss
from training.retrain.recalibration import recalibrated
from training.steps import losses
from training.steps.divergence import NotFinite, Watch
from training.steps.parameter_groups import Average, kind, of_kinds
from training.steps.rate_schedule import learning_rate
from training.steps.trainer import Trainer


def weights(net) -> torch.Tensor:
    return torch.cat([tensor.reshape(-1).double() for tensor in net.state_dict().values()])


def still(**changes):
    """A network without random parts."""
    return network(dropout=0.0, drop_path=0.0, **changes)


def test_a_step_is_that_of_a_bare_loop():
    ours, bare = still(), still()
    trainer = Trainer(ours, recipe(), 10, epoch_steps=5)
    optimizer = torch.optim.SGD(bare.parameters(), 0.0, momentum=0.9, nesterov=True)
    bare.train()
    for step in range(4):
        clips, labels = batch(step)
        outcome = trainer.step(clips, labels)
        optimizer.param_groups[0]["lr"] = learning_rate(step, 10, 0.04, 2, 0.02)
        optimizer.zero_grad()
        loss = F.cross_entropy(bare.logits(video.to_float(clips)), labels, label_smoothing=0.1)
        loss.backward()
        for name, p in bare.named_parameters():
            if p.dim() > 1 and "classifier" not in name:
                p.grad.add_(p.detach(), alpha=5e-4)
        norm = nn.utils.clip_grad_norm_(bare.parameters(), 5.0)
        optimizer.step()
        assert outcome.loss == pytest.approx(float(loss.detach()), rel=1e-6)
        assert outcome.gradient_norm == pytest.approx(float(norm), rel=1e-5)
        assert outcome.rate == optimizer.param_groups[0]["lr"]
    torch.testing.assert_close(weights(ours), weights(bare), rtol=1e-6, atol=1e-7)


def test_every_parameter_has_a_kind_and_the_published_decay_spares_what_it_should():
    net = network(stream=True)
    kinds = {name: kind(name, p) for name, p in net.named_parameters()}
    assert set(kinds.values()) == set(GROUPS)
    assert (
        kinds["stem.weight"] == kinds["dense.weight"] == kinds["blocks.0.layers.0.squeeze.reduce.weight"] == "kernels"
    )
    assert kinds["classifier.weight"] == "classifier" and kinds["classifier.bias"] == "biases"
    assert kinds["blocks.0.layers.0.scale"] == "scalars"
    assert kinds["blocks.1.layers.0.expand.norm.weight"] == kinds["stem.norm.bias"] == "norms"
    convolutions = [p for name, p in net.named_parameters() if name.endswith("weight") and p.dim() > 1]
    assert len(of_kinds(net, ("kernels",))) == len(convolutions) - 1


@pytest.mark.parametrize(("name", "decay", "stands"), [
    ("rmsprop", 0.0, 0.0), ("rmsprop", None, 0.9), ("adamw", 0.0, 0.0), ("adamw", None, 0.999),
])  # fmt: skip
def test_a_decay_of_zero_is_one(name, decay, stands):
    """rmsprop without memory of past gradients divides by the size of this one: steps of lr * g / |g|."""
    settings = {"optimizer__momentum": 0.0, "optimizer__weight_decay": 0.0, "optimizer__clip_all": 0.0}
    settings |= {"optimizer__name": name, "optimizer__decay": decay, "optimizer__epsilon": 0.0}
    trainer = Trainer(still(), recipe(**settings), 10)
    for group in trainer.optimizer.param_groups:
        assert (group["decay"] if name == "rmsprop" else group["betas"][1]) == stands
    if (name, decay) == ("rmsprop", 0.0):
        weight = trainer.network.classifier.weight
        for step in range(2):
            before = weight.detach().clone()
            rate = trainer.step(*batch(step)).rate
            moved = weight.grad != 0
            torch.testing.assert_close((weight - before)[moved], -rate * weight.grad.sign()[moved], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adamw"])
def test_weight_decay_acts_on_its_kinds_only(name):
    net = still()
    before = {key: p.detach().clone() for key, p in net.named_parameters()}
    settings = {"optimizer__weight_decay": 0.5, "optimizer__clip_all": 0.0, "schedule__warmup_epochs": 0}
    trainer = Trainer(net, recipe(optimizer__name=name, **settings), 10)
    trainer._backward = lambda *_: torch.zeros(())  # no gradient but the decay's
    for p in net.parameters():
        p.grad = torch.zeros_like(p)
    trainer.optimizer.zero_grad = lambda: None
    trainer.step(*batch())
    for key, p in net.named_parameters():
        if kind(key, p) == "kernels":
            assert (p.abs() <= before[key].abs() + 1e-7).all() and not torch.equal(p, before[key]), key
        else:
            assert torch.equal(p, before[key]), key


def test_clip_each_is_kerass_clipnorm():
    net = still()
    trainer = Trainer(net, recipe(optimizer__clip_each=0.1, optimizer__clip_all=0.0, optimizer__weight_decay=0.0), 10)
    trainer.step(*batch())
    ours = {name: p.grad.clone() for name, p in net.named_parameters()}
    bare = still().train()
    clips, labels = batch()
    F.cross_entropy(bare.logits(video.to_float(clips)), labels, label_smoothing=0.1).backward()
    scaled = 0
    for name, p in bare.named_parameters():
        norm = p.grad.norm()
        scaled += bool(norm > 0.1)
        expected = p.grad * 0.1 / norm if norm > 0.1 else p.grad  # w * c / max(|w|, c)
        torch.testing.assert_close(ours[name], expected, rtol=1e-5, atol=1e-8)
    assert 0 < scaled < len(ours)


def test_the_average_starts_fast_and_ends_slow():
    net = still()
    average = Average(net, 0.9)
    values = []
    expected = float(net.stem.norm.bias[0].detach())
    for n in range(40):
        with torch.no_grad():
            net.stem.norm.bias.fill_(float(n))
            net.stem.norm.running_mean.fill_(float(n))
        average.update(n)
        decay = min(0.9, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * n
        values.append(float(average.network.stem.norm.bias[0]))
    assert values[-1] == pytest.approx(expected, rel=1e-5)
    assert float(average.network.stem.norm.running_mean[0]) == pytest.approx(expected, rel=1e-5)
    assert not average.network.training


def test_recalibrated_statistics_are_those_of_the_clips():
    net = network(dropout=0.5, drop_path=0.5)
    batches = [video.to_float(batch(seed)[0]) for seed in range(3)]
    before = weights(net).clone()
    found = recalibrated(net, batches)
    assert torch.equal(before, weights(net)) and not found.training and found.architecture == net.architecture
    # the stem's input is the clips, so that its statistics have a closed form
    stems = [spatial_conv(channels_last(clips), net.stem.weight, 2) for clips in batches]
    var, mean = zip(*(torch.var_mean(x, (0, 2, 3, 4)) for x in stems), strict=True)
    torch.testing.assert_close(found.stem.norm.running_mean, torch.stack(mean).mean(0).detach(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.stem.norm.running_var, torch.stack(var).mean(0).detach(), rtol=1e-4, atol=1e-5)
    # on one batch, evaluation then equals training without its random parts
    still_net = still()
    one = recalibrated(still_net, batches[:1])
    with torch.no_grad():
        torch.testing.assert_close(one.logits(batches[0]), still_net.train().logits(batches[0]), rtol=5e-2, atol=5e-3)


def test_accumulation_is_the_mean_of_its_pieces_gradients():
    net = still()
    trainer = Trainer(net, recipe(compute__accumulate=2, optimizer__clip_all=0.0, optimizer__weight_decay=0.0), 10)
    clips, labels = batch()
    outcome = trainer.step(clips, labels)
    bare = still().train()
    total = 0.0
    for half in (slice(0, 4), slice(4, 8)):
        loss = F.cross_entropy(bare.logits(video.to_float(clips[half])), labels[half], label_smoothing=0.1) / 2
        loss.backward()
        total += float(loss.detach())
    assert outcome.loss == pytest.approx(total, rel=1e-6)
    for ours, theirs in zip(net.parameters(), bare.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-5, atol=1e-7)


def test_one_sub_clip_is_ordinary_training_to_the_last_bit():
    one, other = network(stream=True), network(stream=True)
    trainers = [Trainer(one, recipe(compute__subclips=1), 10), Trainer(other, recipe(), 10)]
    for step in range(3):
        assert trainers[0].step(*batch(step)) == trainers[1].step(*batch(step))
    assert torch.equal(weights(one), weights(other))


def test_sub_clips_carry_the_state_and_average_the_losses():
    net, bare = still(stream=True), still(stream=True).train()
    trainer = Trainer(net, recipe(compute__subclips=2, optimizer__clip_all=0.0, optimizer__weight_decay=0.0), 10)
    clips, labels = batch()
    outcome = trainer.step(clips, labels)
    state, total = bare.initial_state(8, 16, 16), 0.0
    for frames in (slice(0, 2), slice(2, 4)):
        logits, state = bare(video.to_float(clips[:, :, frames]), state)
        loss = F.cross_entropy(logits, labels, label_smoothing=0.1) / 2
        loss.backward()
        total += float(loss.detach())
        state = {name: tensor.detach() for name, tensor in state.items()}
    assert outcome.loss == pytest.approx(total, rel=1e-6)
    for (name, ours), theirs in zip(net.named_parameters(), bare.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6, msg=name)
    assert not torch.allclose(net.stem.norm.running_mean, torch.zeros(()))


def test_activation_checkpointing_computes_the_same():
    one, other = network(), network()
    trainers = [Trainer(one, recipe(compute__checkpointing=True), 10), Trainer(other, recipe(), 10)]
    for step in range(2):
        assert trainers[0].step(*batch(step)) == trainers[1].step(*batch(step))
    assert torch.equal(weights(one), weights(other))


def test_bfloat16_computes_about_the_same_and_keeps_weights_in_float32():
    outcomes = []
    for precision in ("bfloat16", "float32"):
        net = still()
        trainer = Trainer(net, recipe(compute__precision=precision), 10)
        outcomes.append(trainer.step(*batch()))
        assert {tensor.dtype for tensor in net.state_dict().values()} == {torch.float32}
    assert outcomes[0].loss != outcomes[1].loss
    assert outcomes[0].loss == pytest.approx(outcomes[1].loss, rel=0.02)
    assert outcomes[0].gradient_norm == pytest.approx(outcomes[1].gradient_norm, rel=0.1)


def test_sub_clips_without_the_state_would_learn_something_else():
    clips, labels = batch()
    outcomes = [
        Trainer(still(stream=True), recipe(compute__subclips=count), 10).step(clips, labels).gradient_norm
        for count in (1, 2, 4)
    ]
    assert len({round(norm, 4) for norm in outcomes}) == 3


@pytest.mark.parametrize(
    ("stream", "settings", "message"),
    [
        (False, {"compute__subclips": 2}, "is not causal"),
        (False, {"compute__precision": "float16"}, "needs a GPU"),
    ],
)
def test_what_cannot_be_combined_is_refused(stream, settings, message):
    with pytest.raises(ValueError, match=message):
        Trainer(network(stream=stream), recipe(**settings), 10)


def test_frames_and_clips_that_do_not_split_are_refused():
    with pytest.raises(ValueError, match="clips of 4 frames do not split into 3 sub-clips"):
        Trainer(network(stream=True), recipe(compute__subclips=3), 10).step(*batch())
    with pytest.raises(ValueError, match="a batch of 6 clips does not split into 4"):
        Trainer(network(), recipe(compute__accumulate=4), 10).step(*batch(clips=6))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_said():
    with pytest.raises(ValueError, match="finds no GPU here"):
        Trainer(network(), recipe(), 10, device="cuda")


def test_random_parts_are_functions_of_seed_and_step_and_leave_torch_alone():
    torch.manual_seed(7)
    before = torch.get_rng_state()
    nets = [network(), network(), network()]
    trainers = [Trainer(nets[i], recipe(loss__mixup=0.4), 10, seed=seed) for i, seed in enumerate((0, 0, 1))]
    outcomes = [[trainer.step(*batch(step)).loss for step in range(2)] for trainer in trainers]
    assert outcomes[0] == outcomes[1] != outcomes[2]
    assert torch.equal(weights(nets[0]), weights(nets[1]))
    assert torch.equal(before, torch.get_rng_state())


def test_frozen_epochs_move_the_classifier_only():
    net = network()
    before = copy.deepcopy(net.state_dict())
    trainer = Trainer(net, recipe(network__freeze_epochs=1, schedule__warmup_epochs=0), 10, epoch_steps=2)
    for step in range(2):
        trainer.step(*batch(step))
    moved = {name for name, tensor in net.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved == {"classifier.weight", "classifier.bias"}
    trainer.step(*batch(2))
    moved = {name for name, tensor in net.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved == set(before)


# Losses


def test_mixed_clips_have_mixed_labels():
    logits = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 2])
    targets = losses.mixed_labels(labels, 5, 0.7)
    by_hand = 0.7 * F.cross_entropy(logits, labels) + 0.3 * F.cross_entropy(logits, labels.flip(0))
    mixed = losses.classification(logits, targets, Loss(label_smoothing=0.0))
    assert float(mixed) == pytest.approx(float(by_hand), rel=1e-6)


def test_distillation_is_zero_at_the_teachers_answer_and_weighs_as_said():
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(4, 5, generator=generator, dtype=torch.float64) for _ in range(2))
    labels = torch.tensor([0, 1, 2, 3])
    only = Loss(label_smoothing=0.0, distillation=1.0, temperature=3.0)
    assert float(losses.classification(teacher, labels, only, teacher)) == pytest.approx(0.0, abs=1e-6)
    p, q = (teacher / 3).softmax(1), (student / 3).softmax(1)
    divergence = 9 * float((p * (p / q).log()).sum(1).mean())
    assert float(losses.classification(student, labels, only, teacher)) == pytest.approx(divergence, rel=1e-5)
    half = Loss(label_smoothing=0.0, distillation=0.25, temperature=3.0)
    expected = 0.75 * float(F.cross_entropy(student, labels)) + 0.25 * divergence
    assert float(losses.classification(student, labels, half, teacher)) == pytest.approx(expected, rel=1e-5)


def test_acceleration_is_zero_on_straight_lines_and_four_thirds_times_six_on_noise():
    start, slope = torch.randn(2, 3, 5, 1, 1, 1, generator=torch.Generator().manual_seed(0))
    line = start + slope * torch.arange(6.0).view(1, 1, 6, 1, 1)
    assert float(losses.acceleration(line.expand(3, 5, 6, 2, 2))) == pytest.approx(0.0, abs=1e-6)
    noise = torch.randn(64, 16, 32, 1, 1, generator=torch.Generator().manual_seed(1))
    assert float(losses.acceleration(noise)) == pytest.approx(6.0, rel=0.05)  # var of a - 2b + c is 1 + 4 + 1
    assert float(losses.acceleration(noise * 100 + 3)) == pytest.approx(float(losses.acceleration(noise)), rel=1e-3)
    assert float(losses.acceleration(noise[:, :, :2])) == 0.0


def test_smoothness_smooths():
    values = []
    for weight in (0.0, 3.0):
        net = still(stream=True)
        trainer = Trainer(net, recipe(loss__smoothness=weight, schedule__warmup_epochs=0), 60)
        clips, labels = batch(frames=8)
        for _ in range(25):
            trainer.step(clips, labels)
        with torch.no_grad(), losses.watched(net.bottlenecks()[-1]) as maps:
            net.train().logits(video.to_float(clips))
        values.append(float(losses.acceleration(maps[0])))
    assert values[1] < 0.7 * values[0]


@pytest.mark.parametrize("streams", [False, True])
def test_a_teacher_teaches_clip_or_stream(streams):
    teacher = network(stream=streams, seed=5).eval()
    clips, labels = batch()
    with torch.no_grad():
        answer = teacher.logits(video.to_float(clips))
    student = still(stream=True)
    subclips = 2 if streams else 1
    trainer = Trainer(student, recipe(loss__distillation=1.0, compute__subclips=subclips), 10, teacher=teacher)
    torch.testing.assert_close(trainer._taught(clips, 1.0), answer, rtol=1e-4, atol=1e-5)
    first = trainer.step(clips, labels).loss
    for _ in range(8):
        last = trainer.step(clips, labels).loss
    assert last < first
    with pytest.raises(ValueError, match="the teacher has 5 classes, the network 18"):
        Trainer(still(), recipe(), 10, teacher=network(classes=5).eval())


# What is not finite


def test_a_step_that_is_not_finite_changes_nothing(monkeypatch):
    net = network()
    trainer = Trainer(net, recipe(), 10)
    trainer.step(*batch())
    before, averaged = weights(net).clone(), weights(trainer.evaluated).clone()
    real = losses.classification
    monkeypatch.setattr(losses, "classification", lambda *a: real(*a) * math.nan)
    outcome = trainer.step(*batch(1))
    assert outcome.skipped and math.isnan(outcome.loss)
    assert torch.equal(before, weights(net)) and torch.equal(averaged, weights(trainer.evaluated))
    assert (trainer.skipped, trainer.in_a_row, trainer.done) == (1, 1, 2)
    monkeypatch.setattr(losses, "classification", real)
    assert not trainer.step(*batch(2)).skipped
    assert (trainer.skipped, trainer.in_a_row) == (1, 0)


def test_a_gradient_that_is_not_finite_skips_too():
    net = network()
    net.classifier.weight.register_hook(lambda grad: grad * math.inf)
    trainer = Trainer(net, recipe(), 10)
    before = weights(net).clone()
    outcome = trainer.step(*batch())
    assert outcome.skipped and math.isfinite(outcome.loss)
    assert torch.equal(before, weights(net))


def test_several_in_a_row_stop_with_the_layer_that_broke():
    net = network()
    trainer = Trainer(net, recipe(), 100)
    watch = Watch(trainer)
    trainer.step(*batch())
    with torch.no_grad():
        net.bottlenecks()[1].project.weight[0, 0] = math.inf
    clips, labels = batch()
    with pytest.raises(NotFinite, match=r"5 steps in a row.*blocks\.1\.layers\.0.*lower optimizer\.lr") as caught:
        for _ in range(10):
            watch(trainer.step(clips, labels), clips)
    assert trainer.in_a_row == 5
    layers_said = {record["layer"]: record for record in caught.value.layers}
    assert list(layers_said) == layer_weights.bottleneck_names(net.architecture)
    assert layers_said["blocks.0.layers.0"]["output"] is not None
    assert layers_said["blocks.1.layers.0"]["output"] is None and layers_said["blocks.1.layers.0"]["weight"] is None


# Going on


@pytest.mark.parametrize("name", ["sgd", "adamw", "rmsprop"])
def test_a_restored_trainer_goes_on_bit_for_bit(name, tmp_path):
    from training.steps import checkpoint

    def fresh():
        return Trainer(
            network(),
            recipe(optimizer__name=name, loss__mixup=0.3, optimizer__lr=0.01, network__freeze_epochs=1),
            10,
            epoch_steps=2,
        )

    straight = fresh()
    outcomes = [straight.step(*batch(step)) for step in range(6)]
    for cut in (1, 3):  # in the frozen epoch, and behind it
        first = fresh()
        assert [first.step(*batch(step)) for step in range(cut)] == outcomes[:cut]
        tensors, data = first.state()
        checkpoint.save(tmp_path / str(cut), cut, tensors, data)
        found, damaged = checkpoint.load_newest(tmp_path / str(cut))
        assert found is not None and not damaged
        second = Trainer(network(seed=9), first.recipe, 10, epoch_steps=2)
        second.restore(found.step, found.tensors, found.data)
        assert [second.step(*batch(step)) for step in range(cut, 6)] == outcomes[cut:]
        assert torch.equal(weights(second.network), weights(straight.network))
        assert torch.equal(weights(second.evaluated), weights(straight.evaluated))
