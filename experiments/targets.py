"""What a word on the command line means: a published network, an arch.json, a run, or a folder that holds one."""

from __future__ import annotations

from pathlib import Path

from experiments.run_files import Run
from searchspace import Architecture, published, published_names
from searchspace.schema import nearest

STREAM_HELP = "in its causal form, which runs frame by frame; published names as released"


def resolve(word: str, runs: Path = Path("runs"), stream: bool = False) -> Architecture | Run:
    """Finds what a word names.

    Args:
        word: `a2`, the path of an arch.json or of a folder that holds one, the path of a run, or its name.
        runs: where runs are looked for by name.
        stream: an architecture in its causal form.

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
            return _form(Architecture.load(path / "arch.json"), stream)
        raise ValueError(f"{path} holds neither a run (config.json) nor an arch.json; give another folder or a file")
    if path.is_file():
        return _form(Architecture.load(path), stream)
    if word.lower() in published_names():
        return published(word, stream)
    names = [item.name for item in runs.iterdir() if item.is_dir()] if runs.is_dir() else []
    near = nearest(word, [*published_names(), *names])
    known = ", ".join(published_names())
    raise ValueError(f"{word!r} is no file, no run in {runs}/, and no published network ({known}){near}")


def resolve_architecture(word: str, runs: Path = Path("runs"), stream: bool = False) -> Architecture:
    """Like `resolve`; a run stands for its winner."""
    found = resolve(word, runs, stream)
    return _form(found.best, stream) if isinstance(found, Run) else found


def _form(architecture: Architecture, stream: bool) -> Architecture:
    return architecture.streaming() if stream else architecture
