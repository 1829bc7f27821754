"""Configurations: recipes, precedence, refusals."""

import pytest

from training.search_config import LONG_STEPS, SearchConfig


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
    ],
)
def test_mistakes_are_named_with_what_is_allowed(given, message):
    with pytest.raises(ValueError, match=message):
        SearchConfig.resolve(**given)
