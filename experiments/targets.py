"""What a word on the command line means: a published network, an arch.json, a run, or a folder that holds one."""

from __future__ import annotations

from pathlib import Path

from experiments.arguments import did_you_mean
from experiments.run_files import Run
from searchspace import Buildable, load_architecture, published, published_ensembles, published_names


def resolve(word: str, runs: Path = Path("runs")) -> Buildable | Run:
    """Finds what a word names.

    Args:
        word: `a2`, the path of an arch.json or of a folder that holds one, the path of a run, or its name.
        runs: where runs are looked for by name.

    Raises:
        ValueError: nothing of that name, or a file that cannot be read.
    """
    path = Path(word)
    if not path.exists() and (runs / word).is_dir():
        path = runs / word
    if path.is_dir():
        if (path / "config.json").is_file():
            return Run.open(path)
        if (path / "arch.json").is_file():
            return load_architecture(path / "arch.json")
        raise ValueError(f"{path} holds neither a run (config.json) nor an arch.json; give another folder or a file")
    if path.is_file():
        return load_architecture(path)
    known = (*published_names(), *published_ensembles())
    if word.lower() in known:
        return published(word)
    names = [item.name for item in runs.iterdir() if item.is_dir()] if runs.is_dir() else []
    near = did_you_mean(word, [*known, *names])
    raise ValueError(f"{word!r} is no file, no run in {runs}/, and no published network ({', '.join(known)}){near}")


def resolve_architecture(word: str, runs: Path = Path("runs")) -> Buildable:
    """Like `resolve`; a run stands for its winner."""
    found = resolve(word, runs)
    return found.best if isinstance(found, Run) else found
