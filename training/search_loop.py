"""The loop of one search: training with looks, checkpoints, going on after a kill, and the re-scoring at the end."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch

import video
from controller.looks import Looks
from controller.watch import warning
from searchspace.commands import go_on
from searchspace.stored import COUNT, Each, conform, naming, read_records
from training import checkpoint, rescoring
from training import run as runs_module
from training.contention import Contention
from training.data import keep_description, open_source, scan_file
from training.device import check_device
from training.interrupt import Interrupt, Interrupted
from training.metrics import Scalars
from training.order import Order
from training.probe import MOST_PROBED, probe_selection, recorded
from training.problem import Problem, build
from training.progress import Logged, Progress, Status
from training.report import write_results
from training.run.formats import LOOK
from training.run.ledger import Ledger
from training.scoring import DIVERGED, Scorer
from training.search_config import SearchConfig
from training.selection import TEST, TRAIN, WATCH
from training.selection import Selection as Selected
from training.supernet_steps import Batch, SupernetSteps
from video.source import SEARCH_PARTS

METRICS = "step,loss,accuracy,reward,cost_ratio,entropy,residual,data_ms,step_ms"
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


class _Loaded(NamedTuple):
    """The clips of one step, and the seconds that they were waited for."""

    training: list[Batch]
    looks: list[Batch]
    seconds: float


class SearchLoop:
    """One run, from wherever its folder stands to its end."""

    def __init__(self, config: SearchConfig, folder: runs_module.RunFolder, progress: Progress) -> None:
        check_device(config.device)
        torch.set_num_threads(config.threads)
        self.config, self.folder = config, folder
        self.progress: Progress = Logged(progress, folder.path / "log.txt")
        progress = self.progress
        self.source = open_source(
            config.data,
            config.train_clip,
            seed=config.seed,
            group=config.group,
            videos=config.videos,
            workers=config.workers,
            folder=folder.path,
            progress=progress,
        )
        keep_description(folder, self.source, progress)
        self.problem: Problem = build(config, len(self.source.classes))
        self.searcher = self.problem.searcher()
        self.steps = SupernetSteps(self.problem)
        self.ledger = Ledger(folder.path / "ledger.jsonl")
        self.metrics = Ledger(folder.path / "metrics.csv", METRICS)
        self.policy = Ledger(folder.path / "policy.jsonl")
        self.reward = self.problem.reward()
        self.sizes = rescoring.sizes(self.problem, self.source.parts["rescoring"])
        self.smooth: dict[str, float] = {}
        self.warned = False
        self.contention = Contention()
        self.done = 0
        self.started = time.perf_counter()

    def run(self) -> None:
        """Trains, re-scores, writes the results."""
        self._restore()
        self.scalars = Scalars(self.folder.path / "tensorboard", self.done)
        with Interrupt() as interrupt:
            self._train(interrupt)
            trained = time.perf_counter()
            if interrupt.exit_code:
                raise self._stopped(interrupt.exit_code)
            self._finish(interrupt, trained)

    # Training

    def _train(self, interrupt: Interrupt) -> None:
        config = self.config
        batches = video.batches(self.source, self._requests(self.done), workers=config.workers, told=self.progress.line)
        while self.done < config.steps and not interrupt.exit_code:
            begin = time.perf_counter()
            try:
                loaded = self._load(batches)
            except (ValueError, OSError):
                if interrupt.exit_code:
                    break  # a signal to all processes ended those that load
                if self.done % config.checkpoint_every:
                    self._save()
                raise
            values = self._step(loaded)
            self.done += 1
            values["step_ms"] = 1e3 * (time.perf_counter() - begin)
            self._log(values)
            if self.done % config.checkpoint_every == 0 or self.done == config.steps:
                self._save()
        if interrupt.exit_code and self.done % config.checkpoint_every:
            self._save()

    def _requests(self, start: int) -> Iterator[video.Request]:
        """What the steps will need, in order."""
        config = self.config
        weights = Order("weights", self.source.parts["weights"], config.micro_batch, config.seed)
        looks = Order("controller", self.source.parts["controller"], config.look_clips, config.seed)
        for step in range(start, config.steps):
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

    def _load(self, batches: Iterator[Batch]) -> _Loaded:
        """What the next step needs, all before it begins: where loading ends early, no step is half done."""
        begin, count = time.perf_counter(), self.config.paths
        training = [next(batches) for _ in range(count)]
        looks = [next(batches) for _ in range(count * self._looks_at(self.done))]
        return _Loaded(training, looks, time.perf_counter() - begin)

    def _step(self, loaded: _Loaded) -> dict[str, float]:
        """One step of weights and controller; returns its metrics."""
        step, config = self.done, self.config
        choices = self.searcher.ask(config.paths)
        paths, replaced = self.steps.paths(choices, step)
        loss = self.steps.train(paths, loaded.training, step)
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
        if loaded.looks:
            architectures = [self.problem.space.architecture(row) for row in choices]
            looks = [self.steps.look(a, *batch) for a, batch in zip(architectures, loaded.looks, strict=True)]
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
        values["residual"] = float(self.steps.supernet.scales().abs().mean())
        values["data_ms"] = 1e3 * loaded.seconds
        return values

    def _check_finite(self, what: str, loss: float) -> None:
        if not math.isfinite(loss):
            rate = self.config.learning_rate
            raise ValueError(f"the {what} loss is {loss} at step {self.done}: lower learning_rate (it is {rate:g})")

    def _log(self, values: dict[str, float]) -> None:
        step, config = self.done, self.config
        row = [f"{values[name]:.9g}" if math.isfinite(values[name]) else "" for name in METRICS.split(",")[1:]]
        self.metrics.append(",".join([str(step), *row]))
        for name, value in values.items():
            if math.isfinite(value):
                old = self.smooth.get(name, value)
                self.smooth[name] = old + (value - old) * 0.1
        every = max(1, config.steps // 50)
        if step % every == 0 or step == config.steps:
            policy = self.searcher.policy
            probabilities = policy.probabilities()
            expected = self.problem.costs.expected("macs", probabilities)[0]
            self.policy.append_json(
                {
                    "step": step,
                    "entropy": values["entropy"],
                    "expected_macs": expected,
                    "probabilities": {
                        path: [round(float(p), 5) for p in vector]
                        for path, vector in zip(self.problem.space.decisions.paths, probabilities, strict=True)
                    },
                }
            )
            text = warning(policy, step / config.steps) if self.searcher.learns_policy else None
            if text is not None and not self.warned:
                self.warned = True
                self.progress.line(text)
            self.scalars.add(step, {SCALARS[name]: value for name, value in values.items()})
            self.scalars.add(step, {"controller/expected_macs": expected})
        mean = self.smooth
        self.progress.status(
            Status(
                step=step,
                steps=config.steps,
                loss=mean["loss"],
                accuracy=mean.get("accuracy", math.nan),
                reward=mean.get("reward", math.nan),
                cost_ratio=mean["cost_ratio"],
                entropy=values["entropy"],
                data_ms=mean["data_ms"],
                step_ms=mean["step_ms"],
                eta_seconds=(config.steps - step) * mean["step_ms"] / 1e3,
                machine=self.contention.text(),
            )
        )

    # Saving and going on

    def _save(self) -> None:
        tensors, plain = checkpoint.optimizer_state(self.steps.optimizer)
        checkpoint.save(
            self.folder.path / "checkpoints",
            self.done,
            {"supernet": dict(self.steps.supernet.state_dict()), "optimizer": tensors},
            {
                "searcher": self.searcher.state(),
                "optimizer": plain,
                "lines": {ledger.path.name: ledger.lines for ledger in self._ledgers()},
            },
        )

    def _ledgers(self) -> tuple[Ledger, ...]:
        return self.ledger, self.metrics, self.policy

    def _restore(self) -> None:
        found, passed = checkpoint.load_newest(self.folder.path / "checkpoints", self._take, ours=True)
        for text in passed:
            self.progress.line(f"damaged checkpoint passed over: {text}")
        lines: dict[str, int] = {}
        if found is not None:
            self.done, lines = found.step, found.data["lines"]
        moved = 0
        for ledger in self._ledgers():
            discarded = self.folder.path / "discarded" / ledger.path.name
            discarded.parent.mkdir(exist_ok=True)
            moved += ledger.rewind(lines.get(ledger.path.name, 0), discarded)
        scores = Ledger(self.folder.path / "scores.jsonl")
        keep = scores.lines if self.done == self.config.steps else 0
        scores.rewind(keep, self.folder.path / "discarded" / "scores.jsonl")
        if self.folder.resumed:
            self.progress.line(
                f"going on with {self.folder.path} at step {self.done} of {self.config.steps}"
                + (f"; {moved} lines written after the checkpoint moved to discarded/" if moved else "")
            )

    def _take(self, found: checkpoint.Checkpoint) -> None:
        """Puts a checkpoint where it belongs; raises `ValueError`, or another error, where it does not fit."""
        conform(found.data, CHECKPOINT, "checkpoint.json")
        self.steps.restore(found.tensors["supernet"])
        checkpoint.restore_optimizer(self.steps.optimizer, found.tensors["optimizer"], found.data["optimizer"])
        self.searcher.restore(found.data["searcher"])
        if found.step > self.config.steps or self.searcher.step != found.step:
            raise ValueError(f"it is of step {found.step}, its searcher of {self.searcher.step}")

    def _stopped(self, exit_code: int) -> Interrupted:
        return Interrupted(
            exit_code,
            f"stopped at step {self.done} of {self.config.steps}, saved in {self.folder.path}; "
            f"go on with: {go_on('search', self.folder.path)}",
        )

    # The end

    def _finish(self, interrupt: Interrupt, trained: float) -> None:
        problem, size, title = self.problem, self.sizes, "re-scoring on the final weights, clips"

        def tick(scored: int) -> None:
            if interrupt.exit_code:
                raise self._stopped(interrupt.exit_code)
            self.progress.phase(title, scored, most)

        scorer = Scorer(
            problem,
            self.steps.logits,
            self.source,
            Ledger(self.folder.path / "scores.jsonl"),
            views=1 if self.config.data is None else 3,
            device=self.config.device,
            tick=tick,
        )
        most = size.clips(scorer.covered)
        selection, model = rescoring.choose(problem, self.searcher, self._looks(), scorer, size.plan)
        if selection.evaluation.loss >= DIVERGED:
            rate = self.config.learning_rate
            raise ValueError(
                f"the shared weights have diverged, no loss is finite: lower learning_rate (it is {rate:g})"
            )
        selected = time.perf_counter()
        points = rescoring.front(problem, self.searcher, scorer, selection, model, size)
        controls = rescoring.controls(problem, self.searcher, scorer, selection.choices, size)
        self.progress.phase(title, scorer.clips, scorer.clips)
        held_out = self.steps.held_out(problem.space.architecture(selection.choices), self.source)
        ended = time.perf_counter()
        seconds = {
            "training": trained - self.started,
            "selection": selected - trained,
            "front_and_controls": ended - selected,
        }
        probes = self._probes(interrupt)
        write_results(self.folder, problem, self.source, selection, points, controls, held_out, probes, seconds)

    def _probes(self, interrupt: Interrupt) -> list[dict[str, Any]]:
        """What linear classifiers make of real videos without any network, on the clips that chose the winner."""
        config, sizes = self.config, self.source.parts
        if config.data is None or sum(sizes.values()) > MOST_PROBED:
            return []

        def told(what: str, done: int, total: int) -> None:
            if interrupt.exit_code:
                raise self._stopped(interrupt.exit_code)
            self.progress.phase(what, done, total)

        parts = zip((TRAIN, WATCH, TEST), SEARCH_PARTS, strict=True)
        chosen = Selected(self.source, {key: [(part, np.arange(sizes[part]))] for key, part in parts})
        cache = scan_file(config.data, config.videos, otherwise=self.folder.path / "scan.json")
        return recorded(probe_selection(None, chosen, cache, told, plain=True))

    def _looks(self) -> Looks:
        """Every look after the delay."""
        records = [record for record in read_records(self.ledger.path, LOOK) if record["learned"]]
        decisions = self.problem.space.decisions
        with naming(self.ledger.path):
            rows = [decisions.decode(record["architecture"]) for record in records]
        return Looks(
            np.stack(rows) if rows else np.zeros((0, len(decisions)), dtype=np.int8),
            np.array([record["quality"] for record in records]),
            np.array([record["progress"] for record in records]),
        )
