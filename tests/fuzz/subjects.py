"""Every kind of file that is read, each with whoever reads it: what `batch.py` mutates.

A subject builds valid files in a folder, says which of them are changed and how, and reads them as users do. Reading a
changed file may succeed, or raise a `ValueError` in a line for people; `nas` may end with such a line.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

import searchspace
from controller import table as tables
from controller.benchmark import Choice, Outcome, Setting
from experiments.benchmark_results import Results, curve
from experiments.cli import main
from experiments.plots import html
from experiments.plots.front_data import gather
from scaling import trial
from scaling.family_base import find_base
from scaling.latency import read_latencies
from scaling.scale_family import report_trials, scale
from searchspace import Clip
from searchspace.settings import commented
from tests.experiments.runs import made_up_run
from tests.scaling import small_family
from training import open_data as run_data
from training.recipe import Recipe
from training.run import SearchRun
from training.search.search_config import SearchConfig
from training.search.search_recipe import SearchRecipe
from video import FolderSource, scan
from video.measure import VideoInfo

RUNS = "runs"


@dataclasses.dataclass(frozen=True)
class File:
    """A file of a subject.

    Attributes:
        path: below the subject's folder.
        style: of its mutations, see `mutations.mutated`.
    """

    path: str
    style: str


@dataclasses.dataclass(frozen=True)
class Subject:
    """Files and their reader.

    Attributes:
        files: those that are mutated, one at a time.
        reads: read them, each on its own; they get the folder.
        longest: characters of a refusal.
        instead: what a refusal may say in place of the file's name.
    """

    files: tuple[File, ...]
    reads: tuple[Callable[[Path], object], ...]
    longest: int = 600
    instead: tuple[str, ...] = ()


def nas(*words: object) -> str:
    """Runs `nas` in this process and gives what it printed.

    Raises:
        ValueError: with the line in which it ended.
        AssertionError: it ended in another way.
    """
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(word) for word in words])
    if code == 0:
        return out.getvalue()
    *_, last = err.getvalue().splitlines() or [""]
    said = [line for line in err.getvalue().splitlines() if line.startswith("nas:")]
    assert code == 2 and said == [last], (code, err.getvalue()[-500:])
    raise ValueError(last.removeprefix("nas: error: "))


def recipe(folder: Path) -> Subject:
    """A recipe of a user's own."""
    for name in ("demo", "finetune", "kinetics600"):
        (folder / f"{name}.yaml").write_text(Recipe.load(name).to_yaml())

    def read(folder: Path) -> None:
        for file in folder.glob("*.yaml"):
            recipe = Recipe.load(file)
            assert Recipe.from_flat(recipe.flat()) == recipe
            nas("config", file, "--print")

    return Subject(tuple(File(file.name, "yaml") for file in sorted(folder.glob("*.yaml"))), (read,))


def search_recipe(folder: Path) -> Subject:
    """A user's own recipe of a search."""
    (folder / "short.yaml").write_text(commented(SearchRecipe.load("short")))
    (folder / "few.yaml").write_text("warmup: tunas\ndelay: 0.5\n")

    def read(folder: Path) -> None:
        for file in folder.glob("*.yaml"):
            config = SearchConfig.resolve(recipe=file)
            assert SearchConfig.stored(config.to_dict()) == config
            nas("config", file, "--print")

    files = tuple(File(file.name, "yaml") for file in sorted(folder.glob("*.yaml")))
    return Subject(files, (read,), instead=("is shorter than warm-up",))


def search(folder: Path) -> Subject:
    """A finished search, and pictures of it."""
    run = made_up_run(folder / RUNS / "a", steps=40)
    (run / "space.yaml").write_text(searchspace.load("movinet").to_yaml())

    reads = (
        lambda folder: nas("show", folder / RUNS / "a"),
        lambda folder: nas("plot", folder / RUNS / "a"),
        lambda folder: html.content(gather([SearchRun.open(folder / RUNS / "a")])),
        lambda folder: find_base(str(folder / RUNS / "a"), folder, "600MFLOPs", None, 18),
    )
    lines = [File(f"{RUNS}/a/{name}", "lines") for name in ("ledger.jsonl", "policy.jsonl")]
    tabled = [File(f"{RUNS}/a/{name}", "table") for name in ("pareto.csv", "metrics.csv")]
    plain = [File(f"{RUNS}/a/{name}", "json") for name in ("config.json", "summary.json", "best/arch.json")]
    return Subject((*lines, *tabled, *plain, File(f"{RUNS}/a/space.yaml", "yaml")), reads)


def family(folder: Path) -> Subject:
    """A finished family whose coefficients were searched."""
    settings, before = small_family.settings(folder, trials=3), trial.train
    trial.train = lambda job, *_, **__: small_family.pretend(job)
    try:
        found = scale(settings, runs=folder / RUNS, name="f")
    finally:
        trial.train = before
    names = [member.name for member in found.members]

    reads = (
        lambda folder: nas("scale", "--resume", "--name", "f", "--runs", folder / RUNS, "--axis", "params"),
        lambda folder: nas("retrain", folder / RUNS / "f", "--dry-run"),
        lambda folder: nas("show", folder / RUNS / "f" / f"{names[0]}.json"),
    )
    plain = ("config.json", "coefficients.json", "coefficients.json", "base.json", f"{names[0]}.json", "summary.json")
    files = [File(f"{RUNS}/f/{name}", "json") for name in plain]
    others = File(f"{RUNS}/f/{names[0]}.yaml", "yaml"), File("small.yaml", "yaml")
    return Subject((*files, *others), reads, instead=("does not exist: give a folder with one sub-folder",))


