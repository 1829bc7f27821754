"""The motion set: same scene at any clip shape, single frames that tell nothing, frame pairs that tell the class."""

import dataclasses
import itertools
import pickle

import numpy as np
import pytest

from searchspace.clip import Clip
from video import MOTION_CLASSES, MotionRanges, MotionSource
from video.motion import DEFAULT_DIFFICULTY
from video.scene import frame_times

CLIP = Clip(8, 32, 32, 5.0)
SIZES = {"weights": 400, "controller": 40, "rescoring": 40, "val": 40}


def source(clip: Clip = CLIP, seed: int = 3, **options: object) -> MotionSource:
    return MotionSource(seed, clip, **{"sizes": SIZES, **options})  # type: ignore[arg-type]


def clean(clip: Clip, indices: range = range(36), difficulty: float = 0.25) -> np.ndarray:
    return source(clip, difficulty=difficulty).scenes("weights", indices).render(clip)


def test_item_depends_on_seed_part_and_index_only() -> None:
    one, two = source(), source(cache_bytes=0)
    frames, labels = one.batch("weights", [5, 0, 17, 5])
    assert frames.dtype == np.uint8 and frames.shape == (4, 8, 32, 32, 3)
    for index, picture, label in zip([5, 0, 17, 5], frames, labels, strict=True):
        alone, its_label = two.item("weights", index, epoch=7, training=True)
        assert np.array_equal(alone, picture) and its_label == label
    assert not np.array_equal(frames[0], one.item("controller", 5)[0])
    assert not np.array_equal(frames[0], source(seed=4).item("weights", 5)[0])
    whole, all_labels = source().materialise("weights")
    assert np.array_equal(whole[[5, 0, 17, 5]], frames) and np.array_equal(all_labels[[5, 0, 17, 5]], labels)


def test_growing_a_part_keeps_its_clips() -> None:
    larger = source(sizes={**SIZES, "weights": 800})
    assert np.array_equal(larger.labels("weights")[:396], source().labels("weights")[:396])
    assert np.array_equal(larger.item("weights", 11)[0], source().item("weights", 11)[0])


def test_every_block_of_consecutive_clips_holds_each_class_once() -> None:
    classes = len(MOTION_CLASSES)
    labels = source().labels("weights")[: 20 * classes].reshape(20, classes)
    assert (np.sort(labels, axis=1) == np.arange(classes)).all()
    assert len({tuple(row) for row in labels}) == 20


def test_double_frame_rate_contains_the_same_frames() -> None:
    double = Clip(16, 32, 32, 10.0)
    assert np.allclose(frame_times(double)[::2], frame_times(CLIP), atol=1e-12)
    np.testing.assert_allclose(clean(double)[:, ::2], clean(CLIP), atol=2e-6)


def test_longer_clip_contains_the_shorter_one() -> None:
    np.testing.assert_allclose(clean(Clip(12, 32, 32, 5.0))[:, 2:-2], clean(CLIP), atol=2e-6)


def test_smaller_size_is_the_larger_one_averaged_over_its_pixels() -> None:
    fine = clean(Clip(8, 128, 128, 5.0), range(6))
    averaged = fine.reshape(6, 8, 32, 4, 32, 4, 3).mean(axis=(3, 5))
    coarse = clean(CLIP, range(6))
    np.testing.assert_allclose(averaged, coarse, atol=2e-6)
    assert coarse.std() > 0.1


def test_wide_clip_shows_the_square_one_in_its_middle() -> None:
    np.testing.assert_allclose(clean(Clip(8, 32, 48, 5.0))[:, :, :, 8:-8], clean(CLIP), atol=2e-6)


def test_short_clip_still_shows_both_pushes() -> None:
    """At half the nominal duration the picture of an order class has left its place in the middle and come back."""
    short = Clip(8, 32, 32, 10.0)
    ranges = MotionRanges(coherence=1.0, shake=0.0, noise=0.0)
    data = source(short, ranges=ranges)
    wanted = [i for i, label in enumerate(data.labels("weights")) if MOTION_CLASSES[label].profile == "return"][:40]
    moved = data.scenes("weights", wanted)._pushed(short, frame_times(short))
    assert (moved[:, 0] == 0).all()
    assert (moved.max(axis=1) > 0.1).all()
    assert (np.abs(moved[:, -1]) < 0.6 * moved.max(axis=1)).all()


