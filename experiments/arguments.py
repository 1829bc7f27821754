"""Command-line parsing that answers mistakes in one line and names what was probably meant."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

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
            allowed = f"at least {least}" if most == 2**31 else f"from {least} to {most}"
            raise argparse.ArgumentTypeError(f"{text} must be {allowed}")
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


def regular_expression(text: str) -> str:
    """The text, where it is a regular expression; raises `ValueError` otherwise."""
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"{text!r} is not a regular expression: {error}") from None
    return text


def check_data_flags(given: Mapping[str, Any], resume: bool) -> None:
    """Refuses flags of data without data (raises `ValueError`); a run that goes on has its own."""
    for flag, what in (("group", "a folder of videos"), ("videos", "an annotation file")):
        if given.get(flag) is not None and given.get("data") is None and not resume:
            raise ValueError(f"--{flag} is for {what}; give one with --data")


def member_names(text: str) -> str:
    """The text, where it names members of a family, such as A0:A5 or A0,A2; raises `ValueError` otherwise."""
    from scaling.members import parse_members

    parse_members(text)
    return text


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


def add_run_flags(group: argparse._ArgumentGroup, command: str) -> None:
    """Flags of every command that fills a run folder: where and which it is, whether to go on, what to print."""
    group.add_argument(
        "--runs", type=Path, default=Path("runs"), metavar="DIR", help="folder of all runs (default: runs)"
    )
    group.add_argument("--name", metavar="NAME", help=f"of the run (default: the next free {command}-N)")
    group.add_argument("--resume", action="store_true", help="go on with the run of this name, or with the newest")
    group.add_argument("--dry-run", action="store_true", help="say what would be done, and touch nothing")
    group.add_argument("--json", action="store_true", help="the result for scripts; remarks go to standard error")


def add_machine_flags(group: argparse._ArgumentGroup) -> None:
    """Flags of every command that trains in its own process."""
    group.add_argument("--device", **one_of("auto", "cpu", "cuda"), default="auto", help="(default: auto)")
    group.add_argument("--threads", type=whole(1, 1024), metavar="N", help="of torch on the CPU (default: the cores)")


def add_formulation_flag(group: argparse._ActionsContainer) -> None:
    """The flag of commands that run a network: whether by what is fast here, or by the library's calls."""
    group.add_argument(
        "--formulation",
        default=None,
        help="reference: plain library calls in place of what is fast on a CPU (default: fast)",
        **one_of("fast", "reference"),
    )


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
