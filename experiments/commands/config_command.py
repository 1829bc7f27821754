"""Show a recipe of `nas retrain` or `nas search` with every value explained, as a file to edit; or list them."""

from __future__ import annotations

import argparse
from pathlib import Path

from experiments.arguments import add_set_flag, set_by
from searchspace.commands import command
from searchspace.schema import nearest, write_atomically
from searchspace.settings import commented
from training import recipe, recipe_files
from training.recipe import Recipe
from training.search import search_recipe
from training.search.search_recipe import SearchRecipe

EXAMPLE = """  nas config
  nas config demo --print
  nas config short --print
  nas config finetune --set optimizer.lr=0.003 --output mine.yaml
  nas retrain a0 -c mine.yaml"""

KINDS = (recipe.KIND, search_recipe.KIND)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `nas config`."""
    parser.add_argument("recipe", nargs="?", metavar="RECIPE", help="the name of a recipe, or a .yaml file")
    parser.add_argument("--print", action="store_true", help="print every value (the default where a recipe is named)")
    add_set_flag(parser, "change a value")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write a new file instead")


def run(args: argparse.Namespace) -> int:
    """Prints or writes."""
    if args.recipe is None and not (args.print or args.settings or args.output):
        for kind in KINDS:
            for name in recipe_files.names(kind):
                print(name if kind == recipe.KIND else f"{name} (nas {kind})")
        print(f"next: {command('config', 'demo', print=True)}")
        return 0
    name = args.recipe or "demo"
    kind, changes = kind_of(name), set_by(args.settings, (), "optimizer.lr=0.1")
    if kind == search_recipe.KIND:
        text = commented(SearchRecipe.load(name).changed(changes))
        following = command(kind, recipe=args.output)
    else:
        text = Recipe.load(name).changed(changes).commented()
        following = command(kind, "ARCH", recipe=args.output)
    text = f"# {name}, for nas {kind}\n{text}"
    if args.output is None:
        print(text, end="")
        return 0
    if args.output.exists():
        raise ValueError(f"{args.output} exists; choose another name")
    if not recipe_files.is_file(args.output):
        raise ValueError(f"{args.output}: a recipe is a .yaml file; give it such a name")
    write_atomically(args.output, text)
    print(f"next: {following}")
    return 0


def kind_of(name: str) -> str:
    """The command that a recipe is for, by name; a user's file is for a search where it has settings and no sections.

    Raises:
        ValueError: no such recipe or file, or no YAML.
    """
    own = {one: kind for kind in KINDS for one in recipe_files.names(kind)}
    if name in own:
        return own[name]
    if not recipe_files.is_file(name):
        raise ValueError(
            f"recipe {name!r} is not known{nearest(name, own)} (known: {', '.join(own)}; or give a .yaml file)"
        )
    data = recipe_files.read(recipe.KIND, name)
    if not isinstance(data, dict) or any(isinstance(value, dict) for value in data.values()):
        return recipe.KIND
    return search_recipe.KIND if data.keys() & SearchRecipe.declared.keys() else recipe.KIND
