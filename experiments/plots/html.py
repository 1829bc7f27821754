"""The front as one interactive page that needs nothing but itself: no network, no library, no other file."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

from experiments.plots.front_data import FrontPicture, Point
from searchspace.schema import write_atomically

PLACE = "/*DATA*/"


def draw(picture: FrontPicture, path: Path) -> None:
    """Writes the page: `front.html` with the picture's data in it.

    Names and texts come from files that others may have made, so they travel as JSON in which no character can end
    the script element, and the page puts them into text nodes only.
    """
    page = resources.files("experiments.plots").joinpath("front.html").read_text(encoding="utf-8")
    assert page.count(PLACE) == 1
    write_atomically(path, page.replace(PLACE, embed(content(picture))))


def embed(data: object) -> str:
    """JSON that can stand inside a script element, whatever the texts in it."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)  # ASCII: the line separators of JS too are escaped
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def content(picture: FrontPicture) -> dict[str, Any]:
    """The picture as the page's script reads it."""
    return {
        "title": picture.title,
        "caption": picture.caption,
        "axis": picture.axis,
        "costs": picture.costs,
        "highest": picture.highest,
        "target": picture.target,
        "published": picture.published,
        "chance": picture.chance,
        "series": [
            {
                "name": series.name,
                "colour": series.colour,
                "points": [_point(point) for point in series.points],
                "stairs": series.staircase,
                "looks": [(cost, round(quality, 4)) for cost, quality in series.looks],
                "looksInAll": series.looks_in_all,
            }
            for series in picture.series
        ],
    }


def _point(point: Point) -> dict[str, Any]:
    scored = point.scored
    return {
        "x": point.x,
        "macs": scored.macs,
        "params": scored.params,
        "accuracy": scored.accuracy,
        "low": scored.low,
        "high": scored.high,
        "loss": scored.loss,
        "clips": scored.clips,
        "front": scored.on_front,
        "winner": scored.winner,
        "lines": point.text,
        "copy": point.copy,
    }
