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
        default=None,
        form="DIR|CSV",
        otherwise="built-in motion",
        help="folder of videos, one sub-folder a class, or annotation file in the form of Kinetics above its clips",
    )
    videos: str | None = setting(
        default=None, form="DIR", otherwise="beside it", help="folder of the clips of an annotation file"
    )
    group: str | None = setting(
        default=None,
        form="REGEX",
        reads=regular_expression,
        help="regular expression whose first group names the person or recording of a file, which stays on one side of "
        "a split",
    )
    seed: int = setting(default=0, low=0, high=2**31 - 1, help="of everything random")

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

    device: str = setting(
        default="cpu", words=DEVICES, auto=True, otherwise="auto", help="auto: a GPU where there is one"
    )
    threads: int = setting(default=2, low=1, high=1024, otherwise="the cores", help="of torch on the CPU")
    workers: int = setting(default=0, low=0, high=256, otherwise="the cores", help="processes that decode videos")
