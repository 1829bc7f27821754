"""Folders of videos, and what is looked through in them."""

from pathlib import Path

from tests.video.conftest import write
from training.progress import Silent


def folder(root: Path, sides: tuple[str, ...] = ("train", "val"), names: tuple[str, ...] = ("a b", "c")) -> Path:
    """Four videos of each class on each side."""
    for side in sides:
        for name in names:
            for i in range(4):
                write(root / side / name / f"{i}.mkv", 8, "ffv1", 10, "bgr0")
    return root


class Looks(Silent):
    """Keeps the first call of each look: (files that were known, files in all)."""

    def __init__(self) -> None:
        self.first: list[tuple[int, int]] = []
        self.looking = False

    def phase(self, title: str, done: int, total: int) -> None:
        if title == "looking through the videos":
            if not self.looking:
                self.first.append((done, total))
            self.looking = done < total
