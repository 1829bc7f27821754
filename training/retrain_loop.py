"""The loop of one network's training within a run: steps, epochs, checkpoints, and going on after a kill."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

import networks
import video
from networks import MoViNet
from networks.ensemble import Fused, Network
from networks.weights import check_size
from searchspace import Architecture
from searchspace.schema import write_atomically
from searchspace.stored import AMOUNT, COUNT, Each, Maybe, conform, read_records
from training import checkpoint
from training.contention import Contention
from training.evaluation import evaluate
from training.footprint import check_batch
from training.formats import EPOCH
from training.health import NotFinite, Watch
from training.initial import solve_again_, start
from training.interrupt import Interrupt, Interrupted
from training.ledger import Ledger
from training.losses import class_weights
from training.metrics import Scalars
from training.order import Order
from training.predictions import for_inference
from training.progress import Progress, Status
from training.recalibration import recalibrated, training_clips
from training.recipe import Recipe
from training.resources import is_out_of_memory
from training.retrain_config import RetrainConfig
from training.scores import Scores
from training.seeds import generator
from training.selection import TEST, TRAIN, WATCH, Selection
from training.trainer import Outcome, Trainer

CHECKPOINTS, BEST, LAST = "checkpoints", "best", "last"
METRICS = "step,epoch,loss,gradient_norm,rate,skipped,data_ms,step_ms"
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


class RetrainLoop:
    """Trains one network from wherever its folder stands to its end.

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
        tested: answers of the best network on the test clips, once `run` has returned.
    """

    tested: Scores

    def __init__(
        self,
        config: RetrainConfig,
        folder: Path,
        again: str,
        architecture: Architecture,
        source: Selection,
        *,
        seed: int,
        member: int,
        members: int,
        teacher: Network | None,
        progress: Progress,
        interrupt: Interrupt,
    ) -> None:
        self.config, self.recipe, self.folder, self.again = config, config.recipe, folder, again
        self.architecture, self.source, self.progress, self.interrupt = architecture, source, progress, interrupt
        self.member, self.members = member, members
        folder.mkdir(exist_ok=True)
        size = source.parts[TRAIN]
        epoch = self.recipe.schedule.epoch_clips if config.data is None else size
        self.order = Order(TRAIN, size, self.recipe.optimizer.batch, seed)
        check_batch(architecture, self.recipe, self.order.batch)
        self.length = Length.of(self.recipe, epoch, self.order.batch)
        self.checkpoints = folder / CHECKPOINTS
        kept = checkpoint.names(self.checkpoints)
        states = [file for name in kept if (file := self.checkpoints / name / "network.safetensors").is_file()]
        if states:
            check_size(architecture, [max(states, key=lambda file: file.stat().st_size)])
        # Of a run that goes on, weights are read back anyway; where they came from may be gone by now.
        network, text = start(architecture, self.recipe, None if kept else config.init, source, seed, member, members)
        if not kept:
            progress.line(text)
        self.trainer = Trainer(
            network,
            self.recipe,
            self.length.steps,
            epoch_steps=self.length.epoch_steps,
            seed=seed,
            device=config.device,
            teacher=teacher,
            weights=class_weights(
                torch.from_numpy(source.labels(TRAIN)), len(source.classes), self.recipe.loss.balance
            ),
        )
        self.metrics = Ledger(folder / "metrics.csv", METRICS)
        self.scores = Ledger(folder / "scores.jsonl")
        self.best: float | None = None
        self.waited = 0
        self.accuracy = math.nan
        self.smooth: dict[str, float] = {}
        self.contention = Contention()
        self.spent, self.begun = 0.0, time.perf_counter()

    def run(self) -> dict[str, Any]:
        """Trains, then scores the best and the last network on the test part.

        Returns:
            The summary of this network, plain data.

        Raises:
            Interrupted: everything is saved.
            ValueError: a checkpoint of another training, a training that came apart, memory that ended.
        """
        self._restore()
        scalars = Scalars(self.folder / "tensorboard", self.trainer.done)
        self.begun = time.perf_counter()
        try:
            self._train(scalars)
        except (RuntimeError, MemoryError, OSError) as error:
            if not is_out_of_memory(error):
                raise
            raise ValueError(self._out_of_memory()) from error
        if self.interrupt.exit_code:
            raise self._stopped()
        return self._finish()

    # Training

    def _requests(self) -> Iterator[video.Request]:
        for step in range(self.trainer.done, self.length.steps):
            epoch, indices = self.order.at(step)
            yield video.Request(TRAIN, indices, epoch, training=True)

    def _train(self, scalars: Scalars) -> None:
        trainer, watch = self.trainer, Watch(self.trainer)
        batches = video.batches(self.source, self._requests(), workers=self.config.workers, told=self.progress.line)
        saved = trainer.done
        if not saved and self.config.init is not None:
            self._score(scalars)  # what the weights know already competes with what training makes of them
        if saved and self.length.scored_after(saved) and not self._scored():  # stopped while it was scored
            self._score(scalars)
            self._save()
        while trainer.done < self.length.steps and not self._waited_enough() and not self.interrupt.exit_code:
            begin = time.perf_counter()
            try:
                clips, labels = next(batches)
            except (ValueError, OSError):
                if self.interrupt.exit_code:
                    break  # a signal to all processes ended those that load
                if trainer.done != saved:
                    self._save()
                raise
            loaded = time.perf_counter()
            outcome = trainer.step(clips, labels)
            ended = time.perf_counter()
            self._log(outcome, 1e3 * (loaded - begin), 1e3 * (ended - begin), scalars)
            try:
                watch(outcome, clips)
            except NotFinite as error:
                raise self._came_apart(error) from error
            if self.length.scored_after(trainer.done):
                try:
                    self._score(scalars)
                except (Interrupted, ValueError):  # asked to stop, or a video that cannot be read
                    self._save()
                    raise
            elif trainer.done - saved < MOST_BETWEEN_CHECKPOINTS:
                continue
            self._save()
            saved = trainer.done
        if trainer.done != saved:
            self._save()

    def _log(self, outcome: Outcome, data_ms: float, step_ms: float, scalars: Scalars) -> None:
        step, steps = self.trainer.done, self.length.steps
        values = {
            "loss": outcome.loss,
            "gradient_norm": outcome.gradient_norm,
            "rate": outcome.rate,
            "skipped": float(self.trainer.skipped),
            "data_ms": data_ms,
            "step_ms": step_ms,
        }
        row = [f"{value:.9g}" if math.isfinite(value) else "" for value in values.values()]
        self.metrics.append(",".join([str(step), f"{step / self.length.epoch_steps:.6g}", *row]))
        if outcome.skipped:
            self.progress.line(f"step {step} skipped: its loss or gradient is not finite; the weights are as before")
        for name, value in values.items():
            if math.isfinite(value):
                old = self.smooth.get(name, value)
                self.smooth[name] = old + (value - old) * 0.1
        if step % max(1, steps // 200) == 0 or step == steps:
            scalars.add(step, {SCALARS[name]: value for name, value in values.items()})
        mean = self.smooth
        self.progress.status(
            Status(
                step,
                steps,
                mean.get("loss", math.nan),
                accuracy=self.accuracy,
                rate=outcome.rate,
                data_ms=mean["data_ms"],
                step_ms=mean["step_ms"],
                eta_seconds=(steps - step) * mean["step_ms"] / 1e3,
                machine=self.contention.text(),
            )
        )

    def _network(self) -> MoViNet:
        """What is scored and kept after the steps so far."""
        network, count = self.trainer.evaluated, self.recipe.network.recalibrate
        if not count:
            return network
        draw = generator(self.trainer.seed, "recalibration", self.trainer.done)
        clips = training_clips(self.source, TRAIN, count, self.order.batch, draw, self.config.device)
        return recalibrated(network, clips)

    def _evaluate(self, network: Network | Fused, part: str, title: str) -> Scores:
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
            raise self._stopped()
        self.progress.phase(title, done, total)

    def _score(self, scalars: Scalars) -> None:
        """The end of an epoch: how good is it, and is it the best?"""
        step = self.trainer.done
        network = self._network() if step else self.trainer.evaluated
        score = self._evaluate(network, WATCH, "scoring on held-out clips")
        self.accuracy = score.accuracy
        epoch = round(step / self.length.epoch_steps, 3)
        record = {"step": step, "epoch": epoch, "clips": score.clips, "correct": score.correct}
        loss = score.loss if math.isfinite(score.loss) else None
        self.scores.append_json({**record, "loss": loss, "accuracy": score.accuracy})
        scalars.add(step, {"held_out/accuracy": score.accuracy, "held_out/loss": score.loss})
        measure = _measure(step, score.accuracy, loss)
        self.waited += 1
        if self.best is None or measure > self.best:
            self.best, self.waited = measure, 0
            self._keep(BEST, score, network, step)
        if self._waited_enough() and step < self.length.steps:
            self.progress.line(
                f"stopped at step {step} of {self.length.steps}: {self.waited} scorings in a row were not better"
            )

    def _waited_enough(self) -> bool:
        patience = self.recipe.evaluation.patience
        return bool(patience) and self.waited >= patience

    def _scored(self) -> bool:
        records = read_records(self.scores.path, EPOCH)
        return bool(records) and records[-1]["step"] == self.trainer.done

    def _keep(self, which: str, scores: Scores, network: Network, step: int) -> None:
        networks.save_trained(
            self.checkpoints / which,
            network,
            classes=self.source.classes,
            recipe=self.recipe.to_dict(),
            data=self.source.describe(),
            metrics=metrics_of(scores),
            step=step,
        )

    # Saving and going on

    def _save(self) -> None:
        tensors, data = self.trainer.state()
        lines = {ledger.path.name: ledger.lines for ledger in (self.metrics, self.scores)}
        kept = {"architecture": self.architecture.key(), "best": self.best, "lines": lines, "trainer": data}
        kept |= {"seed": self.trainer.seed, "recipe": self.recipe.flat()}
        kept["seconds"] = self._seconds()
        checkpoint.save(self.checkpoints, self.trainer.done, tensors, kept, self.config.keep)

    def _restore(self) -> None:
        found, passed = checkpoint.load_newest(self.checkpoints, self._take, ours=True)
        for text in passed:
            self.progress.line(f"damaged checkpoint passed over: {text}")
        lines = {}
        if found is not None:
            self.best, lines, self.spent = found.data["best"], found.data["lines"], found.data["seconds"]
        moved = 0
        for ledger in (self.metrics, self.scores):
            discarded = self.folder / "discarded" / ledger.path.name
            discarded.parent.mkdir(exist_ok=True)
            moved += ledger.rewind(lines.get(ledger.path.name, 0), discarded)
        done = read_records(self.scores.path, EPOCH)
        self.accuracy = float(done[-1]["accuracy"]) if done else math.nan
        measures = [_measure(record["step"], record["accuracy"], record["loss"]) for record in done]
        self.waited = len(measures) - 1 - measures.index(max(measures)) if measures else 0
        if found is not None:
            self.progress.line(
                f"going on with {self.folder} at step {self.trainer.done} of {self.length.steps}"
                + (f"; {moved} lines written after the checkpoint moved to discarded/" if moved else "")
            )

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

    def _stopped(self) -> Interrupted:
        return Interrupted(
            self.interrupt.exit_code,
            f"stopped at step {self.trainer.done} of {self.length.steps}, saved in {self.folder}; "
            f"go on with: {self.again}",
        )

    def _came_apart(self, error: NotFinite) -> ValueError:
        path = self.folder / "diagnosis.json"
        write_atomically(path, json.dumps(error.layers, indent=2, allow_nan=False) + "\n")
        kept = checkpoint.names(self.checkpoints)
        where = f"the last good checkpoint is {self.checkpoints / kept[-1]}" if kept else "there is no checkpoint yet"
        return ValueError(f"{error}; {where}; layer by layer: {path}")

    def _out_of_memory(self) -> str:
        batch, compute = self.recipe.optimizer.batch, self.recipe.compute
        kept = checkpoint.names(self.checkpoints)
        more = next((pieces for pieces in range(compute.accumulate + 1, batch + 1) if batch % pieces == 0), None)
        remedies = [f"--set compute.accumulate={more}", "a smaller --batch"] if more is not None else []
        remedies += [] if compute.checkpointing else ["--set compute.checkpointing=true"]
        return (
            f"out of memory at step {self.trainer.done}, with {batch // compute.accumulate} clips of "
            f"{self.architecture.clip} at once; start a new run with {', '.join([*remedies, 'or a smaller --clip'])}"
            + (f"; the state so far is {self.checkpoints / kept[-1]}" if kept else "")
        )

    # The end

    def _finish(self) -> dict[str, Any]:
        """Scores the last and the best network on the test clips, and keeps both."""
        watched = {record["step"]: record for record in read_records(self.scores.path, EPOCH)}
        best = networks.load(self.checkpoints / BEST)
        if best.step == 0 and self.config.init is not None and isinstance(best.network, MoViNet):
            given = (self.config.init, self.source, (TRAIN, WATCH), self.member, self.members)
            if solve_again_(best.network, *given):
                self.progress.line("training gained nothing: the start is kept, its classifier solved on more clips")
        last: Network = self._network()
        results: dict[str, Any] = {}
        done = self.trainer.done
        for which, network, step in ((LAST, last, done), (BEST, best.network, best.step)):
            if which == LAST or step != done:
                title = f"scoring the {which} network on the test clips"
                self.tested = self._evaluate(for_inference(network.to(self.config.device)), TEST, title)
            self._keep(which, self.tested, network, step)
            results[which] = {"step": step, **metrics_of(self.tested), "watched": watched.get(step)}
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


def metrics_of(scores: Scores) -> dict[str, float]:
    """As a checkpoint and a summary store them; what is not finite is left out."""
    found = {
        "accuracy": scores.accuracy,
        "top5": scores.top(5),
        "mean_class_accuracy": scores.mean_class_accuracy,
        "calibration_error": scores.calibration_error(),
        "loss": scores.loss,
        "clips": scores.clips,
    }
    return {name: value for name, value in found.items() if math.isfinite(value)}
