"""The temporal grid against closed forms."""

import numpy as np

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
