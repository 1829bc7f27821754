"""Command-line parsing that answers mistakes in one line and names what was probably meant."""

from __future__ import annotations

import argparse
import dataclasses
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from searchspace.settings import Settings

STREAM_HELP = "in its causal form, which runs frame by frame; published names as released"


class UsageError(ValueError):
    """A command line that cannot be understood."""


def nearest(word: str, known: Iterable[str]) -> str:
    """`searchspace.schema.nearest`, loaded (with numpy) only when there is a mistake to answer."""
    from searchspace import schema

    return schema.nearest(word, known)


class Parser(argparse.ArgumentParser):
    """An argument parser that raises `UsageError` instead of printing its usage and exiting."""

    def __init__(self, prog: str, description: str, example: str = "", **kwargs: Any) -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=f"example:\n{example}" if example else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,  # a shortened flag would change its meaning when another is added
            **kwargs,
        )

    def error(self, message: str) -> NoReturn:
        """Raises the parser's complaint."""
        raise UsageError(f"{message} ({self.prog} --help lists what there is)")

    def parse(self, words: list[str]) -> argparse.Namespace:
        """Parses everything; raises `UsageError`, with the nearest flag where one is unknown."""
        args, unknown = self.parse_known_args(words)
        for word in unknown:
            if word.startswith("-"):
                flag = word.split("=")[0]
                flags = sorted(set(re.findall(r"--[a-z][a-z-]*", self.format_usage())))
                self.error(f"unknown flag {flag}{nearest(flag, flags)}")
            self.error(f"unexpected {word!r}")
        return args


def one_of(*words: str) -> dict[str, Any]:
    """Keyword arguments of `add_argument` for a choice among words, refused with the nearest one."""

    def check(text: str) -> str:
        if text not in words:
            raise argparse.ArgumentTypeError(f"{text!r} is not one of {', '.join(words)}{nearest(text, words)}")
        return text

    return {"type": check, "metavar": "{" + ",".join(words) + "}"}


def whole(least: int, most: int = 2**31) -> Callable[[str], int]:
    """The type of a whole-number flag in [least, most]."""

    def check(text: str) -> int:
        try:
            value = int(text.replace("_", ""))
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if not least <= value <= most:
            allowed = f"at least {least}" if most >= 2**31 - 1 else f"from {least} to {most}"
            raise argparse.ArgumentTypeError(f"{text} must be {allowed}")
        return value

    return check


