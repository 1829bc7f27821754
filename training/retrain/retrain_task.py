"""One network's training within a run, as the loop runs it: epochs, scorings, what is kept, and how it is resumed."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

import networks
from networks import Network
from networks.weights import check_size
from searchspace import NetworkSpec
from searchspace.schema import write_atomically
from searchspace.stored import AMOUNT, COUNT, Each, Maybe, conform, read_records
from searchspace.targets import BEST, LAST
from training.batch_order import Order
from training.data_parts import TEST, TRAIN, WATCH, Selection
from training.evaluation.classification_scores import Scores
from training.evaluation.part_scores import evaluate
from training.evaluation.predictions import for_inference
from training.machine.interrupt import Interrupt
from training.machine.resources import is_out_of_memory
from training.progress import Progress
from training.recipe import Recipe
from training.retrain.footprint import check_batch
from training.retrain.initial_weights import solve_again_, start
from training.retrain.recalibration import recalibrated, training_clips
from training.retrain.retrain_config import RetrainConfig
from training.run.formats import EPOCH
from training.run.ledger import Ledger
from training.seeds import generator
from training.steps import checkpoint, loop
from training.steps.divergence import NotFinite
from training.steps.losses import class_weights
from training.steps.network_task import NetworkTask
from training.steps.run_state import RunState
from training.steps.step_log import StepLog
from training.steps.trainer import Trainer

COLUMNS = ("loss", "gradient_norm", "rate", "skipped", "data_ms", "step_ms")
SCALARS = {
    "loss": "training/loss",
    "gradient_norm": "training/gradient_norm",
    "rate": "training/learning_rate",
    "skipped": "training/skipped",
    "data_ms": "time/data_ms",
    "step_ms": "time/step_ms",
}
CHECKPOINT = {
    "architecture": str,
    "best": Maybe(float),
    "lines": Each(COUNT),
    "trainer": dict,
    "recipe?": dict,
    "seconds": AMOUNT,
}
"""The data of a checkpoint, beside the tensors."""

MOMENTS = 200
"""How often TensorBoard shows a training, about."""

MOST_BETWEEN_CHECKPOINTS = 500
"""Steps; at the end of an epoch there is a checkpoint in any case."""
EVALUATION_BATCH = 32


@dataclasses.dataclass(frozen=True)
class Length:
    """How long a training is, in steps."""

    steps: int
    epoch_steps: float
    between: float
    """Steps from one scoring to the next: one epoch, or as many as are worth a scoring."""

    @classmethod
    def of(cls, recipe: Recipe, train_clips: int, batch: int) -> Length:
        """So many clips an epoch, in batches of so many."""
        epoch = train_clips / batch
        steps = max(1, round(recipe.schedule.epochs * epoch), recipe.schedule.least_steps)
        return cls(steps, epoch, epoch * max(1, math.ceil(recipe.evaluation.least_steps / epoch)))

    def scored_after(self, done: int) -> bool:
        """Whether the network is scored after so many steps."""
        return done == self.steps or int(done / self.between) > int((done - 1) / self.between)


class RetrainTask(NetworkTask):
    """The training of one network, from wherever its folder stands.

    Args:
        config: of the run.
        folder: of this network: the run's own, or that of a member of an ensemble.
        again: the command that goes on with the run, for messages.
        architecture: with the data's number of classes, at the clip to train on.
        source: the data at that clip, parts "train", "watch", "test".
        seed: of the weights, the order and all draws.
        member: which one of the run's networks.
        members: how many these are.
        teacher: or None.
        progress: where to report.
        interrupt: the wish to stop.

    Attributes:
        tested: answers of the best network on the test clips, once `finish` has returned.
    """

    source: Selection
    state: RunState
    tested: Scores

    def __init__(
        self,
        config: RetrainConfig,
        folder: Path,
        again: str,
        architecture: NetworkSpec,
        source: Selection,
        *,
        seed: int,
        member: int,
        members: int,
        teacher: Network | None,
        progress: Progress,
        interrupt: Interrupt,
    ) -> None:
        recipe, device = config.recipe, config.device
        self.config, self.recipe, self.folder, self.architecture = config, recipe, folder, architecture
        self.interrupt, self.member, self.members = interrupt, member, members
        folder.mkdir(exist_ok=True)
        size = source.parts[TRAIN]
        epoch = recipe.schedule.epoch_clips if config.data is None else size
        order = Order(TRAIN, size, recipe.optimizer.batch, seed)
        check_batch(architecture, recipe, order.batch)
        self.length = Length.of(recipe, epoch, order.batch)
        metrics = Ledger(folder / "metrics.csv", ",".join(("step", "epoch", *COLUMNS)))
        self.scores = Ledger(folder / "scores.jsonl")
        state = RunState(folder, again, (metrics, self.scores), progress, config.keep)
        self.checkpoints = state.checkpoints
        kept = checkpoint.names(self.checkpoints)
        states = [file for name in kept if (file := self.checkpoints / name / "network.safetensors").is_file()]
        if states:
            check_size(architecture, [max(states, key=lambda file: file.stat().st_size)])
        # Of a run that goes on, weights are read back anyway; where they came from may be gone by now.
        network, text = start(architecture, recipe, None if kept else config.init, source, seed, member, members)
        if not kept:
            progress.line(text)
        labels = torch.from_numpy(source.labels(TRAIN))
        trainer = Trainer(
            network,
            recipe,
            self.length.steps,
            epoch_steps=self.length.epoch_steps,
            seed=seed,
            device=device,
            teacher=teacher,
            weights=class_weights(labels, len(source.classes), recipe.loss.balance),
        )
        log = StepLog(progress, trainer.steps, metrics=metrics, columns=COLUMNS, names=SCALARS, moments=MOMENTS)
        super().__init__(trainer, source, TRAIN, order, log, state)
        self.best: float | None = None
        self.waited, self.accuracy, self.spent = 0, math.nan, 0.0
        self._restore(state)
        log.open_scalars(folder / "tensorboard", trainer.done)
        self.begun = time.perf_counter()

    # What the loop calls

    def begin(self) -> None:
        """Scores where training starts from weights, or where it was stopped while it was scored."""
        if not self.done:
            if self.config.init is not None:
                self._score()  # what the weights know already competes with what training makes of them
        elif self.length.scored_after(self.done) and not self._scored():
            self._score()
            self.save()

    def place(self) -> tuple[str, ...]:
        """Epochs done."""
        return (f"{self.done / self.length.epoch_steps:.6g}",)

    def shown(self, values: Mapping[str, float]) -> Mapping[str, float]:
        """Accuracy at the last scoring, and the learning rate."""
        return {"accuracy": self.accuracy, "rate": values["rate"]}

    def follow(self, batches: list[loop.Batch]) -> None:
        """Watches, and scores at the end of an epoch."""
        super().follow(batches)
        if self.length.scored_after(self.done):
            self._score()

    @property
    def ended(self) -> bool:
        """Whether enough scorings in a row were not better."""
        patience = self.recipe.evaluation.patience
        return bool(patience) and self.waited >= patience

    def due(self, saved: int) -> bool:
        """After every scoring, and after so many steps without one."""
        return self.length.scored_after(self.done) or self.done - saved >= MOST_BETWEEN_CHECKPOINTS

    def content(self) -> tuple[dict[str, checkpoint.Tensors], dict[str, Any]]:
        """The trainer's state, and what tells this training from others."""
        tensors, data = super().content()
        kept = {"architecture": self.architecture.key(), "best": self.best, "trainer": data}
        kept |= {"seed": self.trainer.seed, "recipe": self.recipe.flat(), "seconds": self._seconds()}
        return tensors, kept

    def explained(self, error: Exception) -> Exception:
        """Says what to do where memory ended, and where the last good checkpoint is of a training that diverged."""
        if isinstance(error, NotFinite):
            return self._diverged(error)
        return ValueError(self._out_of_memory()) if is_out_of_memory(error) else error

    # Scoring

    def _network(self) -> Network:
        """What is scored and kept after the steps so far."""
        network, count = self.trainer.evaluated, self.recipe.network.recalibrate
        if not count:
            return network
        draw = generator(self.trainer.seed, "recalibration", self.done)
        clips = training_clips(self.source, TRAIN, count, self.order.batch, draw, self.config.device)
        return recalibrated(network, clips)

    def _evaluate(self, network: Network, part: str, title: str) -> Scores:
        config = self.config
        return evaluate(
            network.logits,
            self.source,
            part,
            views=config.views,
            batch=EVALUATION_BATCH,
            device=config.device,
            told=lambda done, total: self._told(title, done, total),
        )

    def _told(self, title: str, done: int, total: int) -> None:
        """Says how far a scoring is; raises `Interrupted` where that is wished, which leaves nothing half done."""
        if self.interrupt.exit_code:
            raise self.stopped(self.interrupt.exit_code)
        self.log.progress.phase(title, done, total)

    def _score(self) -> None:
        """The end of an epoch: how good is it, and is it the best?"""
        step = self.done
        network = self._network() if step else self.trainer.evaluated
        score = self._evaluate(network, WATCH, "scoring on held-out clips")
        self.accuracy = score.accuracy
        epoch = round(step / self.length.epoch_steps, 3)
        record = {"step": step, "epoch": epoch, "clips": score.clips, "correct": score.correct}
        loss = score.loss if math.isfinite(score.loss) else None
        self.scores.append_json({**record, "loss": loss, "accuracy": score.accuracy})
        self.log.add_scalars(step, {"held_out/accuracy": score.accuracy, "held_out/loss": score.loss})
        measure = _measure(step, score.accuracy, loss)
        self.waited += 1
        if self.best is None or measure > self.best:
            self.best, self.waited = measure, 0
            self._keep(BEST, score, network, step)
        if self.ended and step < self.steps:
            self.log.progress.line(
                f"stopped at step {step} of {self.steps}: {self.waited} scorings in a row were not better"
            )

    def _scored(self) -> bool:
        records = read_records(self.scores.path, EPOCH)
        return bool(records) and records[-1]["step"] == self.done

    def _keep(self, which: str, scores: Scores, network: Network, step: int) -> None:
        networks.save_trained(
            self.checkpoints / which,
            network,
            classes=self.source.classes,
            recipe=self.recipe.to_dict(),
            data=self.source.describe(),
            metrics=scores.stored_metrics(),
            step=step,
        )

    # Resuming

    def _restore(self, state: RunState) -> None:
        found = state.restore(self._take)
        if found is not None:
            self.best, self.spent = found.data["best"], found.data["seconds"]
        done = read_records(self.scores.path, EPOCH)
        self.accuracy = float(done[-1]["accuracy"]) if done else math.nan
        measures = [_measure(record["step"], record["accuracy"], record["loss"]) for record in done]
        self.waited = len(measures) - 1 - measures.index(max(measures)) if measures else 0
        if found is not None:
            state.say_resumed(self.done, self.steps)

    def _take(self, found: checkpoint.Checkpoint) -> None:
        """Puts a checkpoint where it belongs; raises `ValueError`, or another error, where it is not of this run."""
        data = conform(found.data, CHECKPOINT, "checkpoint.json")
        if data["architecture"] != self.architecture.key():
            raise ValueError(f"one of the checkpoints of another network than {self.architecture.name!r}")
        own = {"seed": self.trainer.seed, **self.recipe.flat()}
        theirs = {"seed": data.get("seed", own["seed"]), **data.get("recipe", {})}
        for key in theirs:
            if own.get(key) != theirs[key]:
                there = f"{key} is {str(theirs[key])[:60]} there, {own.get(key)} here"
                raise ValueError(f"one of the checkpoints of another training ({there})")
        self.trainer.restore(found.step, found.tensors, data["trainer"])

    def _seconds(self) -> float:
        """Of this training so far, in all processes that took part."""
        return self.spent + time.perf_counter() - self.begun

    # When it ends early

    def _diverged(self, error: NotFinite) -> ValueError:
        path = self.folder / "diagnosis.json"
        write_atomically(path, json.dumps(error.layers, indent=2, allow_nan=False) + "\n")
        good = self.state.last_good()
        where = f"the last good checkpoint is {good}" if good else "there is no checkpoint yet"
        return ValueError(f"{error}; {where}; layer by layer: {path}")

    def _out_of_memory(self) -> str:
        batch, compute = self.recipe.optimizer.batch, self.recipe.compute
        good = self.state.last_good()
        more = next((pieces for pieces in range(compute.accumulate + 1, batch + 1) if batch % pieces == 0), None)
        remedies = [f"--set compute.accumulate={more}", "a smaller --batch"] if more is not None else []
        remedies += [] if compute.checkpointing else ["--set compute.checkpointing=true"]
        return (
            f"out of memory at step {self.done}, with {batch // compute.accumulate} clips of "
            f"{self.architecture.clip} at once; start a new run with {', '.join([*remedies, 'or a smaller --clip'])}"
            + (f"; the state so far is {good}" if good else "")
        )

    # The end

    def finish(self) -> dict[str, Any]:
        """Scores the last and the best network on the test clips, and keeps both."""
        watched = {record["step"]: record for record in read_records(self.scores.path, EPOCH)}
        best = networks.load(self.checkpoints / BEST)
        if best.step == 0 and self.config.init is not None:
            given = (self.config.init, self.source, (TRAIN, WATCH), self.member, self.members)
            if solve_again_(best.network, *given):
                self.log.progress.line(
                    "training gained nothing: the start is kept, its classifier solved on more clips"
                )
        last: Network = self._network()
        results: dict[str, Any] = {}
        done = self.done
        for which, network, step in ((LAST, last, done), (BEST, best.network, best.step)):
            if which == LAST or step != done:
                title = f"scoring the {which} network on the test clips"
                self.tested = self._evaluate(for_inference(network.to(self.config.device)), TEST, title)
            self._keep(which, self.tested, network, step)
            results[which] = {"step": step, **self.tested.stored_metrics(), "watched": watched.get(step)}
        return {
            "steps": done,
            "clips": done * self.order.batch,
            "skipped": self.trainer.skipped,
            **results,
            "seconds": self._seconds(),
        }


def _measure(step: int, accuracy: float, loss: float | None) -> float:
    """What the best network has most of: accuracy, and of equals the lower loss; the start is the last of equals.

    Its loss says how sure a classifier is that was made for training, not for answers.
    """
    return accuracy - min(1e3 if loss is None or step == 0 else loss, 1e3) * 1e-6
