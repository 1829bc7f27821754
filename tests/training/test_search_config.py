"""Configurations: recipes, precedence, refusals."""

import importlib

import pytest

from controller.random_search import RandomSearch
from controller.searchers import SEARCHERS
from experiments.arguments import Parser
from training.search.search_config import LONG_STEPS, SearchConfig
from training.search.search_problem import build


def test_a_recipe_decides_what_was_not_given():
    short = SearchConfig.resolve()
    assert (short.recipe, short.kernels, short.warmup, short.start) == ("short", "nested", "boot", "budget")
    long = SearchConfig.resolve(steps=LONG_STEPS)
    assert (long.recipe, long.kernels, long.warmup, long.start) == ("tunas", "separate", "tunas", "uniform")
    assert SearchConfig.resolve(steps=LONG_STEPS, recipe="short").kernels == "nested"
    assert SearchConfig.resolve(recipe="tunas", kernels="nested").kernels == "nested"


def test_a_configuration_survives_its_file():
    config = SearchConfig.resolve(budgets=["600M", "3Mparams"], seed=4)
    assert SearchConfig.resolve(**config.to_dict()) == config


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"stepps": 3}, "did you mean 'steps'"),
        ({"cls": 3}, "unknown setting 'cls'"),
        ({"steps": 0}, "steps is 0; allowed: a whole number"),
        ({"steps": "10"}, "steps is '10'"),
        ({"budgets": ["600 bananas"]}, "cannot be read"),
        ({"budgets": []}, "no budget given"),
        ({"clip": "8x128"}, "such as 8x128x128@5"),
        ({"search_resolution": 256}, "allowed: a whole number from 8 to 128"),
        ({"searcher": "reinforc"}, "did you mean 'reinforce'"),
        ({"recipe": "long"}, "allowed: auto, short, tunas"),
        ({"beta": 0.1}, "beta is 0.1"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"warmup_fraction": 0.5, "delay": 0.2}, "set delay=0.5 or more"),
        ({"boot_kernel": "3x3"}, "kernel"),
        ({"boot_depth": 0}, "boot_depth is 0; allowed: a whole number from 1"),
    ],
)
def test_mistakes_are_named_with_what_is_allowed(given, message):
    with pytest.raises(ValueError, match=message):
        SearchConfig.resolve(**given)


def test_what_a_run_stored_is_read_back():
    config = SearchConfig.resolve(seed=3, boot_kernel="5x3x3")
    assert SearchConfig.stored(config.to_dict()) == config


@pytest.mark.parametrize("change", [{"colour": 1}, {"steps": None}])
def test_a_run_of_another_version_is_refused(change):
    stored = SearchConfig.resolve().to_dict() | change
    stored = {key: value for key, value in stored.items() if value is not None or key in ("data", "videos", "group")}
    with pytest.raises(ValueError, match=rf"\({next(iter(change))}\); go on with the version"):
        SearchConfig.stored(stored)


def test_a_searcher_that_is_registered_can_be_searched_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """What CONTRIBUTING says of adding one: a class, and its line in the table of searchers."""

    class Mine(RandomSearch):
        name = "mine"

    with pytest.raises(ValueError, match="searcher is 'mine'; allowed: reinforce, random, evolution"):
        SearchConfig.resolve(searcher="mine")
    monkeypatch.setitem(SEARCHERS, "mine", Mine)
    config = SearchConfig.resolve(searcher="mine", budgets=["600MFLOPs"])
    searcher = build(config).searcher()
    assert isinstance(searcher, Mine) and not searcher.learns_policy and len(searcher.ask(2)) == 2
    for command, default in (("search", config.searcher), ("benchmark", ("mine",))):
        parser = Parser(f"nas {command}", "")
        importlib.import_module(f"experiments.commands.{command}_command").add_arguments(parser)
        words = ["--searcher", "mine"] + (["--table", "x.json", "--budget", "1M"] if command == "benchmark" else [])
        assert parser.parse(words).searcher == default
