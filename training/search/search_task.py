"""The steps of a search, as the loop runs them: weights and controller, and what they are resumed from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

import video
from controller.watch import warning
from searchspace.commands import go_on
from searchspace.stored import COUNT, Each, conform
from training import run as runs_module
from training.batch_order import Order
from training.machine.device import check_device
from training.open_data import keep_description, open_source
from training.progress import Logged, Progress
from training.run.ledger import Ledger
from training.search import rescoring
from training.search.search_config import SearchConfig
from training.search.search_problem import Problem, build
from training.search.supernet_steps import SupernetSteps
from training.steps import checkpoint
from training.steps.loop import Batch, Task
from training.steps.run_state import RunState
from training.steps.step_log import StepLog

COLUMNS = ("loss", "accuracy", "reward", "cost_ratio", "entropy", "residual", "data_ms", "step_ms")
WARMUP_LOOK_EVERY = 10
CHECKPOINT = {"searcher": dict, "optimizer": dict, "lines": Each(COUNT)}
"""The data of a checkpoint, beside the tensors."""

SCALARS = {
    "loss": "weights/loss",
    "residual": "weights/mean_residual_scalar",
    "accuracy": "controller/held_out_accuracy",
    "reward": "controller/reward",
    "cost_ratio": "controller/sampled_cost_over_target",
    "entropy": "controller/entropy",
    "data_ms": "time/data_ms",
    "step_ms": "time/step_ms",
}
MOMENTS = 50
"""How often TensorBoard and the policy's ledger show a search, about."""


