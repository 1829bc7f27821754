"""Settings as commands know them: each is explained and bounded, and refused alike by class, `--set`, flag and file."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from experiments.arguments import Parser
from searchspace.settings import Setting, Settings
from tests.experiments.conftest import Nas
from tests.house.settings_tables import TABLES
from training import recipe, recipe_files
from training.recipe import SECTIONS, Recipe
from training.retrain.retrain_config import RetrainConfig
from training.search import search_recipe
from training.search.search_config import SearchConfig
from training.search.search_recipe import SearchRecipe


def every(kind: type[Settings]) -> Iterator[type[Settings]]:
    for one in kind.__subclasses__():
        yield one
        yield from every(one)


def outside(found: Setting) -> list[Any]:
    """Values just outside of what is allowed."""
    if found.kind is tuple:
        return []
    if found.kind is int:
        return [int(found.low) - 1, int(found.high) + 1]
    if found.kind is float:
        return [math.nextafter(found.low, -math.inf), math.nextafter(found.high, math.inf)]
    return ["no-such-word"] if found.words else []


def made(cls: type[Settings], **given: Any) -> Settings:
    """One of a class, with what it cannot do without."""
    own = {"recipe": Recipe()} if issubclass(cls, RetrainConfig) else {}
    if issubclass(cls, SearchConfig):
        return SearchConfig.resolve(**given)
    return cls(**({**search_recipe.read("short"), **given} if cls is SearchRecipe else {**own, **given}))


CASES = [
    (cls, name, value) for cls in TABLES.values() for name in cls.declared for value in outside(cls.declared[name])
]


def test_every_class_of_settings_is_known_to_the_documents() -> None:
    ours = [cls for cls in every(Settings) if not cls.__module__.startswith("tests")]
    assert set(ours) == set(TABLES.values())


@pytest.mark.parametrize("cls", TABLES.values(), ids=lambda cls: cls.__name__)
def test_every_setting_is_explained_and_bounded(cls: type[Settings]) -> None:
    undeclared = {field.name for field in dataclasses.fields(cls)} - cls.declared.keys()
    assert undeclared <= {"recipe"}
    for name, found in cls.declared.items():
        assert found.help and found.help[-1] not in ".,;" and "\n" not in found.help, name
        if found.kind in (int, float):
            assert found.low < found.high, name
        if found.kind is tuple:
            assert found.low < found.high or found.words or found.reads, name
        if found.kind is str:
            assert found.words or found.form, name
        if found.unit:
            assert found.kind in (int, float, tuple), name


@pytest.mark.parametrize(("cls", "name", "value"), CASES, ids=lambda part: getattr(part, "__name__", str(part)))
def test_just_outside_is_refused_by_the_class_in_one_line(cls: type[Settings], name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^\w+\.{name} is .*; allowed: .*") as error:
        made(cls, **{name: value})
    assert "\n" not in str(error.value)


def keys(command: str) -> dict[str, Setting]:
    """What `--set` of a command takes."""
    if command == "search":
        return {name: found for name, found in SearchConfig.declared.items() if name != "precision"}
    return {f"{section}.{name}": found for section, cls in SECTIONS.items() for name, found in cls.declared.items()}


SET = [(command, key) for command in ("search", "retrain") for key, found in keys(command).items() if outside(found)]
ARCH = {"search": [], "retrain": ["a0"], "scale": ["movinet", "--coeffs", "1.2,1.1,1.1,1.2"]}


@pytest.mark.parametrize(("command", "key"), SET)
def test_just_outside_is_refused_by_set(nas: Nas, command: str, key: str) -> None:
    for value in outside(keys(command)[key]):
        answer = nas(command, *ARCH[command], "--set", f"{key}={value!r}".replace("'", ""), "--dry-run")
        assert (answer.code, answer.out) == (2, "")
        assert len(answer.err.splitlines()) == 1 and key.split(".")[-1] in answer.err


def flags(command: str) -> Iterator[tuple[argparse.Action, Setting]]:
    """The flags of a command that stand for settings."""
    parser = Parser(f"nas {command}", "")
    importlib.import_module(f"experiments.commands.{command}_command").add_arguments(parser)
    for action in parser._actions:
        known = [cls.declared[action.dest] for cls in TABLES.values() if action.dest in cls.declared]
        of_it = [found for found in known if (action.help or "").startswith(found.help.replace("%", "%%"))]
        if action.option_strings and of_it:
            yield action, of_it[0]


FLAGS = [(command, action, found) for command in ARCH for action, found in flags(command)]


def test_flags_that_stand_for_settings_are_found() -> None:
    count = {command: sum(one == command for one, *_ in FLAGS) for command in ARCH}
    assert count == {"search": 21, "retrain": 17, "scale": 25}


@pytest.mark.parametrize(("command", "action", "found"), FLAGS, ids=lambda part: getattr(part, "dest", None))
def test_just_outside_is_refused_by_the_flag(nas: Nas, command: str, action: argparse.Action, found: Setting) -> None:
    for value in outside(found):
        answer = nas(command, *ARCH[command], f"{action.option_strings[0]}={value!r}".replace("'", ""), "--dry-run")
        assert (answer.code, answer.out) == (2, "")
        assert len(answer.err.splitlines()) == 1 and action.option_strings[0] in answer.err


def test_no_recipe_has_the_name_of_another() -> None:
    names = [name for kind in (recipe.KIND, search_recipe.KIND) for name in recipe_files.names(kind)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", recipe_files.names(search_recipe.KIND))
def test_recipes_of_searches_are_shown_changed_and_taken_back(
    nas: Nas, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = nas("config", name, "--print").out
    for key, found in SearchRecipe.declared.items():
        line = shown.splitlines().index(next(line for line in shown.splitlines() if line.startswith(f"{key}: ")))
        above = shown.splitlines()[line - 1]
        assert above.startswith("# ") and above.endswith(f"[{found.allowed}]")
    answer = nas("config", name, "--set", "beta=-0.05", "--output", "mine.yaml")
    assert (answer.code, answer.out) == (0, "next: nas search --recipe mine.yaml\n")
    mine, ours = SearchConfig.resolve(recipe="mine.yaml"), SearchConfig.resolve(recipe=name)
    assert mine == dataclasses.replace(ours, beta=-0.05, recipe=str(tmp_path / "mine.yaml"))
    assert nas("config", "mine.yaml").out.startswith("# mine.yaml, for nas search")


def test_the_rate_of_the_tunas_recipe_is_theirs_scaled_down() -> None:
    rate = SearchConfig.resolve(recipe="tunas").learning_rate
    assert rate == 2.64 * 8 * 16 / 4096  # 2.64 for 4,096 items a step


def test_a_recipe_of_ones_own_leaves_out_what_it_likes(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("warmup_fraction: 0.5\nkernels: separate\n")
    given = {"recipe": tmp_path / "mine.yaml"}
    config = SearchConfig.resolve(**given)
    assert (config.warmup_fraction, config.delay, config.kernels, config.warmup) == (0.5, 0.5, "separate", "boot")
    assert SearchConfig.resolve(**given, steps=20_000).warmup == "tunas"
    assert SearchConfig.resolve(**given, kernels="nested").kernels == "nested"
    settled = SearchConfig.settled(given)  # what a resume compares: the file may have changed
    assert settled == {"recipe": str(tmp_path / "mine.yaml"), "warmup_fraction": 0.5, "kernels": "separate"}
    assert SearchConfig.stored(config.to_dict()) == config
    assert not config.long and SearchConfig.resolve(**given, steps=20_000).long


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lerning_rate: 1", "did you mean 'learning_rate'"),
        ("budgets: [1M]", "unknown key 'budgets'"),
        ("paths: 0", "setting.paths is 0; allowed: a whole number from 1 to 256"),
        ("optimizer: {lr: 0.1}", "optimizer is"),
        ("[1]", "must be a mapping"),
    ],
)
def test_a_mistake_in_a_recipe_of_a_search_is_named(nas: Nas, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    answer = nas("search", "--recipe", tmp_path / "mine.yaml", "--dry-run")
    assert answer.code == 2 and len(answer.err.splitlines()) == 1 and message in answer.err
