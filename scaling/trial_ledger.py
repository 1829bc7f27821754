"""The trials of a search over coefficients: what is known, what to do next, and the ledger that both follow from."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scaling import proposals
from scaling.coefficients import DIMENSIONS, Coefficients
from scaling.family_base import Base
from scaling.family_folder import mapped
from scaling.members import Member, bring, members, name_of
from scaling.members import targets as member_targets
from scaling.scale_config import TRIAL_EXPONENTS, ScaleConfig
from scaling.spaces import normalise
from scaling.trial import TrialJob, training_work
from scaling.trial_schedule import RERUN, TrialOutcome, TrialSchedule, TrialTask
from searchspace import Choices, Clip, cost
from searchspace.schema import Fields
from searchspace.stored import read_records
from training.progress import Progress
from training.run.ledger import Ledger

LEDGER, DISCARDED = "trials.jsonl", "discarded.txt"
COSTS = ("macs", "params", "state_bytes")


@dataclasses.dataclass(frozen=True)
class Proposal:
    """What a trial tries.

    Attributes:
        trial: its number.
        weights: proportions of the dimensions.
        coefficients: of one step.
        growth: factor of the expected cost a step, measured.
        error: why it cannot be tried, or empty.
    """

    trial: int
    weights: tuple[float, ...]
    coefficients: Coefficients
    growth: float
    error: str = ""


class TrialLedger:
    """Hands out jobs and takes their results, in whatever order they come.

    Everything that was computed is a line of the ledger's file: a proposal, or the result of a job. Opened again, it
    hands out exactly the jobs that are missing.

    Attributes:
        proposals: by trial.
        known: outcomes of finished tasks.
        done: how many jobs have a result.
    """

    def __init__(self, config: ScaleConfig, base: Base, folder: Path, progress: Progress) -> None:
        self.config, self.base, self.progress = config, base, progress
        self.ledger = Ledger(folder / LEDGER)
        self.ledger.rewind(self.ledger.lines, folder / DISCARDED)  # a line that a kill tore
        self.schedule = TrialSchedule(
            config.trials,
            proposals.batch_size(config.sampler, config.trials),
            config.rungs,
            config.reduction,
            config.asynchronous,
        )
        self.ratio = config.target_ratio or 2.0
        self.proposals: dict[int, Proposal] = {}
        self.known: dict[TrialTask, TrialOutcome] = {}
        self._results: dict[str, dict[str, Any]] = {}
        self._running: dict[TrialTask, list[TrialJob]] = {}
        self._queue: list[TrialJob] = []
        self._networks: Choices = base.networks(config.architectures, config.seed)
        self._side = base.proxy_side(config.search_resolution)
        self._begin_time, self._spent = time.monotonic(), 0.0
        self._open: dict[str, float] = {}
        for number, record in enumerate(read_records(folder / LEDGER), start=1):
            fields = Fields(record, f"{folder / LEDGER}, line {number} (of an older version, or damaged?)")
            if fields.one_of("kind", ("proposal", "result")) == "proposal":
                self._remember(_proposal(fields))
            else:
                self._results[_checked(fields)] = record

    @property
    def done(self) -> int:
        """Results so far, those of earlier processes included."""
        return len(self._results)

    def take(self) -> TrialJob | None:
        """The next job, a task's dearest first; None where there is none now: for good, where all results are told."""
        while not self._queue:
            tasks = self._pending()
            if not tasks:
                return None
            self._begin(tasks[0])
            self._queue.sort(key=lambda job: -job.work)
        job = self._queue.pop(0)
        self._open[job.name] = planned_work(self.config, job.clips, job.exponent)
        return job

    def tell(self, job: TrialJob, result: Mapping[str, Any]) -> None:
        """Takes the result of a job: `accuracy` and `loss`, or `error`, and `seconds`; ledger first."""
        fields = {name: value for name, value in vars(job).items() if name not in ("kind", "architecture")}
        record = {"kind": "result", "job": job.name, "task": job.kind, **fields, **result}
        self.ledger.append_json(record)
        self._results[job.name] = record
        self._settle(TrialTask(job.kind, job.number, job.clips, job.seed))
        self._spent += self._open.pop(job.name)
        half = math.fsum(self._open.values()) / 2  # of what runs, about half is done
        left = (time.monotonic() - self._begin_time) * (self._left() - half) / (self._spent + half) / 60
        title = f"trainings, about {left:.0f} min left" if left >= 1 else "trainings"
        self.progress.phase(title, self.done, max(self.done, jobs_planned(self.config)))

    def best(self) -> Proposal:
        """The chosen trial: the best of those that got furthest.

        Raises:
            ValueError: every trial failed; says what the first one died of.
        """
        found = self.schedule.survivors(self.known)
        if not found:
            first = next(outcome.error for task, outcome in sorted(self.known.items()) if task.kind == "trial")
            raise ValueError(
                f"all {self.config.trials} trials failed, the first of: {first}; their results are kept in "
                f"{self.ledger.path}; where losses are not finite, lower --learning-rate"
            )
        return self.proposals[found[0].number]

    def family(self, coefficients: Coefficients, exponents: Sequence[int]) -> tuple[Member, ...]:
        """Members of given exponents with their targets."""
        every = self.config.exponents
        known = dict(zip(every, member_targets(self.config.targets, every, self.base.macs, self.ratio), strict=True))
        wanted = [known.get(exponent, self.base.macs * self.ratio**exponent) for exponent in exponents]
        return members(self.base.space, coefficients, exponents, wanted)

    def points(self) -> list[dict[str, Any]]:
        """Every network that was trained: its task, exponent, costs at its own clip and accuracy, by task."""
        wanted = ("number", "exponent", "network", "clips", "seed", "cost", "accuracy", "held_out")
        found = [record for record in self._results.values() if "accuracy" in record]
        found.sort(key=lambda record: str(record["job"]))
        return [{"kind": record["task"], **{key: record[key] for key in wanted}} for record in found]

    def proxies(self) -> dict[str, dict[str, float]]:
        """Multiply-accumulates of trials' networks, and of single dimensions', at the clips that they were trained on.

        Returns:
            By member `least` and `most`, and `share`: the base's there, times what the member may cost more.
        """
        base = cost(self.base.architecture, self.base.space.clip.at(self._side)).macs
        found: dict[str, dict[str, float]] = {}
        for exponent in TRIAL_EXPONENTS:
            every = [
                r["macs"]
                for r in self._results.values()
                if r["task"] in ("trial", "single") and r["exponent"] == exponent
            ]
            if every:
                share = base * self.ratio**exponent
                found[name_of(exponent)] = {"least": min(every), "most": max(every), "share": share}
        return found

    def _left(self) -> float:
        """Work that is still to come, about, where no trial fails."""
        every = [(r["clips"], r["exponent"]) for r in self._results.values()]
        done = math.fsum(planned_work(self.config, clips, exponent) for clips, exponent in every)
        return max(0.0, work_planned(self.config) - done)

    def _pending(self) -> list[TrialTask]:
        running = set(self._running)
        tasks = self.schedule.pending(self.known, running)
        if tasks or any(task.kind == "trial" and not task.seed for task in running):
            return tasks
        if not self.schedule.survivors(self.known):
            return []
        clips = self.config.drawn[0]
        more = [*self.schedule.reruns(self.known), TrialTask("member", self.best().trial, clips)]
        more += [TrialTask("single", number, clips) for number in range(len(DIMENSIONS))]
        return [task for task in more if task not in self.known and task not in running]

    def _begin(self, task: TrialTask) -> None:
        """Queues what a task lacks; a task that lacks nothing, or cannot be run, is settled at once."""
        try:
            jobs = self._jobs(task)
        except ValueError as error:
            self.known[task] = TrialOutcome((), error=str(error))
            return
        self._running[task] = jobs
        self._queue += [job for job in jobs if job.name not in self._results]
        self._settle(task)

    def _settle(self, task: TrialTask) -> None:
        jobs = self._running[task]
        if any(job.name not in self._results for job in jobs):
            return
        del self._running[task]
        results = [self._results[job.name] for job in jobs]
        errors = [result["error"] for result in results if "error" in result]
        if errors:
            self.known[task] = TrialOutcome((), error=errors[0])
        else:
            self.known[task] = TrialOutcome(
                tuple(_means([(job.exponent, r["accuracy"]) for job, r in zip(jobs, results, strict=True)])),
                math.fsum(result["loss"] for result in results) / len(results),
            )
        if task.kind == "trial":
            self._say(task)

    def _say(self, task: TrialTask) -> None:
        outcome, proposal = self.known[task], self.proposals[task.number]
        what = f"failed: {outcome.error}" if outcome.failed else f"{outcome.objective:.1%}"
        seed = ", second seed" if task.seed else ""
        self.progress.line(f"trial {task.number}, {task.clips:,} clips{seed}: {what} ({proposal.coefficients})")

    def _jobs(self, task: TrialTask) -> list[TrialJob]:
        """Every training of a task, in a fixed order.

        Raises:
            ValueError: the task's coefficients cannot be built, or no network of a member's cost was found.
        """
        if task.kind == "single":
            weights = [float(number == task.number) for number in range(len(DIMENSIONS))]
            coefficients = normalise(self.base.space, weights, self.ratio, TRIAL_EXPONENTS).coefficients
        else:
            proposal = self._proposed(task.number)
            if proposal.error:
                raise ValueError(proposal.error)
            coefficients = proposal.coefficients
        exponents: Sequence[int] = TRIAL_EXPONENTS
        if task.kind == "member":
            exponents = self.config.drawn[1]
        jobs = []
        for member in self.family(coefficients, exponents):
            found = bring(self._networks, self.base.space, 0, member, coefficients)
            if not found.inside.all():
                member.check()
                raise ValueError(f"no network of member {member.name} was found at its target")
            clip = proxy_clip(member, self.base, self._side)
            for number, row in enumerate(found.choices):
                architecture = member.space.architecture(row, f"{member.name}-{task.kind}-{task.number}")
                whole = cost(architecture)
                jobs.append(
                    TrialJob(
                        *task,
                        exponent=member.exponent,
                        network=number,
                        clip=str(clip),
                        macs=cost(architecture, clip).macs,
                        cost={name: getattr(whole, name) for name in COSTS},
                        architecture=architecture.to_dict(),
                    )
                )
        return jobs

    def _proposed(self, trial: int) -> Proposal:
        """The trial's proposal, made (and written down) when it is first needed."""
        if trial not in self.proposals:
            self._remember(self._propose(trial))
            proposal = self.proposals[trial]
            record = {"kind": "proposal", **dataclasses.asdict(proposal)}
            self.ledger.append_json({**record, "weights": list(proposal.weights)})
        return self.proposals[trial]

    def _propose(self, trial: int) -> Proposal:
        config = self.config
        before = trial if config.asynchronous else trial // self.schedule.batch * self.schedule.batch
        history = []
        for number in range(before):
            tasks = [task for task in self.known if task[:2] == ("trial", number) and not task.seed]
            done = [task for task in tasks if not self.known[task].failed]
            if done:
                outcome = self.known[max(done, key=lambda task: task.clips)]
                history.append(proposals.Observation(self.proposals[number].weights, outcome.accuracies))
        weights = proposals.propose(config.sampler, config.seed, trial, history)
        try:
            found = normalise(self.base.space, weights, self.ratio, (*TRIAL_EXPONENTS, *config.exponents))
            for member in self.family(found.coefficients, config.exponents):
                mapped(self.base, member, found.coefficients)
        except ValueError as error:
            formula = Coefficients.shared_out(weights, self.ratio)
            return Proposal(trial, weights, formula, self.ratio, str(error))
        return Proposal(trial, weights, found.coefficients, found.growth)

    def _remember(self, proposal: Proposal) -> None:
        self.proposals[proposal.trial] = proposal