class SearchTask(Task):
    """The training phase of one run, from wherever its folder stands.

    Args:
        config: of the run.
        folder: of the run.
        progress: where to report.

    Attributes:
        problem: what is searched.
        searcher: who chooses.
        engine: the shared weights.
        ledger: of looks.
        sizes: of the re-scoring that comes after.
    """

    def __init__(self, config: SearchConfig, folder: runs_module.RunFolder, progress: Progress) -> None:
        check_device(config.device)
        torch.set_num_threads(config.threads)
        self.config, self.folder = config, folder
        told: Progress = Logged(progress, folder.path / "log.txt")
        source = open_source(
            config.data,
            config.train_clip,
            seed=config.seed,
            group=config.group,
            videos=config.videos,
            workers=config.workers,
            folder=folder.path,
            progress=told,
        )
        keep_description(folder, source, told)
        self.problem: Problem = build(config, len(source.classes))
        self.searcher = self.problem.searcher()
        self.engine = SupernetSteps(self.problem)
        self.ledger = Ledger(folder.path / "ledger.jsonl")
        metrics = Ledger(folder.path / "metrics.csv", ",".join(("step", *COLUMNS)))
        self.policy = Ledger(folder.path / "policy.jsonl")
        self.scores = Ledger(folder.path / "scores.jsonl")
        self.reward = self.problem.reward()
        self.sizes = rescoring.sizes(self.problem, source.parts["rescoring"])
        self.warned = False
        self._done = 0
        log = StepLog(told, config.steps, metrics=metrics, columns=COLUMNS, names=SCALARS, moments=MOMENTS)
        state = RunState(folder.path, go_on("search", folder.path), (self.ledger, metrics, self.policy), told)
        super().__init__(source, config.steps, log, state)
        self._restore(state)
        log.open_scalars(folder.path / "tensorboard", self.done)

    @property
    def done(self) -> int:
        """Steps done."""
        return self._done

    def needs(self) -> int:
        """A batch a path, and another one where the paths are looked at."""
        return self.config.paths * (1 + self._looks_at(self.done))

    def requests(self) -> Iterator[video.Request]:
        """Clips to train on and clips to look at, of all steps that are left."""
        config = self.config
        weights = Order("weights", self.source.parts["weights"], config.micro_batch, config.seed)
        looks = Order("controller", self.source.parts["controller"], config.look_clips, config.seed)
        for step in range(self.done, config.steps):
            for k in range(config.paths):
                epoch, indices = weights.at(step * config.paths + k)
                yield video.Request("weights", indices, epoch, training=True)
            for k in range(config.paths * self._looks_at(step)):
                epoch, indices = looks.at(step * config.paths + k)
                yield video.Request("controller", indices, epoch, training=False)

    def _learns_at(self, step: int) -> bool:
        return step >= round(self.config.delay * self.config.steps)

    def _looks_at(self, step: int) -> bool:
        """During the delay a look now and then is enough to see how training goes."""
        return self._learns_at(step) or step % WARMUP_LOOK_EVERY == 0

    def step(self, batches: list[Batch]) -> dict[str, float]:
        """One step of weights and controller; returns its metrics."""
        step, config = self.done, self.config
        training, held_out = batches[: config.paths], batches[config.paths :]
        choices = self.searcher.ask(config.paths)
        paths, replaced = self.engine.paths(choices, step)
        loss = self.engine.train(paths, training, step)
        self._check_finite("training", loss)
        cost = self.problem.cost(choices)
        values = {
            "loss": loss,
            "accuracy": math.nan,
            "reward": math.nan,
            "cost_ratio": float(np.mean(cost) / self.problem.target),
        }
        learn = self._learns_at(step)
        quality, reward = np.zeros(config.paths), np.zeros(config.paths)
        if held_out:
            architectures = [self.problem.space.architecture(row) for row in choices]
            looks = [self.engine.look(a, *batch) for a, batch in zip(architectures, held_out, strict=True)]
            for look in looks:
                self._check_finite("held-out", look.loss)
            quality = np.array([look.accuracy for look in looks])
            reward = self.reward(quality, cost, self.problem.caps(choices))
            for row, look, value in zip(choices, looks, reward, strict=True):
                self.ledger.append_json(
                    {
                        "step": step,
                        "architecture": self.problem.space.decisions.encode(row),
                        "macs": int(self.problem.costs.macs(row[None])[0]),
                        "quality": look.accuracy,
                        "loss": look.loss,
                        "reward": float(value),
                        "progress": step / config.steps,
                        "learned": learn,
                    }
                )
            values |= {"accuracy": float(quality.mean()), "reward": float(reward.mean())}
        self.searcher.tell(
            choices, quality, reward, progress=step / config.steps, replaced=replaced if learn else None, learn=learn
        )
        values["entropy"] = self.searcher.policy.entropy()
        values["residual"] = float(self.engine.supernet.scales().abs().mean())
        self._done += 1
        return values

    def _check_finite(self, what: str, loss: float) -> None:
        if not math.isfinite(loss):
            rate = self.config.learning_rate
            raise ValueError(f"the {what} loss is {loss} at step {self.done}: lower learning_rate (it is {rate:g})")

    def shown(self, values: Mapping[str, float]) -> Mapping[str, float]:
        """Moving averages of what the looks saw, and the entropy of the policy."""
        mean, nan = self.log.mean, math.nan
        return {
            "accuracy": mean.get("accuracy", nan),
            "reward": mean.get("reward", nan),
            "cost_ratio": mean["cost_ratio"],
            "entropy": values["entropy"],
        }

    def follow(self, batches: list[Batch]) -> None:
        """Keeps how the policy stands, at the moments that TensorBoard shows."""
        step = self.done
        if not self.log.is_moment(step):
            return
        policy = self.searcher.policy
        probabilities = policy.probabilities()
        expected = self.problem.costs.expected("macs", probabilities)[0]
        self.policy.append_json(
            {
                "step": step,
                "entropy": policy.entropy(),
                "expected_macs": expected,
                "probabilities": {
                    path: [round(float(p), 5) for p in vector]
                    for path, vector in zip(self.problem.space.decisions.paths, probabilities, strict=True)
                },
            }
        )
        text = warning(policy, step / self.config.steps) if self.searcher.learns_policy else None
        if text is not None and not self.warned:
            self.warned = True
            self.log.progress.line(text)
        self.log.add_scalars(step, {"controller/expected_macs": expected})

    # Saving and resuming

    def due(self, saved: int) -> bool:
        """Every so many steps."""
        return self.done % self.config.checkpoint_every == 0

    def content(self) -> tuple[dict[str, checkpoint.Tensors], dict[str, Any]]:
        """Shared weights, optimiser and searcher."""
        tensors, plain = checkpoint.optimizer_state(self.engine.optimizer)
        return (
            {"supernet": dict(self.engine.supernet.state_dict()), "optimizer": tensors},
            {"searcher": self.searcher.state(), "optimizer": plain},
        )

    def _restore(self, state: RunState) -> None:
        found = state.restore(self._take)
        self._done = 0 if found is None else found.step
        state.rewind(self.scores, self.scores.lines if self.done == self.config.steps else 0)
        if self.folder.resumed:
            state.say_resumed(self.done, self.config.steps)

    def _take(self, found: checkpoint.Checkpoint) -> None:
        """Puts a checkpoint where it belongs; raises `ValueError`, or another error, where it does not fit."""
        conform(found.data, CHECKPOINT, "checkpoint.json")
        self.engine.restore(found.tensors["supernet"])
        checkpoint.restore_optimizer(self.engine.optimizer, found.tensors["optimizer"], found.data["optimizer"])
        self.searcher.restore(found.data["searcher"])
        if found.step > self.config.steps or self.searcher.step != found.step:
            raise ValueError(f"it is of step {found.step}, its searcher of {self.searcher.step}")
