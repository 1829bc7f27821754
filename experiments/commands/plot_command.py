"""The fronts of one or several finished runs in one picture: a PNG and a page to explore."""

from __future__ import annotations

import argparse
from pathlib import Path

from training.run import SearchRun, accept

EXAMPLE = """  nas plot search-1
  nas plot runs/search-1 runs/search-2 -o both"""

FRONT, ENDINGS, POLICY = "pareto", (".png", ".html"), "policy.png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `nas plot`."""
    parser.add_argument("found", metavar="RUN", nargs="+", help="a run, by path or by its name in --runs")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="NAME", help="NAME.png and NAME.html (default: comparison)"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where runs are looked for")


def run(args: argparse.Namespace) -> int:
    """Draws one run into its folder, or several into two new files."""
    accepted = [accept("plot", word, args.runs) for word in args.found]
    found = [run for run in accepted if isinstance(run, SearchRun)]
    if len(found) == 1 and args.output is None:
        files = draw_run(found[0])
    else:
        files = draw_fronts(found, args.output or Path("comparison"))
    for file in files:
        print(f"wrote {file}")
    print(f"next: open {next(file for file in files if file.suffix == '.html')} in a browser")
    return 0


def draw_fronts(found: list[SearchRun], name: Path) -> list[Path]:
    """Writes `name`.png and `name`.html; returns their paths."""
    from experiments.plots import front_picture as front
    from experiments.plots import html
    from experiments.plots.front_data import gather

    picture = gather(found)
    files = [name.with_name(name.name + ending) for ending in ENDINGS]
    front.draw(picture, files[0])
    html.draw(picture, files[1])
    return files


def draw_run(found: SearchRun) -> list[Path]:
    """Writes every picture of a finished run into its folder: pareto.png, pareto.html, policy.png."""
    return draw_fronts([found], found.folder / FRONT) + _draw_policy(found)


def draw_missing(found: SearchRun) -> None:
    """Writes those pictures of a finished run that its folder lacks."""
    if not all((found.folder / f"{FRONT}{ending}").exists() for ending in ENDINGS):
        draw_fronts([found], found.folder / FRONT)
    if not (found.folder / POLICY).exists():
        _draw_policy(found)


def _draw_policy(found: SearchRun) -> list[Path]:
    if not found.policy:
        return []
    from experiments.plots import policy_picture as policy

    policy.draw(found, found.folder / POLICY)
    return [found.folder / POLICY]
