"""The tables of docs/settings.md, written from the settings that they list: `python -m tests.house.settings_tables`."""

from __future__ import annotations

from pathlib import Path

from scaling.scale_config import ScaleConfig
from searchspace.settings import Settings
from training.fit import FitConfig
from training.recipe import SECTIONS
from training.retrain.retrain_config import RetrainConfig
from training.run_settings import MachineSettings, RunSettings
from training.search.search_config import SearchConfig
from training.search.search_recipe import SearchRecipe
from video.motion_classes import MotionRanges

DOCUMENT = Path(__file__).parents[2] / "docs" / "settings.md"

BASES = (RunSettings, MachineSettings, SearchRecipe)
"""What configurations have in common: a table of their own, and not one in each."""

TABLES: dict[str, type[Settings]] = {
    "run": RunSettings,
    "machine": MachineSettings,
    "search": SearchConfig,
    "search-recipe": SearchRecipe,
    "retrain": RetrainConfig,
    **SECTIONS,
    "scale": ScaleConfig,
    "fit": FitConfig,
    "motion": MotionRanges,
}
"""Every class of settings, by the name of its table in the document."""


def table(cls: type[Settings]) -> str:
    """The settings that a class does not share, as Markdown."""
    lines = ["| setting | default | values | what |", "|---|---|---|---|"]
    shared = [item for base in BASES if issubclass(cls, base) and cls is not base for item in base.declared.items()]
    for name, found in cls.declared.items():
        if (name, found) not in shared:
            cells = (f"`{name}`", found.default_text, found.allowed, found.help)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines)


def written(text: str) -> str:
    """The document with every table as it should be: between a comment that names it, and one that ends it."""
    for name, cls in TABLES.items():
        before, start, rest = text.partition(f"<!-- settings: {name} -->\n")
        old, end, after = rest.partition("<!-- end -->")
        assert start and end and "<!--" not in old, f"{DOCUMENT.name} has no table {name!r}"
        text = f"{before}{start}{table(cls)}\n{end}{after}"
    return text


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
