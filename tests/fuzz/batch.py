"""Reads mutated files, in a process of its own that may not grow by more than 300 MB; prints a summary as JSON.

python tests/fuzz/batch.py KIND=COUNT,KIND=COUNT... SEED, where a kind is architecture, ensemble or space, whose objects
are also rebuilt, or a subject of `subjects.py` or `trained_subjects.py`.
"""

from __future__ import annotations

import functools
import io
import json
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.figure
import numpy as np
import torch
import yaml

import networks
import searchspace
from searchspace import Architecture, load_spec, published
from searchspace.schema import parse_yaml
from searchspace.space import read_space
from searchspace.spec import read_spec
from tests.fuzz import subjects, trained_subjects
from tests.fuzz.mutations import Case, bytewise, mutated, structural
from tests.searchspace.util import USERS, random_architecture, random_ensemble

MEMORY = 300_000_000
HANG = 20  # seconds of CPU time, far more than any answer takes: a guard, not a measurement
INTERNAL = re.compile(
    r"invalid literal|has no attribute|Exceeds the limit|not supported between|codec can't|NoneType|<class"
    r"|Traceback|positional argument|could not convert|embedded null|must be in 1\.\.12|object is not|not enough values"
    r"|recursion|unhashable|object at 0x"
)


def cases(kind: str, count: int, seed: int) -> list[Case]:
    """Half structural, half bytes, of several valid files."""
    rng = np.random.default_rng(seed)
    if kind == "architecture":
        bases = [published("a2"), published("t0", stream=True), *(random_architecture(rng) for _ in range(3))]
        texts = [base.to_json() for base in bases]
        data: list[Any] = [json.loads(text) for text in texts]
    elif kind == "ensemble":
        bases = [published("a6"), *(random_ensemble(rng) for _ in range(4))]
        texts = [base.to_json() for base in bases]
        data = [json.loads(text) for text in texts]
    else:
        texts = [searchspace.load("movinet").to_yaml(), USERS, searchspace.load("movinet").streaming().to_yaml()]
        data = [yaml.safe_load(text) for text in texts]
    style = "yaml" if kind == "space" else "json"
    result = []
    for i in range(count):
        pick = int(rng.integers(len(texts)))
        result.append(structural(rng, data[pick], style) if i % 2 == 0 else bytewise(rng, texts[pick].encode()))
    return result


def check_architecture(path: Path) -> None:
    """A valid object builds and round-trips."""
    architecture = load_spec(path)
    again = read_spec(architecture.to_json())
    assert again == architecture and again.key() == architecture.key()
    copied = path.with_suffix(".copy")
    architecture.save(copied)
    assert load_spec(copied) == architecture
    with torch.device("meta"):
        network = networks.create(architecture)
    assert sum(p.numel() for p in network.parameters()) == searchspace.cost(architecture).params


def check_space(path: Path) -> None:
    """A valid object walks, builds networks and round-trips."""
    space = searchspace.load(path)
    text = space.to_yaml()
    assert read_space(parse_yaml(text, "again"), "again") == space
    decisions = space.decisions
    assert space.networks() >= 1 and space.encodings() >= space.networks()
    for row in (np.zeros(len(decisions), dtype=np.int8), space.largest()):
        architecture = space.architecture(decisions.canonical(row))
        assert Architecture.from_json(architecture.to_json()) == architecture


def problem(error: Exception, case: Case, names: tuple[str, ...], longest: int = 500) -> str | None:
    """What is wrong with a refusal, or None.

    Args:
        error: that was raised.
        case: what was read.
        names: of the file and of what it belongs to; one of them has to be in the message.
        longest: characters of it.
    """
    message = str(error)
    if not isinstance(error, ValueError) or isinstance(error, UnicodeError):
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {message[:200]} ({where.filename}, line {where.lineno})"
    if len(message.splitlines()) != 1 or not message.isprintable():
        return f"not one printable line: {message[:200]!r}"
    if len(message) > longest:
        return f"{len(message)} characters: {message[:200]}"
    if not any(name in message for name in names):
        return f"does not name the file: {message}"
    if INTERNAL.search(message):
        return f"speaks of Python's insides: {message}"
    if case.names is not None and case.names not in message:
        return f"does not name {case.names!r}: {message}"
    if case.shows is not None and case.shows.casefold() not in message.casefold():
        return f"does not show {case.shows!r}: {message}"
    return None


