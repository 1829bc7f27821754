"""The built-in data set: synthetic clips in which motion, and nothing else, decides the class."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from searchspace.clip import Clip, ClipLike
from video.augmentation import Augmentation
from video.motion_classes import MOTION_CLASSES, MotionRanges
from video.scene import Scenes, draws_per_scene
from video.source import Frames, check_request

DEFAULT_DIFFICULTY = 0.2
DEFAULT_SIZES = {"weights": 8192, "controller": 2048, "rescoring": 2048, "val": 2048}

_PART_CODES = {"weights": 1, "controller": 2, "rescoring": 3, "val": 4}
_SCENE, _NOISE, _LABELS = 0, 1, 2  # the streams of random numbers of an item
_RENDER_BYTES = 1 << 25  # working memory of one rendering call, about


class MotionSource:
    """Clips of moving random textures, 18 classes (`video.motion_classes.MOTION_CLASSES`).

    Clip `index` of a part is a function of (seed, part, index) alone, drawn from counter-based random numbers; every C
    consecutive clips from a multiple of C hold each of the C classes once, in random order. There is no augmentation
    (a flip would change the label), so the epoch makes no difference. A clip costs about 0.3 ms of one core at
    8x32x32; what was rendered is kept in memory, 24.6 kB a clip at that size, up to `cache_bytes`.
    """

    kind = "motion"

    def __init__(
        self,
        seed: int,
        clip: ClipLike,
        difficulty: float = DEFAULT_DIFFICULTY,
        *,
        ranges: MotionRanges | None = None,
        sizes: Mapping[str, int] | None = None,
        cache_bytes: int = 1 << 29,
    ) -> None:
        """Prepares the set; nothing is rendered yet.

        Args:
            seed: of the whole set, 0 to 2^64 - 1.
            clip: frames, size and frame rate to render, in any form that `Clip.of` takes.
            difficulty: 0 to 1, see `MotionRanges.at`.
            ranges: those of the nuisances, by hand, in place of `difficulty`.
            sizes: clips per part, for the parts that differ from `DEFAULT_SIZES`.
            cache_bytes: memory for rendered clips; 0 renders anew each time.

        Raises:
            ValueError: an unknown part, a size below 1, a seed out of range, a difficulty outside 0 to 1.
        """
        if not 0 <= seed < 1 << 64:
            raise ValueError(f"seed {seed} is not allowed: give a whole number from 0 to 2^64 - 1")
        unknown = sorted(set(sizes or ()) - set(DEFAULT_SIZES))
        if unknown:
            raise ValueError(f"part {unknown[0]!r} is not a part of the motion set: it has {', '.join(DEFAULT_SIZES)}")
        self.seed = seed
        self.clip = Clip.of(clip)
        self.ranges = MotionRanges.at(difficulty) if ranges is None else ranges
        self.classes: tuple[str, ...] = tuple(c.name for c in MOTION_CLASSES)
        self.parts: Mapping[str, int] = {**DEFAULT_SIZES, **(sizes or {})}
        for part, size in self.parts.items():
            if size < 1:
                raise ValueError(f"size {size} of part {part!r} is not allowed: give at least 1 clip")
        self.cache_bytes = cache_bytes
        self._labels: dict[str, NDArray[np.int64]] = {}
        self._cache: dict[str, tuple[Frames, NDArray[np.bool_]]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cache": {}}  # worker processes render their own

    def item(self, part: str, index: int, epoch: int = 0, training: bool = False, view: int = 0) -> tuple[Frames, int]:
        """One clip, uint8 [T, H, W, 3], and its label; `epoch`, `training` and `view` make no difference here."""
        frames, labels = self.batch(part, [index], epoch, training, view)
        return frames[0], int(labels[0])

    def batch(
        self, part: str, indices: Sequence[int], epoch: int = 0, training: bool = False, view: int = 0
    ) -> tuple[Frames, NDArray[np.int64]]:
        """Several clips, uint8 [N, T, H, W, 3], and their labels [N]; from memory where they were rendered before."""
        check_request(self, part, indices)
        wanted = np.asarray(indices, dtype=np.int64)
        labels = self.labels(part)[wanted]
        if not self._caches(part):
            return self.render(part, wanted), labels
        return self._filled(part, wanted)[wanted], labels

    def materialise(self, part: str) -> tuple[Frames, NDArray[np.int64]]:
        """A whole part, uint8 [size, T, H, W, 3] and labels [size]; the memory is the cache's own where it fits."""
        indices = np.arange(self.parts[part])
        frames = self._filled(part, indices) if self._caches(part) else self.render(part, indices)
        return frames, self.labels(part)

    def labels(self, part: str) -> NDArray[np.int64]:
        """Labels of a whole part, [size]."""
        check_request(self, part, ())
        if part not in self._labels:
            classes, size = len(self.classes), self.parts[part]
            keys = self._uniform(part, _LABELS, np.arange(-(-size // classes)), classes)
            self._labels[part] = np.argsort(keys, axis=1).reshape(-1)[:size].astype(np.int64)
            self._labels[part].flags.writeable = False
        return self._labels[part]

    def scenes(self, part: str, indices: Sequence[int] | NDArray[np.int64]) -> Scenes:
        """The continuous scenes behind some clips: what they show, free of frame rate, size and noise."""
        check_request(self, part, indices)
        wanted = np.asarray(indices, dtype=np.int64)
        uniform = self._uniform(part, _SCENE, wanted, draws_per_scene(self.ranges.waves))
        return Scenes.draw(uniform, self.labels(part)[wanted], self.ranges)

    def render(self, part: str, indices: Sequence[int] | NDArray[np.int64]) -> Frames:
        """Renders clips anew, uint8 [N, T, H, W, 3]; the pixels of one do not depend on the others asked for."""
        shape = (self.clip.frames, self.clip.height, self.clip.width, 3)
        frames = np.empty((len(indices), *shape), np.uint8)
        step = max(1, _RENDER_BYTES // (32 * int(np.prod(shape))))
        for start in range(0, len(indices), step):
            some = indices[start : start + step]
            pictures = self.scenes(part, some).render(self.clip)
            for index, picture, out in zip(some, pictures, frames[start : start + step], strict=True):
                picture *= 255.0
                picture += self._noise(part, int(index), shape)
                np.copyto(out, np.clip(picture, 0.0, 255.0, out=picture), casting="unsafe")
        return frames

    def at(self, clip: ClipLike) -> "MotionSource":
        """The same scenes, parts and labels at another clip shape."""
        return MotionSource(self.seed, clip, ranges=self.ranges, sizes=self.parts, cache_bytes=self.cache_bytes)

    def augmented(self, augmentation: Augmentation) -> "MotionSource":
        """Itself where nothing is to vary.

        Raises:
            ValueError: anything else: a clip is rendered with nuisances of its own, and a crop, a flip or another frame
                rate would change what its label says.
        """
        changed = [
            field.name
            for field in dataclasses.fields(augmentation)
            if getattr(augmentation, field.name) != field.default
        ]
        if changed:
            raise ValueError(
                f"the built-in motion data cannot be augmented by {', '.join(changed)}: its clips vary by themselves, "
                "leave these out, or give videos with --data"
            )
        return self

    def share(self, processes: int) -> None:
        """Keeps to a share of the cache's memory: called in each of several worker processes."""
        self.cache_bytes //= max(1, processes)

    def describe(self) -> dict[str, Any]:
        """Seed, sizes and ranges: what decides every pixel beside the clip."""
        return {"kind": self.kind, "seed": self.seed, "parts": dict(self.parts), "recipe": self.ranges.to_dict()}

    def _caches(self, part: str) -> bool:
        """Whether the part is kept in memory; decided when it is first asked for."""
        if part not in self._cache:
            clip, size = self.clip, self.parts[part]
            used = sum(frames.nbytes for frames, _ in self._cache.values())
            if used + size * clip.frames * clip.height * clip.width * 3 > self.cache_bytes:
                return False
            frames = np.empty((size, clip.frames, clip.height, clip.width, 3), np.uint8)  # pages come with first use
            self._cache[part] = frames, np.zeros(size, np.bool_)
        return True

    def _filled(self, part: str, indices: NDArray[np.int64]) -> Frames:
        """The part's cache, after rendering those of the clips that it lacks."""
        frames, known = self._cache[part]
        missing = np.unique(indices[~known[indices]])
        if len(missing):
            frames[missing] = self.render(part, missing)
            known[missing] = True
        return frames

    def _generator(self, part: str, stream: int, index: int) -> np.random.Generator:
        """Random numbers of one item: counter-based, keyed by (seed, part), counting from (stream, index)."""
        key = np.array([self.seed, _PART_CODES[part]], np.uint64)
        counter = np.array([0, 0, index, stream], np.uint64)
        return np.random.Generator(np.random.Philox(key=key, counter=counter))

    def _uniform(self, part: str, stream: int, indices: NDArray[np.int64], count: int) -> NDArray[np.float64]:
        return np.stack([self._generator(part, stream, int(index)).random(count) for index in indices])

    def _noise(self, part: str, index: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Pixel noise of triangular distribution (the sum of two random bytes) plus the half that rounds to nearest."""
        count = int(np.prod(shape))
        pairs = np.frombuffer(self._generator(part, _NOISE, index).bytes(2 * count), np.uint8).reshape(2, *shape)
        noise: NDArray[np.float32] = np.add(pairs[0], pairs[1], dtype=np.float32)
        spread = 255.0 * self.ranges.noise / np.sqrt(2 * (256**2 - 1) / 12)
        noise -= np.float32(255.0)
        noise *= np.float32(spread)
        noise += np.float32(0.5)
        return noise
