"""Small videos written on the spot, and the shared real ones where they are present."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

SHARED = Path(__file__).resolve().parents[2].parent / "shared"

Writer = Callable[..., Path]


def picture(index: int, height: int = 48, width: int = 64) -> np.ndarray:
    """A smooth picture whose brightness tells its index: 20 + 7 per index at the left edge, rising to the right."""
    ramp = np.linspace(0, 30, width)[None, :, None] + np.zeros((height, 1, 3))
    return np.clip(20 + 7 * index + ramp, 0, 255).astype(np.uint8)


def write(
    path: Path,
    frames: int = 20,
    codec: str = "libx264",
    rate: int = 10,
    pix_fmt: str = "yuv420p",
    size: tuple[int, int] = (48, 64),
    container: str | None = None,
    pts: list[int] | None = None,
    aspect: Fraction | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    content: Callable[..., np.ndarray] = picture,
) -> Path:
    """Writes a video; `pts` are time stamps in units of 1 / rate."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format=container, options=container_options or {}) as out:
        stream = out.add_stream(codec, rate=rate, options=options or {})
        stream.height, stream.width = size
        stream.pix_fmt = pix_fmt
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        stream.codec_context.time_base = Fraction(1, rate)
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(content(index, *size), format="rgb24")
            frame.pts = index if pts is None else pts[index]
            frame.time_base = Fraction(1, rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@pytest.fixture
def shared_video() -> Path:
    """The folder of real videos beside the repository; skips where it is absent."""
    return _shared("video")


@pytest.fixture
def shared_cases() -> Path:
    """The folder of small inputs that were read wrongly once; skips where it is absent."""
    return _shared("cases")


def _shared(name: str) -> Path:
    if not (SHARED / name).is_dir():
        pytest.skip(f"no ../shared/{name} here")
    return SHARED / name
