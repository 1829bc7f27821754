"""Scenes in continuous space and time: moving sums of plane waves, and their exact pictures at any size and frame rate.

Legend of shape suffixes: N clips, T frames, K waves, H height, W width, C colours. Units as in `motion_classes.py`.

Why waves: a texture of independent random phases looks the same, statistically, wherever it has moved to. Every frame
of every class is therefore drawn from one and the same distribution; only the relation between frames carries the
label. A zoom keeps that property because its waves run through the frequency band on a circle, fading in at one edge
and out at the other (the visual form of Shepard's tone: R. Shepard, "Circularity in Judgments of Relative Pitch", JASA
36, 1964).
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from searchspace.clip import Clip, ClipLike
from video.motion_classes import MOTION_CLASSES, NOMINAL_SECONDS, MotionRanges, Range
from video.products import product

Floats = NDArray[np.float64]

_PER_SCENE = 16
_PER_WAVE = 9
_EDGE = 0.2  # share of the frequency band over which a wave fades in, and out


def draws_per_scene(waves: int) -> int:
    """How many uniform random numbers describe one scene of so many waves."""
    return _PER_SCENE + _PER_WAVE * waves


def frame_times(clip: ClipLike) -> Floats:
    """Times of the clip's frames in seconds, 0 in the middle of its duration.

    Twice the frames at twice the frame rate contain these times as every second one.
    """
    clip = Clip.of(clip)
    return np.arange(clip.frames) / clip.fps - clip.frames / clip.fps / 2


@dataclasses.dataclass(frozen=True)
class Scenes:
    """A batch of N scenes of K waves each, as functions of time."""

    band: Range
    """Lowest and highest frequency, cycles per unit."""
    place_NK: Floats
    """Position of each wave in the (logarithmic) band at time 0; the band is a circle of length 1."""
    drift_NK: Floats
    """Movement of that position per second; not zero for zooms only."""
    normal_NK2: Floats
    """Unit wave vector (x to the right, y downwards)."""
    steady_NK: Floats
    """Speed along the wave vector of the waves that move steadily, units per second."""
    pushed_NK: Floats
    """Speed along the wave vector of the waves that follow the two pushes, units per second."""
    phase_NK: Floats
    """Cycles, at time 0 in the middle of the frame."""
    colour_NKC: Floats
    """Amplitude in each colour channel, as a fraction of full scale."""
    centre_N2: Floats
    """Fixed point of a zoom, units."""
    pushes_N5: Floats
    """Start of the first push, start of the second, duration of each (seconds); relative sizes of the two."""
    shake_N6: Floats
    """Camera shake: amplitude (units), frequency (Hz) and phase (cycles) in x, then in y."""
    base_NC: Floats
    """Mean of each colour channel, 0 to 1."""

    @classmethod
    def draw(cls, uniform_NU: Floats, labels_N: NDArray[np.int64], ranges: MotionRanges) -> "Scenes":
        """Turns uniform random numbers, `draws_per_scene` a clip, into scenes of the given classes."""
        N, K = len(labels_N), ranges.waves
        assert uniform_NU.shape == (N, draws_per_scene(K))
        s = uniform_NU[:, :_PER_SCENE].T
        w = uniform_NU[:, _PER_SCENE:].reshape(N, _PER_WAVE, K).transpose(1, 0, 2)
        classes = [MOTION_CLASSES[label] for label in labels_N]
        way_N2 = np.array([c.direction for c in classes])
        zoom_N1 = np.array([[c.zoom] for c in classes])
        returns_N1 = np.array([[c.profile == "return"] for c in classes])
        ranges_N2 = np.array([getattr(ranges, c.speed) for c in classes])
        speed_N1 = (ranges_N2[:, 0] + (ranges_N2[:, 1] - ranges_N2[:, 0]) * s[0])[:, None]

        place_NK = w[0]
        follows_NK = _followers(place_NK, [c.band for c in classes], w[1], ranges.coherence)
        angle_NK = 2 * np.pi * w[2]
        normal_NK2 = np.stack([np.cos(angle_NK), np.sin(angle_NK)], axis=2)
        along_NK = speed_N1 * np.einsum("nkd,nd->nk", normal_NK2, way_N2)
        wander_NK = _within(ranges.wander, w[3]) * np.cos(2 * np.pi * w[4] - angle_NK)
        growth_N1 = zoom_N1 * speed_N1 / np.log(ranges.band[1] / ranges.band[0])

        push_N, rest_N = _within(ranges.push, s[1]), _within(ranges.rest, s[2])
        turn_N = ranges.turn * (2 * s[3] - 1)
        sizes_N = 0.8 + 0.4 * s[4], 0.8 + 0.4 * s[5]
        shake_N = np.full(N, ranges.shake)
        return cls(
            band=ranges.band,
            place_NK=place_NK,
            drift_NK=np.where(follows_NK, -growth_N1, 0.0),
            normal_NK2=normal_NK2,
            steady_NK=np.where(follows_NK, np.where(returns_N1, 0.0, along_NK), wander_NK),
            pushed_NK=np.where(follows_NK & returns_N1, along_NK, 0.0),
            phase_NK=w[5],
            colour_NKC=_colours(w[6:9], _within(ranges.contrast, s[6]), ranges.tint),
            centre_N2=0.3 * (s[7:9].T - 0.5),
            pushes_N5=np.stack([turn_N - rest_N / 2 - push_N, turn_N + rest_N / 2, push_N, *sizes_N], axis=1),
            shake_N6=np.stack([shake_N, 0.5 + 1.5 * s[9], s[10], shake_N, 0.5 + 1.5 * s[11], s[12]], axis=1),
            base_NC=_within(ranges.brightness, s[13:16].T),
        )

    def render(self, clip: ClipLike) -> NDArray[np.float32]:
        """Pictures without pixel noise, [N, T, H, W, 3], full scale 0 to 1, not clipped.

        Each pixel is the mean of the scene over the pixel's area (the closed form of a box filter on a wave), so a
        smaller clip equals a larger one averaged down, and nothing aliases beyond what a camera's sensor would.
        """
        clip = Clip.of(clip)
        seconds_T = frame_times(clip)
        side = min(clip.height, clip.width)
        x_W = (np.arange(clip.width) + 0.5 - clip.width / 2) / side
        y_H = (np.arange(clip.height) + 0.5 - clip.height / 2) / side
        place_NTK = (self.place_NK[:, None] + self.drift_NK[:, None] * seconds_T[:, None]) % 1.0
        frequency_NTK = self.band[0] * (self.band[1] / self.band[0]) ** place_NTK
        fx_NTK, fy_NTK = (frequency_NTK * self.normal_NK2[:, None, :, axis] for axis in (0, 1))

        shake_N2T = self._shake(seconds_T)
        moved_NTK = self.steady_NK[:, None] * seconds_T[:, None]
        moved_NTK = moved_NTK + self.pushed_NK[:, None] * self._pushed(clip, seconds_T)[:, :, None]
        phase_NTK = self.phase_NK[:, None] - frequency_NTK * moved_NTK
        phase_NTK = phase_NTK - fx_NTK * (self.centre_N2[:, 0, None] + shake_N2T[:, 0])[:, :, None]
        phase_NTK = phase_NTK - fy_NTK * (self.centre_N2[:, 1, None] + shake_N2T[:, 1])[:, :, None]
        size_NTK = _fading(place_NTK) * np.sinc(fx_NTK / side) * np.sinc(fy_NTK / side)

        # cos(a + b) = cos a cos b - sin a sin b: the sum over waves is one matrix product per frame.
        turn = np.float32(2 * np.pi)
        a_NTHK = turn * (fy_NTK[:, :, None] * y_H[:, None] + (phase_NTK % 1.0)[:, :, None]).astype(np.float32)
        b_NTKW = turn * (fx_NTK[..., None] * x_W).astype(np.float32)
        left = np.concatenate([np.cos(a_NTHK), -np.sin(a_NTHK)], axis=3)
        waves = np.stack([np.cos(b_NTKW), np.sin(b_NTKW)], axis=2)  # N T 2 K W
        colour = (size_NTK[..., None] * self.colour_NKC[:, None]).astype(np.float32)  # N T K C
        right = waves[..., None] * colour[:, :, None, :, None]  # N T 2 K W C
        N, T = phase_NTK.shape[:2]
        frames = product(left, right.reshape(N, T, -1, clip.width * 3))
        frames = frames.reshape(N, T, clip.height, clip.width, 3)
        frames += self.base_NC[:, None, None, None].astype(np.float32)
        return frames

    def _pushed(self, clip: Clip, seconds_T: Floats) -> Floats:
        """Distance moved by the two pushes for a mean speed of 1, [N, T]; zero before them and after equal ones."""
        squeeze = min(1.0, clip.frames / clip.fps / NOMINAL_SECONDS)
        first, second, push, forth, back = self.pushes_N5.T[:, :, None]
        script_T = seconds_T / squeeze
        moved = forth * _smoothstep((script_T - first) / push) - back * _smoothstep((script_T - second) / push)
        distance: Floats = squeeze * push * moved
        return distance

    def _shake(self, seconds_T: Floats) -> Floats:
        """Displacement by the camera's shake, [N, 2, T]."""
        amplitude, frequency, phase = self.shake_N6.reshape(-1, 2, 3).transpose(2, 0, 1)[..., None]
        displacement: Floats = amplitude * np.sin(2 * np.pi * (frequency * seconds_T + phase))
        return displacement


