"""Reads mutated files, in a process of its own that may not grow by more than 200 MB; prints a summary as JSON.

python tests/searchspace/fuzz_batch.py architecture|space COUNT SEED
"""

from __future__ import annotations

import json
import re
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

import networks
import searchspace
from searchspace import Architecture, published
from searchspace.schema import parse_yaml
from searchspace.space import read_space
from tests.searchspace.mutations import Case, bytewise, structural
from tests.searchspace.util import USERS, random_architecture

MEMORY = 200_000_000
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
    else:
        texts = [searchspace.load("movinet").to_yaml(), USERS, searchspace.load("movinet").streaming().to_yaml()]
        data = [yaml.safe_load(text) for text in texts]
    style = "json" if kind == "architecture" else "yaml"
    result = []
    for i in range(count):
        pick = int(rng.integers(len(texts)))
        result.append(structural(rng, data[pick], style) if i % 2 == 0 else bytewise(rng, texts[pick].encode()))
    return result


def check_architecture(path: Path) -> None:
    """A valid object builds and round-trips."""
    architecture = Architecture.load(path)
    again = Architecture.from_json(architecture.to_json())
    assert again == architecture and again.key() == architecture.key()
    copied = path.with_suffix(".copy")
    architecture.save(copied)
    assert Architecture.load(copied) == architecture
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


def problem(error: Exception, case: Case, file: str) -> str | None:
    """What is wrong with a refusal, or None."""
    message = str(error)
    if type(error) is not ValueError:
        return f"{type(error).__name__}: {message[:200]}"
    if len(message.splitlines()) != 1 or not message.isprintable():
        return f"not one printable line: {message[:200]!r}"
    if len(message) > 500:
        return f"{len(message)} characters: {message[:200]}"
    if file not in message:
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


def main(kind: str, count: int, seed: int) -> dict[str, Any]:
    """Runs a batch; see the summary at the end for what it returns."""
    check = {"architecture": check_architecture, "space": check_space}[kind]
    todo = cases(kind, count, seed)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / ("arch.json" if kind == "architecture" else "mine.yaml")
        (Path(folder) / "warm").write_text(published("a0").to_json() if kind == "architecture" else USERS)
        (Path(folder) / "warm").rename(file)
        check(file)  # imports and caches are not the file's doing
        held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, held + MEMORY))
        signal.signal(signal.SIGPROF, hang)
        valid, slowest, failures = 0, 0.0, []
        for case in todo:
            file.write_bytes(case.content)
            start = time.process_time()
            signal.setitimer(signal.ITIMER_PROF, HANG)
            try:
                check(file)
                valid, found = valid + 1, None
            except Exception as error:
                found = problem(error, case, file.name)
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
            slowest = max(slowest, time.process_time() - start)
            if found:
                failures.append(f"{case.what}: {found}")
    return {"cases": len(todo), "valid": valid, "slowest": slowest, "failures": failures}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
