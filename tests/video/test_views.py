"""Views of odd videos: pictures in a folder, other rates and shapes, real codecs and broken files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from searchspace import Clip
from tests.video.conftest import write
from video.crop import resized_side
from video.pictures import pictures_in
from video.views import View, look, read_stream, read_views

CLIP = Clip(4, 16, 16, 5.0)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve grey pictures, 20 brighter each."""
    root = tmp_path_factory.mktemp("pictures")
    for i in range(12):
        Image.new("RGB", (30, 20), (20 * i,) * 3).save(root / f"img_{i}.png")
    (root / "notes.txt").write_text("not a picture")
    return root


def brightness(frames: np.ndarray) -> list[int]:
    return [round(float(frame.mean()) / 20) for frame in frames]


def test_pictures_are_a_video_in_order_of_their_numbers(pictures: Path) -> None:
    assert [path.name for path in pictures_in(pictures)] == [f"img_{i}.png" for i in range(12)]
    info = look(pictures, 10.0)
    assert (info.frames, info.fps, info.height, info.width, info.error) == (12, 10.0, 20, 30, "")
    assert brightness(read_views(pictures, info, CLIP)[0]) == [2, 4, 6, 8]  # every second, from (12 - 8) // 2
    assert brightness(read_views(pictures, info, CLIP, [View(time=0)])[0]) == [0, 2, 4, 6]
    assert brightness(read_views(pictures, info, CLIP, [View(time=1)])[0]) == [4, 6, 8, 10]
    (piece,) = read_stream(pictures, info, CLIP)
    assert brightness(piece) == [0, 2, 4, 6, 8, 10] and piece.shape == (6, 16, 16, 3)


def test_what_is_wrong_with_pictures_is_said(pictures: Path, tmp_path: Path) -> None:
    assert "give --fps" in look(pictures).error
    assert "without pictures" in look(tmp_path).error
    (tmp_path / "a.png").write_bytes(b"nothing")
    assert "cannot read picture" in look(tmp_path, 5.0).error


def test_a_lower_rate_repeats_frames(pictures: Path) -> None:
    info = look(pictures, 2.5)
    assert brightness(read_views(pictures, info, Clip(6, 16, 16, 5.0), [View(time=0)])[0]) == [0, 1, 1, 2, 2, 3]


def test_places_are_the_ends_of_the_longer_side(tmp_path: Path) -> None:
    def ramp(_: int, height: int, width: int) -> np.ndarray:
        across = np.linspace(0, 255, width)[None, :, None] + np.zeros((height, 1, 3))
        return across.astype(np.uint8)

    for size in ((40, 120), (120, 40)):
        tall = size[0] > size[1]

        def content(i: int, height: int, width: int, tall: bool = tall) -> np.ndarray:
            return ramp(i, width, height).swapaxes(0, 1) if tall else ramp(i, height, width)

        path = write(tmp_path / f"{size[0]}.mkv", 6, "ffv1", 5, "bgr0", size, content=content)
        info = look(path)
        means = [float(read_views(path, info, CLIP, [View(place=place)])[0].mean()) for place in (0, 0.5, 1)]
        assert means[0] < 60 < 110 < means[1] < 145 < 195 < means[2]


def test_published_sizes_are_resized_as_published() -> None:
    sides = {160: 176, 172: 192, 224: 256, 256: 288, 290: 320, 320: 368, 64: 73}
    assert {side: resized_side(Clip(8, side, side)) for side in sides} == sides


def test_a_long_video_comes_in_pieces(tmp_path: Path) -> None:
    path = write(tmp_path / "long.mkv", 100, "ffv1", 5, "bgr0")
    pieces = list(read_stream(path, look(path), CLIP))
    assert [len(piece) for piece in pieces] == [32, 32, 32, 4]


def test_real_videos_of_every_codec_have_views_and_streams(shared_video: Path) -> None:
    seen = 0
    for path in sorted((shared_video / "made").iterdir()):
        info = look(path)
        if info.error:
            continue
        clip = read_views(path, info, CLIP)[0]
        assert np.array_equal(read_views(path, info, str(CLIP))[0], clip)
        assert clip.shape == (4, 16, 16, 3) and sum(map(len, read_stream(path, info, CLIP))) >= 1, path
        seen += 1
    assert seen > 15
