"""Which files below a folder are videos, which folders of pictures are one, and what is left out."""

from pathlib import Path

from video.layout import files_below
from video.measure import probe
from video.pictures import ENDINGS

VIDEO_ENDINGS = (
    ".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm",
    ".wmv",
)  # fmt: skip


def collect(folder: Path) -> tuple[list[Path], list[tuple[Path, str]]]:
    """The videos below a folder, in order of their names, files or folders of pictures.

    Pictures are a video where nothing beside them is one; beside videos they are posters and the like. What is neither
    is taken for a video, so that it is told why it is none, but beside pictures that are one.

    Returns:
        Videos; and what is left out, with the reason.
    """
    places: dict[Path, list[Path]] = {}
    for name in files_below(folder):
        places.setdefault((folder / name).parent, []).append(folder / name)
    videos: list[Path] = []
    left_out: list[tuple[Path, str]] = []
    for place, files in places.items():
        pictures = [file for file in files if file.suffix.lower() in ENDINGS]
        others = [file for file in files if file.suffix.lower() not in ENDINGS]
        if not pictures:
            videos += others
        elif any(file.suffix.lower() in VIDEO_ENDINGS or not probe(file).error for file in others):
            videos += others
            left_out += [(file, "a picture beside videos") for file in pictures]
        else:
            videos.append(place)
            left_out += [(file, "beside pictures, which are one video") for file in others]
    return videos, left_out
