"""Temporal grid, crops, and the resize against closed forms and torch."""

import numpy as np
import pytest
import torch

from searchspace.clip import Clip
from video import sampling

CLIP = Clip(8, 32, 32, 5.0)


def test_middle_view_is_centred_and_steps_are_one_clip_frame_apart() -> None:
    length = sampling.grid_length(5.0, 5.0)
    assert length == 50
    steps = sampling.uniform_steps(length, CLIP)
    assert np.allclose(np.diff(sampling.grid_times(steps, 5.0)), 0.2)
    assert abs(steps[0] - (length - 1 - steps[-1])) <= sampling.GRID


def test_views_spread_over_the_video_within_its_bounds() -> None:
    length = 50
    starts = [int(sampling.uniform_steps(length, CLIP, view)[0]) for view in range(7)]
    assert starts[0] == 17 and sorted(starts) == [4, 8, 13, 17, 21, 26, 30]
    assert all(sampling.uniform_steps(length, CLIP, view)[-1] < length for view in range(100))


def test_random_starts_are_uniform_over_all_that_fit() -> None:
    rng = np.random.default_rng(0)
    starts = [int(sampling.random_steps(20, CLIP, rng)[0]) for _ in range(5000)]
    counts = np.bincount(starts, minlength=5)
    assert len(counts) == 5 and counts.min() > 900


def test_short_videos_repeat_from_their_beginning() -> None:
    assert sampling.uniform_steps(7, CLIP).tolist() == [0, 2, 4, 6, 1, 3, 5, 0]
    assert sampling.random_steps(1, CLIP, np.random.default_rng(0)).tolist() == [0] * 8
    assert sampling.uniform_steps(16, CLIP, 3).tolist() == list(range(0, 16, 2))


@pytest.mark.parametrize(("height", "width"), [(48, 64), (64, 48), (37, 37), (32, 300)])
@pytest.mark.parametrize("clip", [CLIP, Clip(8, 24, 32, 5.0), Clip(8, 40, 20, 5.0)])
def test_centre_window_is_the_largest_of_the_clip_s_shape(height: int, width: int, clip: Clip) -> None:
    window = sampling.centre_window(height, width, clip)
    tall, wide = window.height * height, window.width * width
    assert tall / wide == pytest.approx(clip.height / clip.width)
    assert window.height == pytest.approx(1) or window.width == pytest.approx(1)
    assert window.top == pytest.approx((1 - window.height) / 2)
    assert window.left == pytest.approx((1 - window.width) / 2)
    side = sampling.decoded_side(height, width, clip)
    scale = side / min(height, width)
    assert tall * scale >= clip.height * 8 / 7 - 1e-6 and wide * scale >= clip.width * 8 / 7 - 1e-6


def test_random_windows_stay_inside_and_in_range() -> None:
    rng = np.random.default_rng(1)
    for _ in range(2000):
        window = sampling.random_window(48, 64, CLIP, rng)
        assert window.top >= 0 and window.left >= 0
        assert window.top + window.height <= 1 + 1e-9 and window.left + window.width <= 1 + 1e-9
        area = window.height * window.width / 0.75
        assert 0.54 < area < 1.1


def test_resize_equals_torch_with_antialiasing() -> None:
    frames = np.random.default_rng(2).integers(0, 256, (3, 45, 61, 3)).astype(np.uint8)
    whole = sampling.Window(0.0, 0.0, 1.0, 1.0)
    for height, width in ((20, 30), (45, 61), (70, 61), (13, 100)):
        ours = sampling.crop_and_resize(frames, whole, height, width)
        theirs = torch.nn.functional.interpolate(
            torch.from_numpy(frames).permute(0, 3, 1, 2).float(), (height, width), mode="bilinear", antialias=True
        )
        difference = np.abs(ours.astype(float) - theirs.permute(0, 2, 3, 1).numpy())
        assert difference.max() <= 1.01, (height, width)  # rounded after each direction
        assert difference.mean() < 0.35


def test_window_of_whole_pixels_at_scale_one_is_a_plain_crop() -> None:
    frames = np.random.default_rng(3).integers(0, 256, (2, 40, 50, 3)).astype(np.uint8)
    window = sampling.Window(10 / 40, 5 / 50, 20 / 40, 30 / 50)
    assert np.array_equal(sampling.crop_and_resize(frames, window, 20, 30), frames[:, 10:30, 5:35])
    mirrored = sampling.Window(10 / 40, 5 / 50, 20 / 40, 30 / 50, flip=True)
    assert np.array_equal(sampling.crop_and_resize(frames, mirrored, 20, 30), frames[:, 10:30, 5:35][:, :, ::-1])


def test_every_frame_gets_the_same_window() -> None:
    frame = np.random.default_rng(4).integers(0, 256, (1, 40, 50, 3)).astype(np.uint8)
    rng = np.random.default_rng(5)
    out = sampling.crop_and_resize(np.repeat(frame, 6, 0), sampling.random_window(40, 50, CLIP, rng), 32, 32)
    assert (out == out[:1]).all() and out.std() > 10
