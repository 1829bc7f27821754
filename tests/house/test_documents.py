"""What the documents point at is there."""

import re
from pathlib import Path

import pytest

from experiments.cli import COMMANDS, module
from tests.house import settings_tables

ROOT = Path(__file__).parents[2]


DOCUMENTS = ["README.md", "CONTRIBUTING.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_exists(document: str) -> None:
    text = (ROOT / document).read_text()
    quoted = re.findall(r"`((?:[a-z]+/)+[a-z_]*(?:\.(?:py|yaml|md|html))?)`", text)
    ours = [path for path in quoted if (ROOT / path.split("/")[0]).is_dir()]  # others are a user's: train/, runs/
    assert [path for path in ours if not (ROOT / path).exists() and not path.startswith("runs/")] == []
    links = re.findall(r"\]\(([^):#]+)\)", text)
    assert ours or links
    assert [link for link in links if not (ROOT / document).parent.joinpath(link).exists()] == []


def test_readme_names_every_command() -> None:
    text = (ROOT / "README.md").read_text()
    assert [name for name in COMMANDS if f"nas {name}" not in text] == []


def test_every_command_has_its_file() -> None:
    for name in COMMANDS:
        assert (ROOT / "experiments" / "commands" / f"{module(name)}.py").exists()


def test_tables_of_settings_are_as_declared() -> None:
    text = settings_tables.DOCUMENT.read_text(encoding="utf-8")
    assert settings_tables.written(text) == text, "write them again: make docs"
