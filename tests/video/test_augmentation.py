"""Transforms of training clips: one draw a clip, the operations against Pillow's own, the reference's traps."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

import video
from searchspace import Clip
from tests.video.conftest import write
from video import Augmentation, FolderSource, MotionSource
from video.policies import RAND_OPERATIONS, V0, apply, autoaugment, randaugment

CLIP = Clip(4, 24, 24, 5.0)
EVERYTHING = Augmentation(
    crop_area=(0.08, 1.0), crop_aspect=(0.5, 2.0), flip=0.5, policy="autoaugment", color=0.4, erase=0.5
)


def still(frames: int = 4, seed: int = 0, size: tuple[int, int] = (40, 56)) -> np.ndarray:
    """One smooth coloured picture as every frame."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (5, 7, 3)).astype(np.uint8))
    picture = np.asarray(small.resize(size[::-1], Image.Resampling.BICUBIC))
    return np.repeat(picture[None], frames, 0)


@pytest.mark.parametrize("policy", [autoaugment, randaugment])
def test_every_frame_gets_the_same(policy) -> None:  # type: ignore[no-untyped-def]
    changed = 0
    for seed in range(60):
        clip = still(seed=seed)
        out = policy(clip, np.random.default_rng(seed))
        assert out.shape == clip.shape and out.dtype == np.uint8
        assert (out == out[:1]).all(), seed
        changed += not np.array_equal(out, clip)
    assert changed > 40


