"""What the folders of all runs have: a configuration, perhaps a summary, and the network that the run stands for."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, ClassVar, Self

from searchspace.commands import go_on
from searchspace.targets import CHECKPOINTS, CONFIG, RunPlace
from training.run.formats import COMMAND
from training.run.run_folder import SUMMARY, read_json


class Run(RunPlace):
    """The folder of a run, finished or not; its files are read when they are asked for.

    Attributes:
        made_by: command in the config.json of such runs.
        nas: command of `nas` that makes them.
        config_pattern, summary_pattern: of their files (`searchspace.stored`).
    """

    made_by: ClassVar[str]
    nas: ClassVar[str]
    config_pattern: ClassVar[Any] = dict
    summary_pattern: ClassVar[Any] = dict

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Opens the run of this kind in a folder; raises `ValueError` where there is none, or one of another kind."""
        if not (folder / CONFIG).is_file():
            raise ValueError(f"{folder} is not a run (it has no {CONFIG}); give a folder that nas {cls.nas} made")
        command = str(read_json(folder / CONFIG, COMMAND).get("command"))
        if command != cls.made_by:
            raise ValueError(f"{folder} is not a run of nas {cls.nas} but of {command!r}; give a folder that it made")
        return cls(folder, command)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name

    @functools.cached_property
    def config(self) -> dict[str, Any]:
        """The content of config.json; raises `ValueError` where it is damaged."""
        return read_json(self.folder / CONFIG, self.config_pattern)

    @property
    def settings(self) -> dict[str, Any]:
        """The configuration without the command."""
        return {key: value for key, value in self.config.items() if key != "command"}

    @property
    def checkpoints(self) -> Path:
        """Where its states to resume from are, and the networks that it keeps."""
        return self.folder / CHECKPOINTS

    @property
    def finished(self) -> bool:
        """Whether it has come to its end."""
        return (self.folder / SUMMARY).is_file()

    @functools.cached_property
    def summary(self) -> dict[str, Any]:
        """The content of summary.json; raises `ValueError` while the run is not finished, or where it is damaged."""
        if not self.finished:
            raise self.unfinished()
        return read_json(self.folder / SUMMARY, self.summary_pattern)

    def unfinished(self) -> ValueError:
        """The error of what only a finished run has."""
        return ValueError(f"{self.folder} is not finished; go on with: {self.resume()}")

    def resume(self) -> str:
        """The command that goes on with it."""
        return go_on(self.nas, self.folder)
