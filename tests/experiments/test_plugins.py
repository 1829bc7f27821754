"""Plugins: what a file of a user's own registers is used by the commands; what is wrong with it is told in one line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.searchers import SEARCHERS
from searchspace import plugins
from searchspace.quantities import QUANTITIES
from tests.experiments.conftest import Nas
from training import recipe_files

PLUGIN = """
from controller.random_search import RandomSearch
from controller.searchers import register
from searchspace import Quantity, quantities


@register
class Mine(RandomSearch):
    name = "mine"


def weights(part, counted):
    return 2 * counted.params


quantities.register(
    Quantity(
        name="weight_bytes",
        words="memory of weights",
        unit="B of weights",
        axis="bytes of weights",
        spellings={"Bw": 1},
        count=weights,
    )
)
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file with a searcher and a quantity; what it registers is taken out again."""
    monkeypatch.setattr(plugins, "LOADED", [])
    monkeypatch.setattr(plugins, "BROUGHT", [])
    monkeypatch.setenv(plugins.VARIABLE, "")
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN)
    yield path
    SEARCHERS.pop("mine", None)
    QUANTITIES.pop("weight_bytes", None)


@pytest.fixture
def recipe(plugin: Path) -> Iterator[Path]:
    """The plugin with a recipe beside it."""
    (plugin.parent / "gentle.yaml").write_text("optimizer: {lr: 0.0123}\n")
    file = plugin.parent / "gentle.yaml"
    plugin.write_text(
        f"{PLUGIN}\nfrom training import recipe_files\nrecipe_files.register('retrain', 'gentle', {str(file)!r})\n"
    )
    yield plugin
    recipe_files._REGISTERED.clear()


def test_a_recipe_has_a_name(nas: Nas, recipe: Path, tmp_path: Path) -> None:
    assert "recipe gentle" in nas("--plugin", str(recipe), "--help").out
    assert "gentle" in nas("config").out
    assert "lr: 0.0123" in nas("config", "gentle", "--print").out
    answer = nas("retrain", "a0", "--recipe", "gentle", "--dry-run", "--runs", str(tmp_path / "runs"))
    assert answer.code == 0 and "gentle" in answer.out, answer.err
    answer = nas("retrain", "a0", "--recipe", "gentel", "--dry-run")
    assert answer.code == 2 and "did you mean 'gentle'" in answer.err


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("retrain", "demo", "there is one of this name"),
        ("predict", "mine", "is for 'predict'; allowed: retrain, search"),
        ("search", "mine", "is no YAML file"),
    ],
)
def test_a_recipe_that_cannot_be_registered(kind: str, name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=said):
        recipe_files.register(kind, name, tmp_path / "none.yaml")
    assert name not in recipe_files.names("search")


def test_help_lists_what_a_plugin_brought(nas: Nas, plugin: Path) -> None:
    answer = nas("--plugin", str(plugin), "--help")
    assert answer.code == 0
    assert f"plugins:\n  {plugin}\n    searcher mine\n    quantity weight_bytes\n" in answer.out
    assert "plugins:" in nas("--help").out, "it stays loaded, as in processes that are started"


def test_commands_use_it_and_name_it_in_the_next_one(nas: Nas, plugin: Path, tmp_path: Path) -> None:
    assert re.search(r"memory of weights +6\.224 MB of weights", nas(f"--plugin={plugin}", "cost", "a0").out)
    answer = nas("space", "movinet", "--budget", "12MBw")
    assert answer.code == 0 and f"next: nas --plugin {plugin} search --space movinet --budget 12MBw" in answer.out
    words = ("search", "--budget", "9MBw", "--searcher", "mine", "--dry-run", "--runs", str(tmp_path / "runs"))
    answer = nas(*words)
    assert answer.code == 0 and "mine" in answer.out


def test_a_process_of_its_own_takes_it_from_the_environment(plugin: Path) -> None:
    environment = {**os.environ, plugins.VARIABLE: str(plugin)}
    command = [sys.executable, "-m", "experiments.cli", "cost", "a0", "--json"]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert '"weight_bytes": 6223598' in result.stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import nothing_of_this_name\n", "mine.py, line 1: ModuleNotFoundError: No module named"),
        ("x = (\n", "mine.py, line 1: SyntaxError"),
        ("\nraise ValueError('too old')\n", "mine.py, line 2: too old"),
        (PLUGIN + PLUGIN, "searcher 'mine': there is one of this name; give another"),
    ],
)
def test_a_plugin_that_does_not_run_is_told_in_one_line(nas: Nas, plugin: Path, text: str, said: str) -> None:
    plugin.write_text(text)
    answer = nas("--plugin", str(plugin), "cost", "a0")
    assert answer.code == 2 and said in answer.err and len(answer.err.splitlines()) == 1


def test_what_is_no_plugin_is_refused(nas: Nas, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    for path in (tmp_path / "none.py", tmp_path / "notes.txt", tmp_path):
        answer = nas("--plugin", str(path), "cost", "a0")
        assert answer.code == 2 and "no such Python file; give the path of a .py file" in answer.err
    assert nas("--plugin").code == 2
