"""What a word of a user means, decided in one place: a published network, or what lies at a path.

Every command and public call that takes a network, weights or a run asks here. `networks.load` and `searchspace.find`
take runs, too, so this file knows how a run is told from other folders, and where its network lies. Whatever else a run
holds is read by `training.run`, whose `accept` opens the runs that `resolve` finds here.
"""

from __future__ import annotations

import abc
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from searchspace.commands import command, go_on
from searchspace.published import published, published_ensembles, published_names
from searchspace.schema import nearest, parse_json, read_text
from searchspace.spec import NetworkSpec, load_spec
from searchspace.trained_folder import ARCHITECTURE, RECORD, is_trained
from searchspace.weights_header import is_safetensors, is_tflite

CONFIG = "config.json"
"""By which a folder is known as a run; `command` in it says of which command."""

CHECKPOINTS, BEST, LAST = "checkpoints", "best", "last"
"""A run that trains a network keeps it in checkpoints/best and checkpoints/last."""

WINNER = f"best/{ARCHITECTURE}"
"""Of a search."""

COEFFICIENTS = "coefficients.json"
"""By which a folder is known as a family, with or without its config.json."""

SEARCH, RETRAIN, FOLDS, FAMILY, FAMILY_TRAINING = "search", "retrain", "folds", "scale", "retrained"
"""Commands in config.json: `nas search`, `retrain`, `retrain --folds`, `scale`, and `retrain` of a family."""

_FOREIGN = (".pt", ".pth", ".bin", ".ckpt", ".index")
_GIVE = "give a run of nas retrain, the folder of a trained network, or a file in one, such as model.safetensors"


@dataclasses.dataclass(frozen=True)
class _Words:
    """What messages say of the runs of a command; `{folder}` is the run, `{resume}` the command that goes on with it.

    Attributes:
        nameless: where it stands for no network, and what to do then.
        untrained: where trained weights are needed and it has none; empty where an architecture in it can be trained.
    """

    nameless: str = "has no network; give another run"
    untrained: str = ""


_RUNS = {
    SEARCH: _Words(nameless="is not finished; go on with: {resume}"),
    RETRAIN: _Words(untrained="it is a training that kept no network yet; go on with: {resume}"),
    FOLDS: _Words(untrained="it holds a training for each fold; name one of the runs in it"),
    FAMILY: _Words(nameless="is a family; name one of its members, such as {folder}/A2.json"),
    FAMILY_TRAINING: _Words(
        nameless="holds the trainings of a family; name one of the runs in it",
        untrained="it holds the trainings of a family; name one of the runs in it",
    ),
}


class Target(abc.ABC):
    """What a word means. As text it is the word; a run that was found in a folder of runs is its path."""

    @property
    def trained(self) -> Path | None:
        """The folder of the trained network (`searchspace.trained_folder`); None where there is none."""
        return None

    @property
    def weights(self) -> Path | None:
        """Where the weights are that come with the architecture; None where none do.

        Those that a search has trained for all networks of its space count, too.
        """
        return None

    @abc.abstractmethod
    def architecture(self, stream: bool = False) -> NetworkSpec:
        """The architecture of the network.

        Args:
            stream: its causal form, as released for a published name; see `Architecture.streaming` for others.

        Raises:
            ValueError: there is none, or its file is damaged.
        """

    def instead(self) -> str:
        """What to do, or to give, where trained weights are needed and it has none."""
        return _GIVE


@dataclasses.dataclass(frozen=True)
class PublishedName(Target):
    """The name of a published network.

    Attributes:
        name: as it was written.
    """

    name: str

    def __str__(self) -> str:
        return self.name

    def architecture(self, stream: bool = False) -> NetworkSpec:
        """The network as published."""
        return published(self.name, stream)


@dataclasses.dataclass(frozen=True)
class _Place(Target):
    """What lies at a path.

    Attributes:
        path: as it was given.
    """

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def file(self) -> Path:
        """Where the architecture is: a file of its own, or one of weights that carries it in its header."""
        return self.path

    def architecture(self, stream: bool = False) -> NetworkSpec:
        """The architecture in the file; raises `ValueError` where there is none, or it is damaged."""
        return _formed(load_spec(self.file), stream)


