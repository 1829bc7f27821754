"""From files to clips: decoding, sampling, folders of videos, and the built-in motion data set.

The names below are imported on first use, so that `import video` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from video.augmentation import Augmentation
    from video.decode import read_frames
    from video.export import export_demo
    from video.folder import FolderSource
    from video.loading import Request, batches, to_float
    from video.measure import VideoInfo, probe
    from video.motion import MotionSource
    from video.motion_classes import MOTION_CLASSES, MotionRanges
    from video.sheet import contact_sheet
    from video.source import SEARCH_PARTS, Source

__all__ = [
    "MOTION_CLASSES",
    "SEARCH_PARTS",
    "Augmentation",
    "FolderSource",
    "MotionRanges",
    "MotionSource",
    "Request",
    "Source",
    "VideoInfo",
    "batches",
    "contact_sheet",
    "export_demo",
    "probe",
    "read_frames",
    "to_float",
]

_HOME = {
    "Augmentation": "augmentation",
    "MOTION_CLASSES": "motion_classes",
    "MotionRanges": "motion_classes",
    "MotionSource": "motion",
    "FolderSource": "folder",
    "SEARCH_PARTS": "source",
    "Source": "source",
    "Request": "loading",
    "batches": "loading",
    "to_float": "loading",
    "VideoInfo": "measure",
    "probe": "measure",
    "read_frames": "decode",
    "export_demo": "export",
    "contact_sheet": "sheet",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'video' has no attribute {name!r}")
    return getattr(import_module(f"video.{_HOME[name]}"), name)
