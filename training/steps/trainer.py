"""One step of training a network, and everything that makes it repeatable: what `fit`, retraining and trials share."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import video
from networks import Network, State
from networks.tensors import check_tensor
from networks.weights import misfit
from searchspace import NetworkSpec
from searchspace.stored import COUNT, Number, conform
from training.machine.device import check_device
from training.machine.precision import autocast
from training.recipe import Recipe
from training.seeds import generator, torch_seed
from training.steps import checkpoint, losses, optimizers
from training.steps.parameter_groups import Average, of_kinds
from training.steps.rate_schedule import learning_rate


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What a step did.

    Attributes:
        loss: mean over the batch.
        gradient_norm: of all parameters together, before `clip_all`.
        rate: learning rate.
        skipped: loss or gradient were not finite, and the weights are as before.
    """

    loss: float
    gradient_norm: float
    rate: float
    skipped: bool


STATE = {"optimizer": dict, "scaler": dict, "skipped": COUNT, "row": COUNT}
SCALER = {
    "scale": Number(1e-300, 1e300),
    "growth_factor": Number(1, 1e9),
    "backoff_factor": Number(1e-9, 1),
    "growth_interval": COUNT,
    "_growth_tracker": COUNT,
}
"""What `Trainer.state` gives beside tensors, and of it the scale of a loss in float16."""