class ArchitectureFile(_Place):
    """An arch.json, or any other file, which is read as one.

    Attributes:
        path: as it was given: the file, or the folder of an arch.json.
    """

    @property
    def file(self) -> Path:
        """The arch.json, in the folder or by itself."""
        return self.path / ARCHITECTURE if self.path.is_dir() else self.path

    def instead(self) -> str:
        """How weights come of it."""
        if self.file.suffix in _FOREIGN:
            return f"weights of other projects become such a file with: {command('import', self.path)}"
        return f"train it with: {command('retrain', self.path)}" if _is_architecture(self.file) else _GIVE


class WeightsFile(_Place):
    """A safetensors file, which may carry its architecture."""

    @property
    def weights(self) -> Path:
        """The file."""
        return self.path


class ExportedFile(_Place):
    """A TensorFlow Lite file, which `networks.load` can read, and nothing without torch; it has to be imported."""


@dataclasses.dataclass(frozen=True)
class TrainedFolder(_Place):
    """The folder of a trained network.

    Attributes:
        path: as it was given: the folder, a file in it, or a file in the run that trained it.
        folder: of the network.
    """

    folder: Path

    @property
    def trained(self) -> Path:
        """The folder."""
        return self.folder

    @property
    def weights(self) -> Path:
        """The folder, as it was given."""
        return self.path

    @property
    def file(self) -> Path:
        """The arch.json in the folder."""
        return self.folder / ARCHITECTURE


class OtherFolder(_Place):
    """A folder that holds neither a run nor a network."""

    def architecture(self, stream: bool = False) -> NetworkSpec:
        """Raises `ValueError`: it has none."""
        raise ValueError(f"{self.path} holds neither a run nor an {ARCHITECTURE}; give another folder or a file")

    def instead(self) -> str:
        """What to give in its place."""
        if (self.path / RECORD).is_file():
            return f"it is a state to go on from; give the run, or its {CHECKPOINTS}/{BEST}"
        return _GIVE


@dataclasses.dataclass(frozen=True)
class RunPlace(Target):
    """The folder of a run, of which nothing is known but which command made it, and which network it stands for.

    Attributes:
        folder: as it was given.
        command: in its config.json; None where that does not say.
    """

    folder: Path
    command: str | None

    def __str__(self) -> str:
        return str(self.folder)

    @property
    def trained(self) -> Path | None:
        """The folder of the network that it trained, the best or else the last; None where it keeps none."""
        return trained_in(self.folder)

    @property
    def weights(self) -> Path | None:
        """The run, where it trained a network, or those of a search."""
        shared = self.command == SEARCH and (self.folder / CHECKPOINTS).is_dir()
        return self.folder if shared or self.trained is not None else None

    def architecture(self, stream: bool = False) -> NetworkSpec:
        """Of the network that it trained, or else trains, or of the winner of a search."""
        if self.trained is not None:
            return _formed(load_spec(self.trained / ARCHITECTURE), stream)
        config = read_config(self.folder)
        if (self.folder / ARCHITECTURE).is_file():
            return _formed(load_spec(self.folder / ARCHITECTURE), stream or config.get("stream") is True)
        if (self.folder / WINNER).is_file():
            return _formed(load_spec(self.folder / WINNER), stream)
        raise ValueError(f"{self.folder} {self._said(self._words.nameless)}")

    def instead(self) -> str:
        """How a trained network comes of it."""
        if self._words.untrained:
            return self._said(self._words.untrained)
        files = (self.folder / ARCHITECTURE, self.folder / WINNER)
        file = next((file for file in files if file.is_file()), None)
        if (self.folder / COEFFICIENTS).is_file() if file is None else _is_architecture(file):
            return f"train it with: {command('retrain', self.folder)}"
        return f"it {self._said(self._words.nameless)}" if self.command in _RUNS else _GIVE

    @property
    def _words(self) -> _Words:
        return _RUNS.get(self.command or "", _Words())

    def _said(self, text: str) -> str:
        return text.format(folder=self.folder, resume=go_on(self.command or "", self.folder))


def is_published(word: str | os.PathLike[str]) -> bool:
    """Whether a word is a published network's name, in any case; a file or folder of that name is written `./a0`."""
    return isinstance(word, str) and word.lower() in _known()