def _within(bounds: Range, uniform: Floats) -> Floats:
    return bounds[0] + (bounds[1] - bounds[0]) * uniform


def _smoothstep(x: Floats) -> Floats:
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


def _fading(place: Floats) -> Floats:
    """Amplitude of a wave by its place in the band: 1 inside, a raised cosine down to 0 at the two edges."""
    edge = np.clip(np.minimum(place, 1.0 - place) / _EDGE, 0.0, 1.0)
    return 0.5 - 0.5 * np.cos(np.pi * edge)


def _followers(place_NK: Floats, bands: list[str], lot_NK: Floats, coherence: float) -> NDArray[np.bool_]:
    """The waves that move with the class: of those in its band, the given share (rounded up), by lot."""
    bands_N1 = np.array(bands)[:, None]
    carries_NK = (bands_N1 == "all") | ((bands_N1 == "coarse") == (place_NK < 0.5))
    rank_NK = np.argsort(np.argsort(np.where(carries_NK, lot_NK, 2.0), axis=1), axis=1)
    follows_NK: NDArray[np.bool_] = rank_NK < np.ceil(coherence * carries_NK.sum(axis=1, keepdims=True))
    return follows_NK


def _colours(chroma_CNK: Floats, contrast_N: Floats, tint: float) -> Floats:
    """Amplitudes [N, K, C] whose sum over K fading waves has the wanted standard deviation on average."""
    scatter = 2.0 * tint
    colour_NKC = 1.0 + scatter * (2 * chroma_CNK.transpose(1, 2, 0) - 1)
    K = colour_NKC.shape[1]
    fading = 1.0 - 2 * _EDGE * (1.0 - 3 / 8)  # mean of the squared amplitude over the band
    power = K / 2 * fading * (1.0 + scatter**2 / 3)
    return np.asarray(colour_NKC * (contrast_N / np.sqrt(power))[:, None, None])
