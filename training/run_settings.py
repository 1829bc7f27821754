"""What the configurations of all runs over data have in common; a run folder stores one, and a resume compares it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, TypeVar

from searchspace import Budget, Clip
from searchspace.settings import Settings, setting
from training.names import DEVICES
from training.run import check_settings, settled

S = TypeVar("S", bound="RunSettings")


def clip_text(text: str) -> str:
    """A clip as configurations store it; raises `ValueError` where the text is none."""
    return str(Clip.parse(text))


def budget_text(text: str) -> str:
    """A budget as configurations store it; raises `ValueError` where the text is none."""
    return Budget.parse(text).text


def regular_expression(text: str) -> str:
    """The text, where it is a regular expression; raises `ValueError` otherwise."""
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is not a regular expression: {error}") from None
    return text


class RunSettings(Settings):
    """Settings of a run: its data and its seed. Paths and clips are stored as `training.run.settled` writes them."""

    data: str | None = setting(
        "folder of videos, one sub-folder a class, or annotation file as Kinetics has them",
        default=None,
        form="DIR|CSV",
        otherwise="built-in motion",
    )
    videos: str | None = setting(
        "folder of the clips of an annotation file", default=None, form="DIR", otherwise="beside it"
    )
    group: str | None = setting(
        "regular expression whose first group names the person or recording of a file, which stays on one side of "
        "a split",
        default=None,
        reads=regular_expression,
        form="REGEX",
    )
    seed: int = setting("of everything random", 0, 2**31 - 1, default=0)

    def __post_init__(self) -> None:
        for key, value in settled(vars(self)).items():
            object.__setattr__(self, key, value)
        super().__post_init__()

    @classmethod
    def stored(cls: type[S], data: Mapping[str, Any]) -> S:
        """Reads what `to_dict` gave.

        Raises:
            ValueError: other settings than this version has, or a value that is not allowed.
        """
        check_settings([field.name for field in dataclasses.fields(cls)], data)
        return cls(**data)


class MachineSettings(Settings):
    """What a run in one process takes of the machine."""

    device: str = setting("auto: a GPU where there is one", default="cpu", words=DEVICES, otherwise="auto", auto=True)
    threads: int = setting("of torch on the CPU", 1, 1024, default=2, otherwise="the cores")
    workers: int = setting("processes that decode videos", 0, 256, default=0, otherwise="the cores")