def planned(config: ScaleConfig) -> list[tuple[int, int, tuple[int, ...]]]:
    """What a search will train where no trial fails: (tasks, clips, exponents of their networks)."""
    batch = proposals.batch_size(config.sampler, config.trials)
    found: list[tuple[int, int, tuple[int, ...]]] = []
    best: dict[int, int] = {}
    for begin in range(0, config.trials, batch):
        alive = min(batch, config.trials - begin)
        for clips in config.rungs:
            found.append((alive, clips, TRIAL_EXPONENTS))
            best[clips] = best.get(clips, 0) + alive
            alive = max(1, alive // config.reduction)
    again = min(RERUN, config.trials)
    found.append((again, max(clips for clips, count in best.items() if count >= again), TRIAL_EXPONENTS))
    found.append((len(DIMENSIONS), config.drawn[0], TRIAL_EXPONENTS))
    found.append((1, *config.drawn))
    return found


def jobs_planned(config: ScaleConfig) -> int:
    """How many trainings that is."""
    return config.architectures * sum(count * len(exponents) for count, _, exponents in planned(config))


def work_planned(config: ScaleConfig) -> float:
    """How much that is; see `planned_work`."""
    return config.architectures * math.fsum(
        count * math.fsum(planned_work(config, clips, exponent) for exponent in exponents)
        for count, clips, exponents in planned(config)
    )


def planned_work(config: ScaleConfig, clips: int, exponent: int) -> float:
    """Of a training as targets have it, where the base's multiply-accumulates are one; for times, since what rounding
    of small clips adds is not known beforehand."""
    return training_work(1, clips) * (config.target_ratio or 2.0) ** exponent


def proxy_clip(member: Member, base: Base, side: int) -> Clip:
    """The clip that a member's short training runs at: its own, shrunk as the base's is; at least 8 pixels."""
    clip, whole = member.space.clip, base.space.clip
    share = side / min(whole.height, whole.width)
    return clip.at(max(8, round(min(clip.height, clip.width) * share)))


def _proposal(fields: Fields) -> Proposal:
    weights = fields.items("weights", len(DIMENSIONS))
    if not all(type(weight) in (int, float) for weight in weights):
        raise fields.refuse("weights", weights, "numbers")
    return Proposal(
        fields.integer("trial", 0, 10_000),
        tuple(weights),
        Coefficients.read(fields.raw("coefficients"), f"{fields.where}.coefficients"),
        fields.number("growth", 0, 1e6),
        fields.text("error", longest=10_000),
    )


def _checked(fields: Fields) -> str:
    """The key of a result; raises `ValueError` where it lacks what the search reads."""
    fields.one_of("task", ("trial", "single", "member"))
    for name in ("number", "exponent", "network", "clips", "seed", "macs"):
        fields.integer(name, -100, 2**62)
    costs = fields.fields("cost")
    for name in COSTS:
        costs.integer(name, 0, 2**62)
    if not fields.has("error"):
        fields.number("accuracy", 0, 1)
        fields.number("loss", 0, 1e300)
        fields.integer("held_out", 1, 2**62)
    return fields.text("job", longest=1000)


def _means(pairs: Sequence[tuple[int, float]]) -> list[float]:
    """Mean for each exponent, ascending."""
    result = []
    for exponent in sorted({exponent for exponent, _ in pairs}):
        values = [value for e, value in pairs if e == exponent]
        result.append(math.fsum(values) / len(values))
    return result
