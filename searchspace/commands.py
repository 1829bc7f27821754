"""Commands of `nas` as messages give them: words that can be pasted into a shell and mean what is meant.

Every command that is printed, as the next one or as a remedy, is made here; `tests/experiments/test_typed.py` reads
them with the real parsers.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any

from searchspace.naming import escaped
from searchspace.plugins import loaded_files

RUNS = "runs"
"""Where commands look for runs by default."""


def command(which: str, /, *places: str | os.PathLike[str], **flags: Any) -> str:
    """A command with its arguments quoted for a shell.

    Args:
        which: such as "search" or "data check".
        places: positional arguments. Words in capitals stand for what the user puts there.
        flags: by their names with underscores. True gives the flag alone, None and False none, a list
            one for each item.
    """
    words = []
    for key, value in flags.items():
        flag = f"--{key.replace('_', '-')}"
        for item in value if isinstance(value, list | tuple) else [value]:
            if item is None or item is False:
                continue
            if item is True:
                words.append(flag)
                continue
            text = escaped(item) if isinstance(item, str | os.PathLike) else str(item)
            words += [f"{flag}={shlex.quote(text)}"] if text.startswith("-") else [flag, shlex.quote(text)]
    given = [escaped(place) for place in places]
    quoted = [shlex.quote(place) for place in given]
    nas = ["nas", *(f"--plugin {shlex.quote(escaped(path))}" for path in loaded_files()), which]
    if any(place.startswith("-") for place in given):
        return " ".join([*nas, *words, "--", *quoted])
    return " ".join([*nas, *quoted, *words])


def go_on(which: str, run: str | os.PathLike[str], *places: str | os.PathLike[str]) -> str:
    """The command that goes on with a run.

    Args:
        which: command started it.
        run: its folder.
        places: positional arguments that it needs, such as the family whose trainings these are.
    """
    folder = Path(run)
    runs = folder.parent
    elsewhere = not places and os.path.abspath(runs) != os.path.abspath(RUNS)
    return command(which, *places, resume=True, name=folder.name, runs=runs if elsewhere else None)