def equalized(values: np.ndarray) -> np.ndarray:
    """The reference's rule on the histogram of one channel of a whole clip."""
    counts = np.bincount(values.ravel(), minlength=256)
    step = (values.size - counts[np.flatnonzero(counts)[-1]]) // 255
    table = (np.cumsum(counts) + step // 2) // step
    return np.clip(np.concatenate([[0], table[:-1]]), 0, 255).astype(np.uint8)[values]


@pytest.mark.parametrize("name", RAND_OPERATIONS)
def test_an_operation_is_pillow_s_on_each_frame(name: str) -> None:
    clip, rng = still(), np.random.default_rng(0)
    image, fill = Image.fromarray(clip[0]), (128, 128, 128)
    size, affine, nearest = image.size, Image.Transform.AFFINE, Image.Resampling.NEAREST
    expected = {
        "autocontrast": lambda: ImageOps.autocontrast(image),
        "invert": lambda: ImageOps.invert(image),
        "rotate": lambda: image.rotate(20, nearest, fillcolor=fill),
        "posterize": lambda: ImageOps.posterize(image, 3),
        "solarize": lambda: ImageOps.solarize(image, 3),
        "color": lambda: ImageEnhance.Color(image).enhance(3),
        "contrast": lambda: ImageEnhance.Contrast(image).enhance(3),
        "brightness": lambda: ImageEnhance.Brightness(image).enhance(3),
        "sharpness": lambda: ImageEnhance.Sharpness(image).enhance(3),
        "shear_x": lambda: image.transform(size, affine, (1, 0.2, 0, 0, 1, 0), nearest, fillcolor=fill),
        "shear_y": lambda: image.transform(size, affine, (1, 0, 0, 0.2, 1, 0), nearest, fillcolor=fill),
        "translate_x": lambda: image.transform(size, affine, (1, 0, 3, 0, 1, 0), nearest, fillcolor=fill),
        "translate_y": lambda: image.transform(size, affine, (1, 0, 0, 0, 1, 3), nearest, fillcolor=fill),
    }
    amount = {"rotate": 20.0, "shear_x": 0.2, "shear_y": 0.2}.get(name, 3.0)
    out = apply(clip, name, amount, rng)
    assert (out == out[:1]).all()
    if name in expected:
        difference = np.abs(out[0].astype(int) - np.asarray(expected[name]()))
        assert difference.max() == 0
    elif name == "equalize":
        assert np.array_equal(out, np.stack([equalized(clip[..., channel]) for channel in range(3)], -1))
    elif name == "solarize_add":
        assert np.array_equal(out, np.where(clip < 128, clip + 3, clip))
    else:
        grey = (out != clip).any(-1)[0]
        assert 0 < grey.sum() <= 36 and (out[0][grey] == 128).all()


def test_what_is_measured_is_measured_over_the_clip() -> None:
    clip = np.stack([np.full((8, 8, 3), value, np.uint8) for value in (60, 100, 140)])
    out = apply(clip, "autocontrast", 0, np.random.default_rng(0))
    assert out[:, 0, 0, 0].tolist() == [0, 127, 255]
    assert set(apply(clip, "posterize", 0, np.random.default_rng(0)).ravel()) == {0, 128}


def test_the_reference_s_policy() -> None:
    assert len(V0) == 25 and all(name in RAND_OPERATIONS for pair in V0 for name, *_ in pair)
    assert V0[15] == (("rotate", 1.0, 7), ("translate_y", 0.8, 9))
    # Level 9 of 250 pixels moves a picture of 172 out of sight, in either direction, as in the reference.
    from video.policies import V0_CUTOUT, V0_TRANSLATE, _amount

    signs = {_amount("translate_y", 9, np.random.default_rng(seed), V0_CUTOUT, V0_TRANSLATE) for seed in range(20)}
    assert signs == {225.0, -225.0}
    assert _amount("solarize", 10, np.random.default_rng(0), 0, 0) == 256
    assert _amount("posterize", 6, np.random.default_rng(0), 0, 0) == 2
    assert _amount("color", 0, np.random.default_rng(0), 0, 0) == pytest.approx(0.1)
    assert abs(_amount("rotate", 10, np.random.default_rng(0), 0, 0)) == 30


def test_windows_have_the_area_and_the_shape_that_was_asked_for() -> None:
    how, rng = Augmentation(crop_area=(0.08, 1.0), crop_aspect=(0.5, 2.0), flip=0.5), np.random.default_rng(0)
    windows = [how.window(240, 320, CLIP, rng) for _ in range(3000)]
    areas = np.array([w.height * w.width for w in windows])
    aspects = np.array([w.width * 320 / (w.height * 240) for w in windows])
    assert 0.079 < areas.min() < 0.1 and 0.9 < areas.max() <= 1
    assert aspects.min() > 0.499 and aspects.max() < 2.001
    assert abs(np.log(aspects).mean()) < 0.15 and 0.45 < np.mean([w.flip for w in windows]) < 0.55
    assert all(w.top >= 0 and w.left >= 0 and w.top + w.height < 1.001 and w.left + w.width < 1.001 for w in windows)


def test_a_window_that_cannot_fit_is_the_largest_in_the_middle() -> None:
    window = Augmentation().window(240, 320, CLIP, np.random.default_rng(0))
    assert window == video.crop.centre_window(240, 320, CLIP)
    wide = Augmentation(crop_area=(1.0, 1.0), crop_aspect=(0.5, 1.2)).window(100, 400, CLIP, np.random.default_rng(0))
    assert wide.height == 1 and wide.width * 400 / 100 == pytest.approx(1.2)


def test_the_jitter_leaves_its_upper_end_out() -> None:
    """At 25 frames a second and a stride of 5, a jitter of 1 makes strides of 4 and 5, never 6."""
    clip, rng = Clip(8, 24, 24, 5.0), np.random.default_rng(0)
    strides = [
        round(float(np.diff(Augmentation(frame_rate_jitter=1).times(30.0, 25.0, clip, rng))[0]) * 25, 3)
        for _ in range(200)
    ]
    assert set(strides) == {4.0, 5.0} and 60 < strides.count(4.0) < 140
    slow = Augmentation(frame_rate_jitter=5).times(30.0, 5.0, clip, rng)
    assert np.diff(slow).min() > 0.19  # never less than a frame of the file


def test_starts_are_even_and_short_videos_repeat() -> None:
    how, clip, rng = Augmentation(), Clip(4, 24, 24, 5.0), np.random.default_rng(0)
    starts = [how.times(2.6, 25.0, clip, rng)[0] for _ in range(2000)]
    assert min(starts) < 0.02 and 1.95 < max(starts) < 2.0 and abs(np.mean(starts) - 1.0) < 0.05
    times = np.stack([how.times(0.5, 25.0, clip, rng) for _ in range(200)])
    assert times.max() < 0.5 and times[:, 0].max() > 0.4
    np.testing.assert_allclose(np.mod(np.diff(times, axis=1), 0.5), 0.2, atol=1e-9)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of still videos."""
    root = tmp_path_factory.mktemp("still")
    for label, name in enumerate(("run", "sit")):
        for i in range(3):
            picture = still(1, seed=10 * label + i)[0]
            write(root / name / f"{i}.mkv", 15, "ffv1", 10, "bgr0", (40, 56), content=lambda *_, p=picture: p)
    return root


@pytest.mark.parametrize("jitter", [0, 1])
def test_an_item_is_drawn_once_for_all_its_frames_by_seed_epoch_and_index(folder: Path, jitter: int) -> None:
    source = FolderSource(folder, CLIP)
    augmented = source.augmented(dataclasses.replace(EVERYTHING, frame_rate_jitter=jitter))
    seen = []
    for epoch in range(12):
        frames, label = augmented.item("weights", 1, epoch, training=True)
        assert frames.shape == (4, 24, 24, 3) and (frames == frames[:1]).all(), epoch  # the videos are still
        assert label == source.labels("weights")[1]
        seen.append(frames)
    assert len(np.unique(np.stack(seen).reshape(12, -1), axis=0)) == 12
    again = FolderSource(folder, CLIP).augmented(dataclasses.replace(EVERYTHING, frame_rate_jitter=jitter))
    assert np.array_equal(again.item("weights", 1, 5, training=True)[0], seen[5])
    other = FolderSource(folder, CLIP, seed=1).augmented(dataclasses.replace(EVERYTHING, frame_rate_jitter=jitter))
    assert not np.array_equal(other.item("weights", 1, 5, training=True)[0], seen[5])
    for part in ("weights", "rescoring"):  # evaluation knows nothing of it
        assert np.array_equal(augmented.item(part, 0)[0], source.item(part, 0)[0])


def test_workers_draw_the_same(folder: Path) -> None:
    source = FolderSource(folder, CLIP).augmented(EVERYTHING)
    requests = [video.Request("weights", (0, 1), epoch, training=True) for epoch in range(3)]
    here, there = (list(video.batches(source, requests, workers)) for workers in (0, 1))
    for (ours, _), (theirs, _) in zip(here, there, strict=True):
        assert np.array_equal(ours.numpy(), theirs.numpy())


def test_no_flips_where_a_class_names_a_side() -> None:
    flips = Augmentation(flip=0.5, color=0.1)
    for names in (("swipe_left", "stop"), ("Turn Right", "stop"), ("turn clockwise", "stop")):
        with pytest.warns(UserWarning, match="names a side, so clips are not mirrored"):
            assert flips.for_classes(names) == Augmentation(color=0.1)
    assert flips.for_classes(("cleft", "brighten", "leftovers")) is flips
    assert Augmentation().for_classes(("left",)) == Augmentation()


def test_the_motion_data_refuses_what_it_cannot_do() -> None:
    source = MotionSource(0, CLIP)
    assert source.augmented(Augmentation()) is source
    with pytest.raises(ValueError, match=r"cannot be augmented by crop_area, flip, policy"):
        source.augmented(Augmentation(crop_area=(0.5, 1), flip=0.5, policy="autoaugment"))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"crop_area": (0.0, 1.0)}, "crop_area"),
        ({"crop_area": (0.9, 0.5)}, "crop_area"),
        ({"crop_aspect": (0.01, 1.0)}, "crop_aspect"),
        ({"flip": 1.5}, "flip is 1.5"),
        ({"erase": "often"}, "erase is 'often'"),
        ({"policy": "autoagument"}, "none, autoaugment, randaugment"),
        ({"frame_rate_jitter": 1.0}, "a whole number"),
    ],
)
def test_values_out_of_range_are_named(values: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Augmentation(**values)  # type: ignore[arg-type]