def displacement(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Shift in pixels (x, y) between two pictures, by the gradient method (Lucas and Kanade) over the whole picture."""
    middle = (first + second) / 2
    gx, gy = np.gradient(middle, axis=1), np.gradient(middle, axis=0)
    gt = second - first
    inner = (slice(2, -2), slice(2, -2))
    gx, gy, gt = gx[inner].ravel(), gy[inner].ravel(), gt[inner].ravel()
    matrix = np.array([[gx @ gx, gx @ gy], [gx @ gy, gy @ gy]])
    dx, dy = np.linalg.solve(matrix, -np.array([gx @ gt, gy @ gt]))
    return float(dx), float(dy)


@pytest.mark.parametrize("family", ["slow", "fast"])
def test_translations_move_as_named_at_the_recipe_s_speed(family: str) -> None:
    dense = Clip(49, 96, 96, 60.0)
    ranges = MotionRanges(coherence=1.0, shake=0.0)
    data = source(dense, ranges=ranges)
    low, high = getattr(ranges, family)
    seen = 0
    for index, label in enumerate(data.labels("weights")[:72]):
        kind = MOTION_CLASSES[label]
        if kind.speed != family:
            continue
        seen += 1
        grey = data.scenes("weights", [index]).render(dense)[0].mean(axis=3).astype(np.float64)
        shifts = np.array([displacement(a, b) for a, b in zip(grey[::8], grey[1::8], strict=False)])
        speed = np.median(shifts, axis=0) / 96 * 60  # units per second
        along = float(speed @ np.array(kind.direction))
        across = float(np.abs(speed @ np.array(kind.direction[::-1])))
        assert low * 0.93 <= along <= high * 1.07, kind.name
        assert across < 0.1 * along
    assert seen >= 12


def test_order_classes_go_there_and_back() -> None:
    dense = Clip(97, 48, 48, 60.0)
    data = source(dense, ranges=MotionRanges(coherence=1.0, shake=0.0))
    for index, label in enumerate(data.labels("weights")[:36]):
        kind = MOTION_CLASSES[label]
        if kind.profile != "return":
            continue
        grey = data.scenes("weights", [index]).render(dense)[0].mean(axis=3).astype(np.float64)
        path = np.cumsum([displacement(a, b) for a, b in itertools.pairwise(grey)], axis=0) / 48
        along = path @ np.array(kind.direction)
        assert along.max() > 0.05 and abs(along[-1]) < 0.5 * along.max()


def test_zoom_changes_the_scale_about_its_centre() -> None:
    """A wave inside the band has, after one second, its frequency divided by e to the growth."""
    data = source(ranges=MotionRanges(coherence=1.0, shake=0.0, zoom=(0.5, 0.5)))
    for name, factor in (("zoom_in", np.exp(-0.5)), ("zoom_out", np.exp(0.5))):
        label = data.classes.index(name)
        index = int(np.flatnonzero(data.labels("weights") == label)[0])
        scenes = data.scenes("weights", [index])
        ratio = scenes.band[1] / scenes.band[0]
        assert np.allclose(ratio**scenes.drift_NK, factor)


def frame_features(frames: np.ndarray) -> np.ndarray:
    """What one frame [N, H, W, 3] offers: colours, contrast, gradient energies at three scales, pixels. [N, F]"""
    pictures = frames.astype(np.float32) / 255
    features = [pictures.mean(axis=(1, 2)), pictures.std(axis=(1, 2))]
    grey = pictures.mean(axis=3)
    for _ in range(3):
        features.append(np.log((np.diff(grey, axis=1) ** 2).mean(axis=(1, 2))[:, None] + 1e-9))
        features.append(np.log((np.diff(grey, axis=2) ** 2).mean(axis=(1, 2))[:, None] + 1e-9))
        features.append((np.diff(grey, axis=1)[:, :, :-1] * np.diff(grey, axis=2)[:, :-1]).mean(axis=(1, 2))[:, None])
        n, h, w = grey.shape
        grey = grey.reshape(n, h // 2, 2, w // 2, 2).mean(axis=(2, 4))
    features.append(grey.reshape(len(grey), -1))
    return np.concatenate(features, axis=1)


def ridge_accuracy(features: np.ndarray, labels: np.ndarray, train: int) -> float:
    """Held-out accuracy of ridge regression on one-hots."""
    x = (features - features[:train].mean(0)) / (features[:train].std(0) + 1e-9)
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
    targets = np.eye(labels.max() + 1)[labels]
    weights = np.linalg.solve(x[:train].T @ x[:train] + 30 * np.eye(x.shape[1]), x[:train].T @ targets[:train])
    return float((np.argmax(x[train:] @ weights, axis=1) == labels[train:]).mean())


def motion_features(frames: np.ndarray) -> np.ndarray:
    """Gradient-method motion per pair of frames and at two scales, [N, F]."""
    grey = frames.mean(axis=4, dtype=np.float32)
    features = []
    for _ in range(2):
        gx, gy = np.gradient(grey, axis=3)[:, :-1], np.gradient(grey, axis=2)[:, :-1]
        gt = np.diff(grey, axis=1)
        power = (gx**2 + gy**2).mean(axis=(2, 3)) + 1e-9
        features += [(gx * gt).mean(axis=(2, 3)) / power, (gy * gt).mean(axis=(2, 3)) / power]
        n, t, h, w = grey.shape
        grey = grey.reshape(n, t, h // 2, 2, w // 2, 2).mean(axis=(3, 5))
    return np.concatenate(features, axis=1)


def test_one_frame_tells_nothing_and_motion_tells_the_class() -> None:
    data = source(sizes={**SIZES, "weights": 2700}, seed=11)
    frames, labels = data.materialise("weights")
    chance = 1 / len(data.classes)
    train, held_out = 1800, 900
    bound = chance + 3.5 * np.sqrt(chance * (1 - chance) / held_out)
    for time in (0, 4, 7):
        assert ridge_accuracy(frame_features(frames[:, time]), labels, train) < bound, time
    moved = ridge_accuracy(motion_features(frames), labels, train)
    assert moved > 3.5 * chance
    # The same features of shuffled frames, order destroyed, carry much less: motion is what they measure.
    shuffled = np.random.default_rng(0).permuted(np.arange(8)[None].repeat(len(frames), 0), axis=1)
    mixed = np.take_along_axis(frames, shuffled[:, :, None, None, None], axis=1)
    assert ridge_accuracy(motion_features(mixed), labels, train) < 0.6 * moved


def test_statistics_of_single_frames_agree_between_classes() -> None:
    """One-way analysis of variance of each statistic at the first, a middle and the last frame."""
    data = source(sizes={**SIZES, "weights": 1800}, seed=5)
    frames, labels = data.materialise("weights")
    classes = len(data.classes)
    for time in (0, 3, 7):
        x = frame_features(frames[:, time])[:, :15]
        means = np.stack([x[labels == c].mean(0) for c in range(classes)])
        within = np.stack([x[labels == c].var(0, ddof=1) for c in range(classes)]).mean(0)
        f_ratio = means.var(0, ddof=1) * (len(x) / classes) / within
        # 99.99 % point of F(17, 1782) is 2.83; 45 looks.
        assert f_ratio.max() < 2.83, (time, f_ratio)


def test_difficulty_lowers_the_signal() -> None:
    easy, hard = MotionRanges.at(0.0), MotionRanges.at(1.0)
    assert easy.noise < hard.noise and easy.coherence > hard.coherence and easy.contrast[0] > hard.contrast[0]
    assert MotionRanges.at(DEFAULT_DIFFICULTY) == source().ranges
    assert ridge_of(0.0) > ridge_of(1.0) + 0.1


def ridge_of(difficulty: float) -> float:
    data = source(sizes={**SIZES, "weights": 1080}, difficulty=difficulty)
    frames, labels = data.materialise("weights")
    return ridge_accuracy(motion_features(frames), labels, 720)


def test_noise_and_contrast_are_as_the_recipe_says() -> None:
    ranges = MotionRanges(noise=0.05, contrast=(0.1, 0.1), brightness=(0.5, 0.5))
    data = source(ranges=ranges)
    frames = data.render("weights", range(200)).astype(np.float64) / 255
    pictures = data.scenes("weights", range(200)).render(CLIP)
    assert abs((frames - pictures).std() - 0.05) < 0.002
    assert abs(np.sqrt((pictures - 0.5).var(axis=(1, 2, 3)).mean()) - 0.1) < 0.012


@pytest.mark.parametrize("difficulty", [-0.1, 1.5, float("nan"), "hard"])
def test_bad_difficulty_is_refused(difficulty: object) -> None:
    with pytest.raises(ValueError, match="from 0"):
        MotionRanges.at(difficulty)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change", [{"waves": 1}, {"band": (5.0, 5.0)}, {"slow": (0.3, 0.1)}, {"coherence": 1.1}, {"push": (0.0, 0.5)}]
)
def test_bad_recipe_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        dataclasses.replace(MotionRanges(), **change)  # type: ignore[arg-type]


def test_bad_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="'tests'"):
        source().item("tests", 0)
    with pytest.raises(IndexError, match="400"):
        source().item("weights", 400)
    with pytest.raises(ValueError, match="'weight'"):
        source(sizes={"weight": 3})
    with pytest.raises(ValueError, match="seed"):
        source(seed=-1)


def test_pickle_leaves_the_cache_behind_and_describe_is_plain_data() -> None:
    data = source()
    data.materialise("weights")
    assert len(pickle.dumps(data)) < 20_000
    assert data.describe()["recipe"]["waves"] == 20
    assert data.describe() == source(Clip(4, 16, 16, 5.0)).describe() != source(difficulty=0.9).describe()


def test_cache_respects_its_limit() -> None:
    data = source(cache_bytes=401 * CLIP.frames * 32 * 32 * 3)
    data.item("weights", 0)
    data.item("controller", 0)
    assert set(data._cache) == {"weights"}
    assert np.array_equal(data.item("controller", 1)[0], source().item("controller", 1)[0])
