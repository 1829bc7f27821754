"""Show a recipe of `nas retrain` with every value in it, as a file to edit; without one, list what there is."""

from __future__ import annotations

import argparse
from pathlib import Path

from experiments.arguments import set_by
from searchspace.commands import command
from searchspace.schema import write_atomically
from training import recipe as recipes
from training.recipe import Recipe

EXAMPLE = """  nas config
  nas config demo --print
  nas config finetune --set optimizer.lr=0.003 --output mine.yaml
  nas retrain a0 -c mine.yaml"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `nas config`."""
    parser.add_argument("recipe", nargs="?", metavar="RECIPE", help="the name of a recipe, or a .yaml file")
    parser.add_argument("--print", action="store_true", help="print every value (the default where a recipe is named)")
    parser.add_argument(
        "--set", action="append", default=[], dest="settings", metavar="KEY=VALUE", help="change a value"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="write a new file instead")


def run(args: argparse.Namespace) -> int:
    """Prints or writes."""
    if args.recipe is None and not (args.print or args.settings or args.output):
        for name in recipes.names():
            print(name)
        print(f"next: {command('config', 'demo', print=True)}")
        return 0
    recipe = Recipe.load(args.recipe or "demo").changed(set_by(args.settings, (), "optimizer.lr=0.1"))
    text = f"# {args.recipe or 'demo'}\n{recipe.to_yaml()}"
    if args.output is None:
        print(text, end="")
        return 0
    if args.output.exists():
        raise ValueError(f"{args.output} exists; choose another name")
    if args.output.suffix not in (".yaml", ".yml"):
        raise ValueError(f"{args.output}: a recipe is a .yaml file; give it such a name")
    write_atomically(args.output, text)
    print(f"next: {command('retrain', 'ARCH', recipe=args.output)}")
    return 0