class Trainer:
    """A network in training.

    A step is a function of the weights, the clips and (seed, step): dropout, stochastic depth and mixup draw from
    these, so there is no random state to keep.

    Args:
        network: trained in place; moved to the device, and set up as the recipe says.
        recipe: how.
        steps: in all.
        epoch_steps: steps of an epoch; need not be whole.
        seed: of everything random.
        device: `cpu` or `cuda`.
        teacher: a network in evaluation mode whose answers are learned, too.
        weights: what clips of each class count, see `losses.class_weights`.

    Attributes:
        done: steps done.
        skipped: how many of them were skipped, and `in_a_row` how many of the last ones.
        optimizer: with every parameter in it.

    Raises:
        ValueError: what cannot be combined; says why.
    """

    def __init__(
        self,
        network: Network,
        recipe: Recipe,
        steps: int,
        *,
        epoch_steps: float = math.inf,
        seed: int = 0,
        device: str = "cpu",
        teacher: Network | None = None,
        weights: Tensor | None = None,
    ) -> None:
        check(network.architecture, recipe, device)
        if teacher is not None:
            _check_teacher(network.architecture, teacher)
        self.network = network.to(device)
        self.recipe, self.steps, self.epoch_steps = recipe, steps, epoch_steps
        self.seed, self.device = seed, device
        self.teacher = teacher.to(device).eval() if teacher is not None else None
        self._weights = None if weights is None else weights.to(device)
        self.done = self.skipped = self.in_a_row = 0
        self.optimizer = _optimizer(network, recipe)
        self._decayed = of_kinds(network, recipe.optimizer.decayed)
        self._parameters = list(network.parameters())
        self._statistics = [buffer for buffer in network.buffers() if buffer.is_floating_point()]
        average = recipe.network.average
        self._average = Average(network, average) if average else None
        network.checkpointing = recipe.compute.checkpointing
        self._scaler = torch.amp.GradScaler(device, enabled=recipe.compute.precision == "float16")
        self._compute: Callable[..., tuple[Tensor, State]] = network.compute
        if recipe.compute.compile:
            self._compute = torch.compile(network.compute)

    @property
    def evaluated(self) -> Network:
        """The network that counts, the average where there is one, in evaluation mode."""
        return self._average.network if self._average is not None else self.network.eval()

    def step(self, clips: Tensor, labels: Tensor) -> Outcome:
        """One update of the weights.

        Args:
            clips: uint8 [N, 3, T, H, W].
            labels: int64 [N].

        Raises:
            ValueError: a number of clips or frames that does not split as the recipe says, or what is no tensor.
        """
        check_tensor(clips, "clips")
        check_tensor(labels, "labels")
        recipe, step = self.recipe, self.done
        rate = self._rate(step)
        self._freeze(step)
        before = [buffer.clone() for buffer in self._statistics]
        self.optimizer.zero_grad()
        pieces = recipe.compute.accumulate
        if len(clips) % pieces:
            raise ValueError(f"a batch of {len(clips)} clips does not split into {pieces} equal pieces")
        loss = torch.zeros((), device=self.device)
        with torch_seed(self.seed, "step", step, self.device):
            for some, theirs in zip(clips.chunk(pieces), labels.to(self.device).chunk(pieces), strict=True):
                loss += self._backward(some, theirs, 1.0 / pieces)
        norm = self._prepare_gradients()
        value = float(loss)
        skipped = not (math.isfinite(value) and math.isfinite(norm))
        if skipped:
            for buffer, old in zip(self._statistics, before, strict=True):
                buffer.copy_(old)
        else:
            self._scaler.step(self.optimizer)
            if self._average is not None:
                self._average.update(step)
        self._scaler.update()
        self.in_a_row = self.in_a_row + 1 if skipped else 0
        self.skipped += skipped
        self.done += 1
        return Outcome(value, norm, rate, skipped)

    def _rate(self, step: int) -> float:
        """Sets and returns the learning rate of a step."""
        schedule, peak = self.recipe.schedule, self.recipe.optimizer.lr
        warmup = schedule.warmup_epochs * self.epoch_steps if schedule.warmup_epochs else 0.0
        rate = learning_rate(step, self.steps, peak, round(min(warmup, self.steps)), schedule.floor)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return rate

    def _freeze(self, step: int) -> None:
        """At first only the classifier may learn, on what the network shows in evaluation mode."""
        epochs = self.recipe.network.freeze_epochs
        frozen = epochs > 0 and step < epochs * self.epoch_steps
        self.network.train(not frozen)
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(not frozen or name.startswith("classifier."))

    def _backward(self, clips: Tensor, labels: Tensor, share: float) -> Tensor:
        """Adds the gradients of some clips, one sub-clip after the other; returns their part of the loss."""
        loss = self.recipe.loss
        targets, mixed = labels, 1.0
        if loss.mixup:
            mixed = float(generator(self.seed, "mixup", self.done).beta(loss.mixup, loss.mixup))
            targets = losses.mixed_labels(labels, self.network.architecture.classes, mixed)
        count = self.recipe.compute.subclips
        taught = self._taught(clips, mixed) if self.teacher is not None and loss.distillation else None
        total = torch.zeros((), device=self.device)
        state: State | None = None
        for sub in self._subclips(clips, mixed):
            last = self.network.smoothed() if loss.smoothness else None
            with autocast(self.device, self.recipe.compute.precision), losses.watched(last) as maps:
                logits, after = self._compute(sub, state)
            value = losses.classification(logits, targets, loss, taught, self._weights)
            if maps:
                value = value + loss.smoothness * losses.acceleration(maps[0])
            value = value * (share / count)
            self._scaler.scale(value).backward()  # type: ignore[no-untyped-call]  # torch's own
            total += value.detach()
            state = {name: tensor.detach() for name, tensor in after.items()} if count > 1 else None
        return total

    def _subclips(self, clips: Tensor, mixed: float) -> Iterator[Tensor]:
        """The clips in pieces of equal length in time, as floats, each made when it is its turn."""
        frames, count = clips.shape[2], self.recipe.compute.subclips
        if frames % count:
            raise ValueError(f"clips of {frames} frames do not split into {count} sub-clips of equal length")
        for part in clips.chunk(count, dim=2):
            floats = video.to_float(part.to(self.device, non_blocking=True))
            yield floats if mixed == 1.0 else torch.lerp(floats.flip(0), floats, mixed)

    @torch.no_grad()
    def _taught(self, clips: Tensor, mixed: float) -> Tensor:
        """The teacher's logits [N, classes] of the clips, at the size that it is meant for.

        A teacher that streams sees one sub-clip after the other, so that memory does not grow with the frames.
        """
        assert self.teacher is not None
        height, width = self.teacher.architecture.clip.height, self.teacher.architecture.clip.width
        parts, state, logits = self._subclips(clips, mixed), None, None
        for part in parts if self.teacher.streams else [torch.cat(list(parts), dim=2)]:
            if part.shape[3:] != (height, width):
                frames = part.transpose(1, 2).flatten(0, 1)
                sized = F.interpolate(frames, (height, width), mode="bilinear", antialias=True, align_corners=False)
                part = sized.view(len(part), -1, *sized.shape[1:]).transpose(1, 2)
            if self.teacher.streams:
                start = self.teacher.initial_state(len(part), height, width) if state is None else state
                logits, state = self.teacher(part, start)
            else:
                logits = self.teacher(part)
        return cast(Tensor, logits)

    def _prepare_gradients(self) -> float:
        """Scales back, adds weight decay, clips; returns the norm of all gradients."""
        recipe = self.recipe.optimizer
        self._scaler.unscale_(self.optimizer)
        if recipe.weight_decay and recipe.name != "adamw":
            for parameter in self._decayed:
                if parameter.grad is not None:
                    parameter.grad.add_(parameter.detach(), alpha=recipe.weight_decay)
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        if recipe.clip_each:
            _clip_each(gradients, recipe.clip_each)
        norm = nn.utils.get_total_norm(gradients)
        if recipe.clip_all:
            nn.utils.clip_grads_with_norm_(self._parameters, recipe.clip_all, norm)
        return float(norm)

    # What a checkpoint holds

    def state(self) -> tuple[dict[str, checkpoint.Tensors], dict[str, Any]]:
        """Tensors by group, and plain data, for `training.steps.checkpoint`."""
        optimizer, plain = checkpoint.optimizer_state(self.optimizer)
        tensors = {"network": dict(self.network.state_dict()), "optimizer": optimizer}
        if self._average is not None:
            tensors["average"] = dict(self._average.network.state_dict())
        data = {"optimizer": plain, "scaler": self._scaler.state_dict(), "skipped": self.skipped, "row": self.in_a_row}
        return tensors, data

    def restore(self, step: int, tensors: dict[str, checkpoint.Tensors], data: dict[str, Any]) -> None:
        """Puts back what `state` gave after so many steps.

        Raises:
            ValueError: it is of another network, recipe or optimiser.
            KeyError: it is not whole.
        """
        conform(data, STATE, "trainer")
        _take(self.network, tensors["network"], "network")
        checkpoint.restore_optimizer(self.optimizer, tensors["optimizer"], data["optimizer"])
        if self._average is not None:
            _take(self._average.network, tensors["average"], "average")
        if self._scaler.is_enabled():
            self._scaler.load_state_dict(conform(data["scaler"], SCALER, "scaler"))
        if not step <= self.steps:
            raise ValueError(f"it is of step {step}, of {self.steps}")
        self.done, self.skipped, self.in_a_row = step, data["skipped"], data["row"]