def hang(*_: object) -> None:
    raise TimeoutError(f"no answer in {HANG} s of CPU time")


Reads = list[Callable[[], None]]


def strict(kind: str, count: int, seed: int, folder: Path) -> dict[str, Any]:
    """Mutations of an architecture, ensemble or space, whose refusals have to name the key and show the value."""
    check, todo = check_space if kind == "space" else check_architecture, cases(kind, count, seed)
    file = folder / ("mine.yaml" if kind == "space" else "arch.json")
    (folder / "warm").write_text(USERS if kind == "space" else published("a0").to_json())
    (folder / "warm").rename(file)
    check(file)  # imports and caches are not the file's doing

    def prepare(case: Case) -> Reads:
        file.write_bytes(case.content)
        return [lambda: check(file)]

    return judged(todo, prepare, lambda case: (file.name,))


def general(kind: str, count: int, seed: int, folder: Path) -> dict[str, Any]:
    """Mutations of one file of a subject at a time; all others are as they were."""
    rng = np.random.default_rng([seed, len(kind), *kind.encode()])
    work, whole = folder / "work", folder / "whole"
    work.mkdir()
    subject = {**subjects.SUBJECTS, **trained_subjects.SUBJECTS}[kind](work)
    shutil.copytree(work, whole)
    for read in subject.reads:
        read(work)
    files = [subject.files[i % len(subject.files)] for i in range(count)]
    made = [mutated(rng, file.style, (whole / file.path).read_bytes()) for file in files]
    paths = {id(case): Path(file.path) for case, file in zip(made, files, strict=True)}

    def prepare(case: Case) -> Reads:
        shutil.rmtree(work)
        shutil.copytree(whole, work)
        (work / paths[id(case)]).write_bytes(case.content)
        return [functools.partial(read, work) for read in subject.reads]

    def names(case: Case) -> tuple[str, ...]:
        path = paths[id(case)]
        # a run may be named by its folder, and the files of a checkpoint by what their names share
        return path.name, path.name.partition(".")[0], *(f"/{part}" for part in path.parts[1:-1]), *subject.instead

    return judged(made, prepare, names, subject.longest)


def judged(
    todo: list[Case], prepare: Callable[[Case], Reads], names: Callable[[Case], tuple[str, ...]], longest: int = 500
) -> dict[str, Any]:
    """Reads every case within the limits of memory and time."""
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, before[1]))
    signal.signal(signal.SIGPROF, hang)
    valid, slowest, failures = 0, 0.0, []
    for case in todo:
        refused = False
        for read in prepare(case):
            start, found = time.process_time(), None
            signal.setitimer(signal.ITIMER_PROF, HANG)
            try:
                read()
            except Exception as error:
                refused, found = True, problem(error, case, names(case), longest)
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
            slowest = max(slowest, time.process_time() - start)
            if found:
                failures.append(f"{names(case)[0]}, {case.what}: {found}")
        valid += not refused
    resource.setrlimit(resource.RLIMIT_AS, before)
    return {"cases": len(todo), "valid": valid, "slowest": slowest, "failures": failures}


def unpictured(figure: matplotlib.figure.Figure, buffer: io.BytesIO, **_: object) -> None:
    """Pictures are put together and not painted, which takes most of their time."""
    buffer.write(b"\x89PNG")


def main(kinds: dict[str, int], seed: int) -> dict[str, Any]:
    """Runs a batch of each kind; see `judged` for what it returns of each."""
    matplotlib.figure.Figure.savefig = unpictured  # type: ignore[method-assign, assignment]
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    results = {}
    for kind, count in kinds.items():
        with tempfile.TemporaryDirectory() as folder:
            os.environ["MOVINAS_CACHE"] = f"{folder}/cache"
            run = strict if kind in ("architecture", "ensemble", "space") else general
            results[kind] = run(kind, count, seed, Path(folder))
    return results


if __name__ == "__main__":
    given = (item.split("=") for item in sys.argv[1].split(","))
    print(json.dumps(main({kind: int(count) for kind, count in given}, int(sys.argv[2]))))
