"""`nas`: finds the command, runs it, and turns every foreseeable failure into one line.

Exit codes: 0 done, 2 the user's mistake (usage, budget, data, disk, memory), 128 and the number of a signal that
stopped it: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP.
Only the command that runs is imported, and nothing heavy here: `nas --help` answers at once.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from importlib.metadata import entry_points, version

from experiments import allocator, output
from experiments.arguments import Parser, UsageError, nearest
from experiments.errors import explain
from training.machine import openmp
from training.machine.interrupt import signals_raise

COMMANDS = {
    "search": "search for an architecture within a budget",
    "scale": "from one network or space to a family A0 to A5, by compound coefficients",
    "retrain": "train an architecture to its end, from scratch or from trained weights",
    "config": "recipes of nas search and nas retrain: list, show, change",
    "space": "size, decisions and costs of a search space",
    "show": "an architecture, a published network or a run; two side by side",
    "import": "weights of other projects as a file of one of our networks",
    "cost": "multiply-accumulates, parameters and memory of an architecture",
    "benchmark": "searchers against each other on a table whose truth is known",
    "probe": "what weights know of your videos, in a minute: a linear classifier on what they see",
    "predict": "what is in a video: the likeliest classes, of the whole or as it streams",
    "evaluate": "judge a trained network on labelled videos: one clip, many, or as streams",
    "report": "trained runs compared on one page: accuracy against cost, with error bars over seeds",
    "plot": "the fronts of several runs in one picture",
    "data demo": "write the built-in data as a folder of video files",
    "data check": "check a folder of videos: what decodes, classes, how it would be split",
    "doctor": "versions, devices, memory, and what is missing for which feature",
}

WITHOUT_TORCH = ("config", "space", "show", "cost", "report", "plot", "data", "help", "-h", "--help", "--version")
"""First words of commands that have no threads to set up."""

HELP = """usage: nas COMMAND ...

Search for video networks that fit a budget.

commands:
{commands}

  nas COMMAND --help    the flags of a command, and an example
  nas --version
  nas --plugin FILE.py COMMAND ...    with searchers, quantities and the like of your own (docs/plugins.md)
{plugins}
start with:
  nas search --budget 600MFLOPs
"""

PLUGIN = "--plugin"


def main(words: list[str] | None = None) -> int:
    """Runs `nas` with these words, by default the process's own; returns the exit code."""
    # Worker processes must not find a user's own package `video` or `training` in the working directory.
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    ours, signals = contextlib.ExitStack(), list[KeyboardInterrupt]()
    if words is None:  # this process is ours
        words = sys.argv[1:]
        output.protect()
        allocator.keep_pages()
        if (_split(words)[1] or ["help"])[0] not in WITHOUT_TORCH:
            openmp.choose()  # before torch is imported
        signals = ours.enter_context(signals_raise())
    try:
        with ours:
            code = _run(words)
            sys.stdout.flush()
            return code
    except SystemExit as stop:  # argparse ends --help this way
        return int(stop.code or 0)
    except BaseException as error:
        found = explain(error, _flags(words))
        if signals and not isinstance(error, KeyboardInterrupt):  # what a library made of it
            found = explain(signals[0])
        if found is None:
            raise
        line, code = found
        print(line, file=sys.stderr)
        return code


def _run(words: list[str]) -> int:
    files, words = _split(words)
    if "" in files:
        raise UsageError(f"{PLUGIN} needs a file, such as {PLUGIN} mine.py")
    plugins = _plugins(files)
    if not words or words[0] in ("-h", "--help", "help"):
        print(HELP.format(commands=_listed(COMMANDS), plugins=plugins), end="")
        return 0
    if words[0] == "--version":
        print(f"nas {version('movinas')}")
        return 0
    name, rest = _find(words)
    if not name:
        return 0
    command = importlib.import_module(f"experiments.commands.{module(name)}")
    parser = Parser(f"nas {name}", command.__doc__ or "", command.EXAMPLE)
    command.add_arguments(parser)
    code: int = command.run(parser.parse([_unescaped(word) for word in rest]))
    return code


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    """The files of `--plugin` at the front, and the words behind them; a flag without a file gives ""."""
    files = []
    while words and (words[0] == PLUGIN or words[0].startswith(f"{PLUGIN}=")):
        given = words[0].removeprefix(PLUGIN).removeprefix("=")
        files.append(given or (words[1] if len(words) > 1 else ""))
        words = words[1 if given else 2 :]
    return files, words


def _plugins(files: list[str]) -> str:
    """Loads plugins; what they brought, for the help."""
    if not (files or os.environ.get("MOVINAS_PLUGINS") or entry_points(group="movinas.plugins")):
        return ""  # loading takes numpy along, which help does not need
    from searchspace import plugins

    loaded = plugins.load(files)
    lines = [*(f"  {name}" for name in loaded), *(f"    {line}" for line in plugins.BROUGHT)]
    return "\n".join(["", "plugins:", *lines, ""])


def _unescaped(word: str) -> str:
    """A path that is not UTF-8 as it is, where it was typed as we print it: `caf\\xe9`."""
    if "\\" not in word:
        return word
    from searchspace.naming import unescaped

    flag, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
    return f"{flag}{equals}{unescaped(value)}"


def _flags(words: list[str]) -> set[str]:
    """The flags of the command that these words name; none where they name no command."""
    try:
        name, _ = _find(words)
    except (UsageError, IndexError):
        return set()
    if not name:
        return set()
    parser = Parser(name, "")
    importlib.import_module(f"experiments.commands.{module(name)}").add_arguments(parser)
    return {flag for action in parser._actions for flag in action.option_strings}


def module(name: str) -> str:
    """The module of a command in `experiments.commands`."""
    return f"{name.replace(' ', '_')}_command"


def _find(words: list[str]) -> tuple[str, list[str]]:
    """Splits the words into a command's name and its arguments; no name where only help was asked for."""
    first = words[0]
    if first in COMMANDS:
        return first, words[1:]
    actions = {name.split()[1]: name for name in COMMANDS if name.startswith(f"{first} ")}
    if not actions:
        kind = "flag" if first.startswith("-") else "command"
        known = ["--help", "--version"] if kind == "flag" else sorted({name.split()[0] for name in COMMANDS})
        raise UsageError(f"unknown {kind} {first!r}{nearest(first, known)} (nas --help lists what there is)")
    if len(words) == 1 or words[1] in ("-h", "--help"):
        print(_listed({name: COMMANDS[name] for name in actions.values()}))
        return "", []
    if words[1] not in actions:
        near = nearest(words[1], actions)
        raise UsageError(f"unknown command {first + ' ' + words[1]!r}{near} (nas {first} --help lists what there is)")
    return actions[words[1]], words[2:]


def _listed(commands: dict[str, str]) -> str:
    return "\n".join(f"  {name:<10} {text}" for name, text in commands.items())


if __name__ == "__main__":
    sys.exit(main())