def _take(network: Network, tensors: checkpoint.Tensors, what: str) -> None:
    problem = misfit(network.state_dict(), tensors)
    if problem is not None:
        raise ValueError(f"{what}: {problem}")
    network.load_state_dict(tensors)


def prepare_scratch(network: Network, recipe: Recipe) -> None:
    """Starts the residual scalars of a network with fresh weights where the recipe says."""
    network.start_residuals(recipe.network.residual)


def _optimizer(network: Network, recipe: Recipe) -> torch.optim.Optimizer:
    given = recipe.optimizer
    momentum, decay, epsilon = given.momentum, given.decay, given.epsilon
    if given.name == "sgd":
        # torch's fused step cannot take in parameters that join later, as frozen ones do
        fused = recipe.network.freeze_epochs == 0
        return optimizers.build("sgd", network.parameters(), given.lr, momentum=momentum, fused=fused)
    if given.name == "rmsprop":
        options = {
            "decay": 0.9 if decay is None else decay,
            "momentum": momentum,
            "epsilon": 1.0 if epsilon is None else epsilon,
        }
        return optimizers.build("rmsprop", network.parameters(), given.lr, initial_square=0.0, **options)
    decayed = of_kinds(network, given.decayed)
    chosen = {id(p) for p in decayed}
    groups = [
        {"params": decayed, "weight_decay": given.weight_decay},
        {"params": [p for p in network.parameters() if id(p) not in chosen], "weight_decay": 0.0},
    ]
    return optimizers.build(
        "adamw",
        [group for group in groups if group["params"]],
        given.lr,
        betas=(momentum, 0.999 if decay is None else decay),
        eps=1e-8 if epsilon is None else epsilon,
    )


def _clip_each(gradients: list[Tensor], most: float) -> None:
    """Scales each gradient down to a norm of at most `most`."""
    norms = torch._foreach_norm(gradients)
    factors = [(most / norm.clamp_min(most)) for norm in norms]
    torch._foreach_mul_(gradients, factors)


def check(architecture: NetworkSpec, recipe: Recipe, device: str) -> None:
    """Refuses what cannot be combined, before anything is built; raises `ValueError` that says why."""
    compute, name = recipe.compute, architecture.name
    check_device(device)
    if compute.precision == "float16" and not device.startswith("cuda"):
        raise ValueError(
            f"compute.precision float16 needs a GPU, the device is {device}; allowed here: float32, bfloat16"
        )
    if compute.subclips > 1 and not architecture.causal:
        raise ValueError(
            f"compute.subclips is {compute.subclips}, but network {name!r} is not causal, with no state to carry from "
            "one sub-clip to the next; train its causal form (--stream), or set compute.subclips=1"
        )


def _check_teacher(architecture: NetworkSpec, teacher: Network) -> None:
    if teacher.architecture.classes != architecture.classes:
        raise ValueError(
            f"the teacher has {teacher.architecture.classes} classes, the network {architecture.classes}; "
            "give a teacher that was trained on the same classes"
        )
