"""A comparison as one page that needs nothing but itself: the picture inside, and a table that sorts."""

from __future__ import annotations

import base64
import html
from importlib import resources
from pathlib import Path

from experiments.plots.front_data import COLOURS
from experiments.report_data import Comparison, Entry, Group
from experiments.text import terminal as tables
from searchspace.schema import write_atomically

BARS = (
    "A point is an architecture trained by one recipe, numbered as in the table. Bars are the standard deviation over "
    "seeds where there are several, else the 95 % interval of the videos that it was measured on, where their number "
    "is known."
)
FAMILY_BARS = (
    "A point is a member of one family, at the mean accuracy over its seeds (the small dashes). Bars are the standard "
    "error of the mean, or for a single seed the 95 % interval of the videos that it was measured on."
)


def headers(comparison: Comparison) -> tuple[str, ...]:
    """Of the table; of a family the spread is the standard error of the mean, else the deviation over seeds."""
    spread = "std. error" if comparison.family else "+-"
    latency = ("latency",) if comparison.latencies else ()
    return "", "network", "accuracy", spread, "seeds", "MACs", "parameters", "state", *latency, "clip", "measured"


def draw(comparison: Comparison, picture: Path, path: Path) -> None:
    """Writes the page; texts of files are escaped, and nothing is loaded from elsewhere."""
    page = resources.files("experiments.plots").joinpath("comparison.html").read_text(encoding="utf-8")
    encoded = base64.b64encode(picture.read_bytes()).decode()
    parts = {
        "TITLE": "A family, step by step" if comparison.family else "Trained networks compared",
        "BARS": html.escape(FAMILY_BARS if comparison.family else BARS),
        "STEPS": "".join(f"<p class='step'>{html.escape(str(step))}</p>" for step in comparison.steps),
        "NOTES": "".join(f"<p class='note'>{html.escape(note)}</p>" for note in comparison.notes),
        "PICTURE": f"<img alt='accuracy against cost' src='data:image/png;base64,{encoded}'>",
        "HEAD": "".join(f"<th>{html.escape(text)}</th>" for text in headers(comparison)),
        "ROWS": "".join(_row(i, group, comparison) for i, group in enumerate(comparison.groups)),
        "REFERENCES": _references(comparison),
        "DETAILS": "".join(_details(i, group) for i, group in enumerate(comparison.groups)),
    }
    for name, content in parts.items():
        place = f"<!--{name}-->"
        assert page.count(place) == 1
        page = page.replace(place, content)
    write_atomically(path, page)


def cells(group: Group, comparison: Comparison) -> tuple[str, ...]:
    """A group by the headers from the second on."""
    counted, clip = group.first.cost, group.first.architecture.clip
    spread = f"{100 * (group.error if comparison.family else group.deviation):.1f}" if len(group.entries) > 1 else "-"
    state = tables.megabytes(counted.state_bytes) if counted.state_bytes else "-"
    milliseconds = comparison.latencies.get(group.name)
    latency = ("-" if milliseconds is None else f"{milliseconds:g} ms",) if comparison.latencies else ()
    return (
        group.name, f"{group.accuracy:.1%}", spread, str(len(group.entries)), tables.millions(counted.macs),
        tables.millions(counted.params), state, *latency, str(clip), group.first.measured,
    )  # fmt: skip


def _row(index: int, group: Group, comparison: Comparison) -> str:
    colour = COLOURS[0 if comparison.family else index % len(COLOURS)]
    numbers = "".join(f"<td>{html.escape(text)}</td>" for text in cells(group, comparison))
    return f"<tr><td><b style='color:{colour}'>{index + 1}</b></td>{numbers}</tr>"


def _references(comparison: Comparison) -> str:
    if not comparison.references:
        return ""
    rows = "".join(
        f"<tr><td>{html.escape(r.name)}</td><td>{r.accuracy:.1%}</td><td>{tables.millions(r.cost.macs)}</td>"
        f"<td>{tables.millions(r.cost.params)}</td></tr>"
        for r in comparison.references
    )
    head = "<tr><th>network</th><th>top-1</th><th>MACs</th><th>parameters</th></tr>"
    return f"<h2>Published, on Kinetics-600</h2><div class='scroll'><table>{head}{rows}</table></div>"


def _details(index: int, group: Group) -> str:
    architecture = group.first.architecture
    layers = "\n".join(architecture.lines())
    return (
        f"<details><summary>{index + 1}. {html.escape(group.name)}: {html.escape(architecture.name)} "
        f"({architecture.key()})</summary><pre>{html.escape(layers)}</pre><table>"
        f"<tr><th>run</th><th>accuracy</th><th>seed</th><th>steps</th><th>data</th></tr>"
        f"{''.join(_seed(entry) for entry in group.entries)}</table></details>"
    )


def _seed(entry: Entry) -> str:
    data = entry.record.data
    texts = (
        str(entry.path), f"{entry.accuracy:.1%}", "-" if entry.seed is None else str(entry.seed),
        f"{entry.record.step:,}", str(data.get("annotations") or data.get("root") or data.get("kind", "-")),
    )  # fmt: skip
    return "<tr>" + "".join(f"<td>{html.escape(text)}</td>" for text in texts) + "</tr>"