def resolve(word: str | os.PathLike[str], runs: Path | None = None, others: Sequence[str] = ()) -> Target:
    """What a word means: a published name first, whatever lies in the working directory.

    Args:
        word: a published name ("a2"), or a path, as of `at`.
        runs: a folder of runs, in which a run is found by its name; None for none.
        others: names that would have meant something else, for the error.

    Raises:
        ValueError: nothing of that name; names the nearest one.
    """
    if is_published(word):
        return PublishedName(str(word))
    place = _there(Path(word), runs)
    if place is not None:
        return _at(place)
    if runs is not None:
        names = [item.name for item in runs.glob("[!.]*") if item.is_dir()]
        raise ValueError(
            f"{str(word)!r} is no file, no run in {runs}/, and no published network ({', '.join(_known())})"
            f"{nearest(str(word), [*_known(), *others, *names])}"
        )
    path = Path(word)
    if path.suffix or len(path.parts) > 1:
        raise ValueError(f"{path}: no such file or folder; give an {ARCHITECTURE}, a run, or a trained network")
    raise ValueError(
        f"network {str(word)!r} is not known{nearest(str(word), _known())} "
        f"(known: {', '.join(_known())}; or give the path of an {ARCHITECTURE})"
    )


def at(path: str | os.PathLike[str], runs: Path | None = None) -> Target:
    """What lies at a path, for words that mean no published names, such as weights.

    Args:
        path: of a file or folder; one in a folder of a trained network, or in a run that trained one, means that
            network.
        runs: a folder of runs, in which a run is found by its name; None for none.

    Raises:
        ValueError: nothing does.
    """
    place = _there(Path(path), runs)
    if place is None and runs is not None:
        raise ValueError(f"{str(path)!r} is no file and no run in {runs}/; give a run or a checkpoint folder")
    if place is None:
        raise ValueError(f"{path}: no such file or folder; give a run, a checkpoint folder or a file in it")
    return _at(place)


def find(word: str | os.PathLike[str], stream: bool = False) -> NetworkSpec:
    """The architecture that a word names: a published name first, whatever lies in the working directory.

    Args:
        word: a published name ("a2"), or a path: of an arch.json or a folder with one, of weights that carry their
            architecture, of a run (its trained network, or the winner of its search), of the folder of a trained
            network, or a file in it.
        stream: its causal form, as released for a published name; see `Architecture.streaming` for others.

    Raises:
        ValueError: nothing of that name, or a file that cannot be read.
    """
    return resolve(word).architecture(stream)


def command_of(folder: Path) -> str | None:
    """The command whose run a folder is; None where it is no run, or its config.json does not say."""
    if not (folder / CONFIG).is_file():
        return FAMILY if (folder / COEFFICIENTS).is_file() else None
    try:
        found = read_config(folder).get("command")
    except ValueError:
        return None
    return found if isinstance(found, str) else None


def read_config(folder: Path) -> dict[str, Any]:
    """The content of a run's config.json; raises `ValueError` where it is damaged."""
    file = folder / CONFIG
    content = parse_json(read_text(file, CONFIG), str(file)) if file.is_file() else {}
    if not isinstance(content, dict):
        raise ValueError(f"{file} is no mapping; restore the file from a copy, or start a new run")
    return content


def trained_in(run: Path) -> Path | None:
    """The folder of the best network that a run keeps, else of its last; None where it keeps none."""
    return next((place for name in (BEST, LAST) if is_trained(place := run / CHECKPOINTS / name)), None)


def _known() -> tuple[str, ...]:
    return (*published_names(), *published_ensembles())


def _there(path: Path, runs: Path | None) -> Path | None:
    """The path that is there: the word's own, or that of a run of its name."""
    if path.exists():
        return path
    named = None if runs is None else runs / path
    return named if named is not None and named.exists() else None


def _at(path: Path) -> Target:
    folder = path.parent if path.is_file() else path
    trained = folder if is_trained(folder) else trained_in(folder)
    if folder == path and ((path / CONFIG).is_file() or (path / COEFFICIENTS).is_file()):
        made_by = command_of(path)
        if made_by in _RUNS or trained is None:
            return RunPlace(path, made_by)
    if trained is not None:
        return TrainedFolder(path, trained)
    if path.is_dir():
        return ArchitectureFile(path) if (path / ARCHITECTURE).is_file() else OtherFolder(path)
    if is_safetensors(path):
        return WeightsFile(path)
    return ExportedFile(path) if is_tflite(path) else ArchitectureFile(path)


def _formed(found: NetworkSpec, stream: bool) -> NetworkSpec:
    return found.streaming() if stream else found


def _is_architecture(file: Path) -> bool:
    try:
        load_spec(file)
    except ValueError:
        return False
    return True
