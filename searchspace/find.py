"""What a word means: the one order in which names, files and folders are looked at."""

from __future__ import annotations

import os
from pathlib import Path

from searchspace.published import published, published_ensembles, published_names
from searchspace.schema import nearest
from searchspace.spec import NetworkSpec, load_spec
from searchspace.trained import ARCHITECTURE, SEARCHED, find_trained, made_by


def is_published(word: str | os.PathLike[str]) -> bool:
    """Whether a word is a published network's name, in any case; a file or folder of that name is written `./a0`."""
    return isinstance(word, str) and word.lower() in (*published_names(), *published_ensembles())


def find(word: str | os.PathLike[str], stream: bool = False) -> NetworkSpec:
    """The architecture that a word names: a published name first, whatever lies in the working directory.

    Args:
        word: a published name ("a2"), or a path: of an arch.json or a folder with one, of weights that carry their
            architecture, of a run that trained a network, of the trained network or a file in it.
        stream: its causal form, as released for a published name; see `Architecture.streaming` for others.

    Raises:
        ValueError: nothing of that name, or a file that cannot be read.
    """
    if is_published(word):
        return published(str(word), stream)
    path = Path(word)
    folder = find_trained(path) or path
    if folder.is_dir():
        path = folder / ARCHITECTURE
        if not path.is_file():
            raise ValueError(f"{folder} holds neither a run nor an {ARCHITECTURE}; give another folder or a file")
    if not (path.suffix or path.exists() or len(path.parts) > 1):
        known = (*published_names(), *published_ensembles())
        raise ValueError(
            f"network {str(word)!r} is not known{nearest(str(word), known)} "
            f"(known: {', '.join(known)}; or give the path of an arch.json)"
        )
    found = load_spec(path)
    return found.streaming() if stream else found


def weights_of(word: str | os.PathLike[str]) -> Path | None:
    """Where the weights are that come with the architecture that a word names; None where none do.

    Those of a trained network, of a run that trained one, of a file of weights that carries its architecture, and those
    that a search has trained for all networks of its space.

    Args:
        word: as of `find`.
    """
    path = Path(word)
    if is_published(word):
        return None
    if find_trained(path) is not None:
        return path
    if made_by(path) == SEARCHED:
        return path if (path / "checkpoints").is_dir() else None
    return path if path.is_file() and path.suffix.lower() == ".safetensors" else None