def trials(folder: Path) -> Subject:
    """The ledger of a search over coefficients that goes on."""
    work = small_family.open_trials(folder, trials=3)
    while (job := work.take()) is not None:
        work.tell(job, small_family.pretend(job))

    def read(folder: Path) -> None:
        work = small_family.open_trials(folder, trials=3)
        while (job := work.take()) is not None:
            work.tell(job, small_family.pretend(job))
        json.dumps(report_trials(work), allow_nan=False)

    return Subject((File("trials.jsonl", "lines"),), (read,))


def benchmark_table(folder: Path) -> Subject:
    """A table of networks whose truth is known, in both forms, and results of searches on it."""
    rng = np.random.default_rng(0)
    rows = [(i, j, k) for i in range(3) for j in "ab" for k in ("x", "y", "z")]
    values = [(1e6 * (1 + i), *rng.random(2).round(4).tolist()) for i in range(len(rows))]
    text = ["layer1,layer2,layer3,cost,accuracy1,accuracy2,network"]
    text += [
        ",".join(map(str, (*row, *value, f"n{n}"))) for n, (row, value) in enumerate(zip(rows, values, strict=True))
    ]
    (folder / "t.csv").write_text("\n".join(text) + "\n")
    entries = [
        {
            "choices": dict(zip(("a", "b", "c"), row, strict=True)),
            "cost": cost,
            "accuracy": accuracy,
            "network": f"n{n}",
        }
        for n, (row, (cost, *accuracy)) in enumerate(zip(rows, values, strict=True))
    ]
    (folder / "t.json").write_text(json.dumps(entries))
    settings = [Setting(target=5e6, looks=200, searcher="random", seed=seed) for seed in range(2)]
    results = Results(folder / "results.jsonl", tables.read(folder / "t.csv"))
    choice = Choice("001", 5e6, 0.01)
    for setting in settings:
        results.add(setting, Outcome(choice, 0.1, choice, choice, 1000))

    def read(folder: Path) -> None:
        results = Results(folder / "results.jsonl", tables.read(folder / "t.csv"))
        if all(setting in results for setting in settings):
            for point in curve(results, settings):
                json.dumps(dataclasses.asdict(point), allow_nan=False)

    return Subject(
        (File("t.csv", "table"), File("t.json", "json"), File("results.jsonl", "lines")),
        (read, lambda folder: tables.read(folder / "t.json")),
    )


def latencies(folder: Path) -> Subject:
    """A table of latencies."""
    (folder / "l.csv").write_text("device,name,milliseconds\nphone,A0,4.5\nphone,A1,12\nphone,A2,20.25\n")
    return Subject((File("l.csv", "table"),), (lambda folder: read_latencies(folder / "l.csv", ["A0", "A1"]),))


def annotations(folder: Path) -> Subject:
    """An annotation file above its clips."""
    rows = ["label,youtube_id,time_start,time_end,split"]
    for i in range(12):
        rows.append(f"{'riding a bike' if i % 2 else 'abseiling'},id{i},{i},{i + 10},{'val' if i > 8 else 'train'}")
        (folder / f"id{i}_{i:06d}_{i + 10:06d}.mp4").touch()
    (folder / "a.csv").write_text("\n".join(rows) + "\n")
    return Subject((File("a.csv", "table"),), (lambda folder: run_data.survey(str(folder / "a.csv")),))


def scan_cache(folder: Path) -> Subject:
    """What a look through videos found, and the list of videos that a run keeps."""
    names = [f"{name}/{i}.mp4" for name in ("a", "b") for i in range(4)]
    for name in names:
        (folder / "videos" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "videos" / name).write_text("no video")
    cache = scan.ScanCache(folder / "videos", folder / "scan.json")
    for name in names:
        cache.entry(name)
        cache.set(name, info=VideoInfo(duration=2.0, frames=20, fps=10.0, width=64, height=48))
    cache.save()
    header = ",".join(run_data.COLUMNS)
    (folder / "videos.csv").write_text(header + "\n" + "".join(f"{n},weights,a,2.0,20,64,48,8\n" for n in names))

    def read(folder: Path) -> None:
        found = scan.scan(scan.ScanCache(folder / "videos", folder / "scan.json"), names)
        infos, rows = [found[name].info for name in names], []
        if all(info is not None and not info.error for info in infos):
            source = FolderSource(folder / "videos", Clip(4, 16, 16, 5.0), scan_cache=folder / "scan.json")
            rows = run_data._rows(source)
        run_data._changed_files(run_data._stored(folder / "videos.csv"), rows)

    return Subject((File("scan.json", "json"), File("videos.csv", "table")), (read,))


SUBJECTS: dict[str, Callable[[Path], Subject]] = {
    builder.__name__.replace("_", "-"): builder
    for builder in (recipe, search_recipe, search, family, trials, benchmark_table, latencies, annotations, scan_cache)
}
