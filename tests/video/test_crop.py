"""Windows against closed forms, and both rules of cropping against torch's resize."""

import numpy as np
import pytest
import torch

from searchspace.clip import Clip
from video import crop

CLIP = Clip(8, 32, 32, 5.0)


@pytest.mark.parametrize(("height", "width"), [(48, 64), (64, 48), (37, 37), (32, 300)])
@pytest.mark.parametrize("clip", [CLIP, Clip(8, 24, 32, 5.0), Clip(8, 40, 20, 5.0)])
def test_centre_window_is_the_largest_of_the_clip_s_shape(height: int, width: int, clip: Clip) -> None:
    window = crop.centre_window(height, width, clip)
    tall, wide = window.height * height, window.width * width
    assert tall / wide == pytest.approx(clip.height / clip.width)
    assert window.height == pytest.approx(1) or window.width == pytest.approx(1)
    assert window.top == pytest.approx((1 - window.height) / 2)
    assert window.left == pytest.approx((1 - window.width) / 2)
    side = crop.decoded_side(height, width, clip)
    scale = side / min(height, width)
    assert tall * scale >= clip.height * 8 / 7 - 1e-6 and wide * scale >= clip.width * 8 / 7 - 1e-6


def test_random_windows_stay_inside_and_in_range() -> None:
    rng = np.random.default_rng(1)
    for _ in range(2000):
        window = crop.random_window(48, 64, CLIP, rng)
        assert window.top >= 0 and window.left >= 0
        assert window.top + window.height <= 1 + 1e-9 and window.left + window.width <= 1 + 1e-9
        area = window.height * window.width / 0.75
        assert 0.54 < area < 1.1


def test_resize_equals_torch_with_antialiasing() -> None:
    frames = np.random.default_rng(2).integers(0, 256, (3, 45, 61, 3)).astype(np.uint8)
    whole = crop.Window(0.0, 0.0, 1.0, 1.0)
    for height, width in ((20, 30), (45, 61), (70, 61), (13, 100)):
        ours = crop.crop_window(frames, whole, height, width)
        theirs = torch.nn.functional.interpolate(
            torch.from_numpy(frames).permute(0, 3, 1, 2).float(), (height, width), mode="bilinear", antialias=True
        )
        difference = np.abs(ours.astype(float) - theirs.permute(0, 2, 3, 1).numpy())
        assert difference.max() <= 1.01, (height, width)  # rounded after each direction
        assert difference.mean() < 0.35


def test_window_of_whole_pixels_at_scale_one_is_a_plain_crop() -> None:
    frames = np.random.default_rng(3).integers(0, 256, (2, 40, 50, 3)).astype(np.uint8)
    window = crop.Window(10 / 40, 5 / 50, 20 / 40, 30 / 50)
    assert np.array_equal(crop.crop_window(frames, window, 20, 30), frames[:, 10:30, 5:35])
    mirrored = crop.Window(10 / 40, 5 / 50, 20 / 40, 30 / 50, flip=True)
    assert np.array_equal(crop.crop_window(frames, mirrored, 20, 30), frames[:, 10:30, 5:35][:, :, ::-1])


def test_every_frame_gets_the_same_window() -> None:
    frame = np.random.default_rng(4).integers(0, 256, (1, 40, 50, 3)).astype(np.uint8)
    rng = np.random.default_rng(5)
    out = crop.crop_window(np.repeat(frame, 6, 0), crop.random_window(40, 50, CLIP, rng), 32, 32)
    assert (out == out[:1]).all() and out.std() > 10


@pytest.mark.parametrize(("height", "width"), [(48, 64), (90, 61), (37, 37)])
@pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
def test_the_reference_s_crop_equals_torch_without_antialiasing(height: int, width: int, place: float) -> None:
    frames = np.random.default_rng(6).integers(0, 256, (2, height, width, 3)).astype(np.uint8)
    side = round(32 * 8 / 7)
    size = int(height * side / min(height, width) + 1e-6), int(width * side / min(height, width) + 1e-6)
    pictures = torch.from_numpy(frames).permute(0, 3, 1, 2).float()
    resized = torch.nn.functional.interpolate(pictures, size, mode="bilinear").byte().permute(0, 2, 3, 1).numpy()
    spare = [extent - 32 for extent in size]
    along = spare.index(max(spare)) if spare[0] != spare[1] else 1
    top, left = (int((place if axis == along else 0.5) * spare[axis]) for axis in (0, 1))
    ours = crop.crop_like_reference(frames, (height, width), CLIP, place)
    theirs = resized[:, top : top + 32, left : left + 32]
    assert ours.shape == (2, 32, 32, 3)
    assert np.abs(ours.astype(int) - theirs).max() <= 1 and (ours == theirs).mean() > 0.98


def test_the_reference_sees_less_of_a_picture_than_the_largest_window() -> None:
    """A ramp from left to right: where the crop begins and ends is what it shows there."""
    ramp = np.broadcast_to(np.arange(224, dtype=np.uint8)[None, None, :, None], (1, 224, 224, 3)).copy()
    whole = crop.crop_window(ramp, crop.centre_window(224, 224, CLIP), 32, 32)[0, 0, :, 0].astype(int)
    reference = crop.crop_like_reference(ramp, (224, 224), CLIP)[0, 0, :, 0].astype(int)
    assert (whole[-1] - whole[0]) / 224 == pytest.approx(31 / 32, abs=0.02)
    assert (reference[-1] - reference[0]) / 224 == pytest.approx(7 / 8 * 31 / 32, abs=0.02)
