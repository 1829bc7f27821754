"""What a word on the command line means: a published network, an arch.json, a run, or a trained network."""

from __future__ import annotations

from pathlib import Path

from experiments.run_files import Run, command_of
from searchspace import NetworkSpec, find, is_published, published_ensembles, published_names
from searchspace.schema import nearest
from searchspace.trained import find_trained
from training.run import CONFIG, read_json

STREAM_HELP = "in its causal form, which runs frame by frame; published names as released"


def resolve(word: str, runs: Path = Path("runs"), stream: bool = False) -> NetworkSpec | Run:
    """Finds what a word names: a published network, then a file or folder, then a run by its name.

    Args:
        word: `a2`, the path of an arch.json or of a folder that holds one, of a run, or the name of a run. A run that
            trained a network stands for that network, and so do the folder of a trained network and the files in it.
            A retraining that has kept no network yet stands for the architecture that it trains.
        runs: where runs are looked for by name.
        stream: an architecture in its causal form.

    Raises:
        ValueError: nothing of that name, or a file that cannot be read.
    """
    if is_published(word):
        return find(word, stream)
    path = Path(word)
    if not path.exists() and (runs / word).is_dir():
        path = runs / word
    if (path / CONFIG).is_file() and find_trained(path) is None:
        if command_of(path) != "retrain":
            return Run.open(path)
        stream = stream or read_json(path / CONFIG).get("stream") is True
    if path.exists():
        return find(path, stream)
    known = (*published_names(), *published_ensembles())
    names = [item.name for item in runs.glob("[!.]*") if item.is_dir()]
    near = nearest(word, [*known, *names])
    raise ValueError(f"{word!r} is no file, no run in {runs}/, and no published network ({', '.join(known)}){near}")


def typed(word: str, runs: Path) -> str:
    """The word as a command that looks for runs elsewhere takes it, too: a run by its path."""
    return str(runs / word) if not is_published(word) and not Path(word).exists() else word


def resolve_architecture(word: str, runs: Path = Path("runs"), stream: bool = False) -> NetworkSpec:
    """Like `resolve`; a run stands for its winner."""
    found = resolve(word, runs, stream)
    if not isinstance(found, Run):
        return found
    return found.best.streaming() if stream else found.best