def number(least: float, most: float) -> Callable[[str], float]:
    """The type of a flag for a number in [least, most]."""

    def check(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:  # NaN compares false
            raise argparse.ArgumentTypeError(f"{text!r} must be a number from {least:g} to {most:g}")
        return value

    return check


def read_by(reader: Callable[[str], Any]) -> Callable[[str], Any]:
    """The type of a flag that one of our readers reads, with the reader's own complaint."""

    def check(text: str) -> Any:
        try:
            return reader(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return check


def check_data_flags(given: Mapping[str, Any], resume: bool) -> None:
    """Refuses flags of data without data (raises `ValueError`); a run that goes on has its own."""
    for flag, what in (("group", "a folder of videos"), ("videos", "an annotation file")):
        if given.get(flag) is not None and given.get("data") is None and not resume:
            raise ValueError(f"--{flag} is for {what}; give one with --data")


def add_flag(
    group: argparse._ActionsContainer,
    settings: type[Settings],
    name: str,
    flag: str | None = None,
    *,
    held: str | None = None,
    **options: Any,
) -> None:
    """The flag of a setting, which is read, refused and explained as the setting says.

    Args:
        group: to add it to.
        settings: whose it is.
        name: of the setting, and of the value among the arguments.
        flag: as it is typed; by default as the setting is called. Without dashes it is an argument by its place.
        held: what holds where it is not given, in words, where the setting does not say.
        options: of `add_argument`, in place of what follows from the setting.
    """
    found = settings.declared[name]
    words = (("auto",) if found.auto else ()) + tuple(found.words)
    if found.kind is bool:
        own: dict[str, Any] = {"action": "store_const", "const": True}
    elif words:
        own = one_of(*words)
    elif found.kind in (int, float):
        low, high = found.low, found.high
        own = {"type": whole(int(low), int(high)) if found.kind is int else number(low, high)}
        own["metavar"] = found.unit.upper() or "N"
    else:
        own = {"metavar": found.form} | ({} if found.reads is None else {"type": read_by(as_text(found.reads))})
    held = found.default_text if held is None else held
    own["help"] = found.help + (f" (default: {held})" if held and found.kind is not bool else "")
    own["help"] = own["help"].replace("%", "%%")
    flag = flag or f"--{name.replace('_', '-')}"
    if flag.startswith("-"):
        own["dest"] = name
    group.add_argument(flag, **own, **options)


def as_text(reader: Callable[[str], object]) -> Callable[[str], str]:
    """Checks a text by its reader, and gives it as the reader writes it, where it does."""

    def read(text: str) -> str:
        found = reader(text)
        return found if isinstance(found, str) else text

    return read


def add_flags(group: argparse._ActionsContainer, settings: type[Settings], *names: str) -> None:
    """The flags of several settings."""
    for name in names:
        add_flag(group, settings, name)


def given_by(args: argparse.Namespace, settings: type[Settings]) -> dict[str, Any]:
    """Settings that were given by flags of their names; nothing that was not."""
    names = [field.name for field in dataclasses.fields(settings)]
    return {name: vars(args)[name] for name in names if vars(args).get(name) is not None}


def set_by(texts: Iterable[str], given: Iterable[str], example: str) -> dict[str, Any]:
    """Settings from the words of `--set`, each KEY=VALUE.

    Raises:
        ValueError: a word without a `=`, or a key that stands in `given` or twice.
    """
    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ValueError(f"--set {text!r}: write KEY=VALUE, such as {example}")
        if key in given or key in found:
            raise ValueError(f"setting {key!r} is given twice; leave one of them out")
        found[key] = _value(value)
    return found


def _value(text: str) -> Any:
    """A number, true, false, null, a [list] of such, or a word; not by YAML, to which 1e-3 is a word."""
    if text.startswith("[") and text.endswith("]"):
        return [_value(part.strip()) for part in text[1:-1].split(",") if part.strip()]
    for reader in (int, float):
        try:
            return reader(text)
        except ValueError:
            continue
    return {"true": True, "false": False, "null": None}.get(text.lower(), text)


def add_set_flag(group: argparse._ActionsContainer, help: str) -> None:
    """The flag for settings that have none of their own; `set_by` reads what it was given."""
    group.add_argument("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE", help=help)


def add_run_flags(group: argparse._ArgumentGroup, command: str) -> None:
    """Flags of every command that fills a run folder: where and which it is, whether to go on, what to print."""
    group.add_argument(
        "--runs", type=Path, default=Path("runs"), metavar="DIR", help="folder of all runs (default: runs)"
    )
    group.add_argument("--name", metavar="NAME", help=f"of the run (default: the next free {command}-N)")
    group.add_argument("--resume", action="store_true", help="go on with the run of this name, or with the newest")
    group.add_argument("--dry-run", action="store_true", help="say what would be done, and touch nothing")
    group.add_argument("--json", action="store_true", help="the result for scripts; remarks go to standard error")


def again(
    which: str, add_arguments: Callable[[argparse.ArgumentParser], None], args: argparse.Namespace, **more: Any
) -> str:
    """The command that was typed, without what makes it a rehearsal or a script's.

    Args:
        which: such as "search".
        add_arguments: of that command.
        args: as its parser read them.
        more: flags in place of those that were not given, by their names with underscores.
    """
    from searchspace.commands import command

    parser = Parser(f"nas {which}", "")
    add_arguments(parser)
    places: list[str] = []
    flags = dict(more)
    for action in parser._actions:
        value = getattr(args, action.dest, None)
        if action.dest in ("dry_run", "json") or value is None or value is False or value == action.default:
            continue
        long = next((flag for flag in action.option_strings if flag.startswith("--")), None)
        if long is None:
            places += [str(item) for item in (value if isinstance(value, list) else [value])]
        else:
            flags[long[2:].replace("-", "_")] = value
    return command(which, *places, **flags)


def speaker(args: argparse.Namespace) -> Callable[[str], None]:
    """Prints remarks at once: to standard error where `--json` leaves standard output to the result."""

    def say(text: str) -> None:
        print(text, file=sys.stderr if args.json else sys.stdout, flush=True)

    return say
