"""What a word on the command line means: a published network, an arch.json, a run, or a trained network."""

from __future__ import annotations

from pathlib import Path

from experiments.run_files import Run
from searchspace import Buildable, load_architecture, published, published_ensembles, published_names
from searchspace.schema import nearest
from searchspace.trained import find_trained, load_trained_architecture

STREAM_HELP = "in its causal form, which runs frame by frame; published names as released"


def resolve(word: str, runs: Path = Path("runs"), stream: bool = False) -> Buildable | Run:
    """Finds what a word names.

    Args:
        word: `a2`, the path of an arch.json or of a folder that holds one, of a run, or the name of a run. A run that
            trained a network stands for that network, and so do the folder of a trained network and the files in it.
        runs: where runs are looked for by name.
        stream: an architecture in its causal form.

    Raises:
        ValueError: nothing of that name, or a file that cannot be read.
    """
    path = Path(word)
    if not path.exists() and (runs / word).is_dir():
        path = runs / word
    trained = find_trained(path) if path.exists() else None
    if trained is not None:
        return _form(load_trained_architecture(trained), stream)
    if path.is_dir():
        if (path / "config.json").is_file():
            return Run.open(path)
        if (path / "arch.json").is_file():
            return _form(load_architecture(path / "arch.json"), stream)
        raise ValueError(f"{path} holds neither a run (config.json) nor an arch.json; give another folder or a file")
    if path.is_file():
        return _form(load_architecture(path), stream)
    known = (*published_names(), *published_ensembles())
    if word.lower() in known:
        return published(word, stream)
    names = [item.name for item in runs.iterdir() if item.is_dir()] if runs.is_dir() else []
    near = nearest(word, [*known, *names])
    raise ValueError(f"{word!r} is no file, no run in {runs}/, and no published network ({', '.join(known)}){near}")


def resolve_architecture(word: str, runs: Path = Path("runs"), stream: bool = False) -> Buildable:
    """Like `resolve`; a run stands for its winner."""
    found = resolve(word, runs, stream)
    return _form(found.best, stream) if isinstance(found, Run) else found


def _form(architecture: Buildable, stream: bool) -> Buildable:
    return architecture.streaming() if stream else architecture
