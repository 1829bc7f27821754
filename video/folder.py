"""A folder of real videos, one sub-folder per class, as a data set."""

import copy
import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from searchspace.clip import Clip, ClipLike
from searchspace.naming import escaped, located
from video import crop, sampling
from video.augmentation import Augmentation
from video.copies import copy_notes, find_copies
from video.decode import read_frames
from video.decoding_workers import at_item
from video.kinetics import is_annotations
from video.labelled import Labelled, listing
from video.layout import ListedFile, Listing
from video.measure import DECODER, VideoInfo
from video.scan import FileStamp, Progress, ScanCache, check_unchanged, scan
from video.source import Frames, check_request
from video.split import groups_of, split

_PART_CODES = {"weights": 1, "controller": 2, "rescoring": 3, "val": 4}
_WHOLE_AT_MOST = 1024  # grid steps: a longer video is read piece by piece, and not kept


@dataclasses.dataclass(frozen=True)
class _Video:
    name: str
    """Path below the root, as text."""
    path: str
    """The same as the file system has it."""
    label: int
    info: VideoInfo
    stamp: FileStamp
    group: str
    """Videos of one group stay together, whatever they are split for."""


class _Kept:
    """Decoded videos by path, shorter side and frame rate."""

    def __init__(self) -> None:
        self.videos: dict[tuple[str, int, float], Frames] = {}
        self.bytes = 0


class FolderSource:
    """Videos in `root/<class>/**` or `root/{train,val}/<class>/**`, or of an annotation file, of any format that FFmpeg
    reads.

    The training videos are split into "weights", "controller" and "rescoring" (60, 20 and 20 %) by (seed, group),
    stratified by class; the user's own validation folder, where there is one, is "val". Decoded videos are kept in
    memory at little more than the clip's size, up to `cache_bytes` in each process.

    Attributes:
        clip: shape and frame rate of the clips that come out.
        classes: folder names, sorted.
        parts: number of videos by part.
        skipped: (path below the root, reason) of each file that does not decode.
        missing: clips that an annotation file names and that are not there.
        damaged: paths of the files of which some packets do not decode; they are used without those.
        repaired: (path, what was done) of the files whose time stamps had to be repaired.
        copies: groups of paths of files with the same content.
        notes: what a user should know before the start, one line each.
    """

    kind = "folder"

    def __init__(
        self,
        root: str | Path,
        clip: ClipLike,
        seed: int = 0,
        *,
        videos: str | Path | None = None,
        group: str | None = None,
        scan_cache: str | Path | None = None,
        workers: int = 0,
        progress: Progress | None = None,
        cache_bytes: int = 1 << 30,
    ) -> None:
        """Finds, scans and splits the videos.

        Args:
            root: the folder, or an annotation file in the form of Kinetics (`video.kinetics`).
            clip: frames, size and frame rate to sample, in any form that `Clip.of` takes.
            seed: of the split and of all random crops, 0 or more.
            videos: the folder that the clips of an annotation file are below; by default its own.
            group: regular expression, searched for in each path below its class folder; videos for which its capturing
                groups agree stay in one part. None lets every file go its own way.
            scan_cache: JSON file that keeps the results of the scan.
            workers: processes for the scan.
            progress: called with (files scanned, files in all).
            cache_bytes: memory for decoded videos.

        Raises:
            ValueError: for a folder that training cannot start from; the message says what is missing.
        """
        if not 0 <= seed < 1 << 64:
            raise ValueError(f"seed {seed} is not allowed: give a whole number from 0 to 2^64 - 1")
        self.clip = Clip.of(clip)
        self.seed = seed
        self.group = group
        self.augmentation: Augmentation | None = None
        self.cache_bytes = cache_bytes
        self._kept = _Kept()
        self._opened: set[str] = set()

        self.root, found = listing(root, videos)
        self.annotations = escaped(located(root).resolve()) if is_annotations(root) else None
        self.missing = found.missing
        found.check_training(root)
        self.classes: tuple[str, ...] = found.classes
        found.groups(found.train, group)  # a malformed pattern need not wait for the scan
        listed = (*found.train, *found.val)
        cache = ScanCache(self.root, Path(scan_cache) if scan_cache else None)
        scanned = scan(cache, [v.path for v in listed], workers, progress)
        infos = {path: entry.info for path, entry in scanned.items() if entry.info is not None}
        self.skipped = tuple((v.name, infos[v.path].error) for v in listed if infos[v.path].error)
        self.damaged = tuple(v.name for v in listed if infos[v.path].broken and not infos[v.path].error)
        self.repaired = tuple((v.name, ", ".join(w)) for v in listed if (w := infos[v.path].repairs.words()))
        names = {v.path: v.name for v in listed}
        self.copies = tuple(tuple(names[path] for path in group) for group in find_copies(cache, list(names)))

        train = [v for v in found.train if not infos[v.path].error]
        val = [v for v in found.val if not infos[v.path].error]
        for usable, files, where in ((train, found.train, self.root), (val, found.val, self.root / found.val_folder)):
            if files and not usable:
                name, reason = next((n, r) for n, r in self.skipped if n == files[0].name)
                raise ValueError(
                    f"none of the {len(files)} files in {escaped(where)!r} is a video ({name!r}: {reason})"
                )
        groups = found.groups(train, group)

        def video(file: ListedFile, group: str) -> _Video:
            return _Video(file.name, file.path, file.label, infos[file.path], scanned[file.path].stamp, group)

        indices = split([v.label for v in train], groups, self.classes, seed)
        self._videos: dict[str, list[_Video]] = {
            part: [video(train[i], groups[i]) for i in chosen] for part, chosen in indices.items()
        }
        if found.val_folder:
            self._videos["val"] = [video(v, v.name) for v in val]
        self.parts: Mapping[str, int] = {part: len(videos) for part, videos in self._videos.items()}
        self.notes = tuple(_notes(self, found, groups, [v.below_class for v in val]))

    def __getstate__(self) -> dict[str, Any]:
        # Worker processes decode for themselves.
        return {**self.__dict__, "_kept": _Kept(), "_opened": set()}

    def item(self, part: str, index: int, epoch: int = 0, training: bool = False, view: int = 0) -> tuple[Frames, int]:
        """One clip, uint8 [T, H, W, 3], and its label.

        With `training`, what the augmentation draws from (seed, part, epoch, index), without one a random start and a
        modest random window; otherwise the largest window in the middle, at the start that `view` selects
        (`sampling.uniform_steps`).

        Raises:
            ValueError: the file has gone or changed since the scan.
        """
        check_request(self, part, (index,))
        video = self._videos[part][index]
        info, clip = video.info, self.clip
        length = sampling.grid_length(info.duration, clip.fps)
        if not training:
            frames = self._frames(video, sampling.uniform_steps(length, clip, view), length)
            window = crop.centre_window(info.height, info.width, clip)
            return crop.crop_window(frames, window, clip.height, clip.width), video.label
        rng = np.random.default_rng((self.seed, _PART_CODES[part], epoch, index))
        if self.augmentation is not None:
            return self._augmented(video, self.augmentation, length, rng), video.label
        steps = sampling.random_steps(length, clip, rng)
        window = crop.random_window(info.height, info.width, clip, rng)
        return crop.crop_window(self._frames(video, steps, length), window, clip.height, clip.width), video.label

    def _augmented(self, video: _Video, how: Augmentation, length: int, rng: np.random.Generator) -> Frames:
        """A training clip; all that is drawn for it is drawn once, for all of its frames."""
        info, clip = video.info, how.clip_of(self.clip)
        times = how.times(info.duration, info.fps, clip, rng)
        window = how.window(info.height, info.width, clip, rng)
        side = crop.decoded_side(info.height, info.width, clip, how.decode_margin)
        if how.frame_rate_jitter:  # off the grid, so not among the frames that are kept
            frames = self._read(video, times, side)
        else:
            frames = self._frames(video, sampling.grid_steps(times, clip.fps, length), length, side)
        return how.paint(crop.crop_window(frames, window, clip.height, clip.width), rng)

    def batch(
        self, part: str, indices: Sequence[int], epoch: int = 0, training: bool = False, view: int = 0
    ) -> tuple[Frames, NDArray[np.int64]]:
        """Several clips, uint8 [N, T, H, W, 3], and their labels [N]."""
        items = []
        for number, index in enumerate(indices):
            at_item(number)
            items.append(self.item(part, int(index), epoch, training, view))
        return np.stack([frames for frames, _ in items]), np.array([label for _, label in items], np.int64)

    def labels(self, part: str) -> NDArray[np.int64]:
        """Labels of a whole part, [size]."""
        check_request(self, part, ())
        return np.array([video.label for video in self._videos[part]], np.int64)

    def names(self, part: str) -> list[str]:
        """Paths below the root of a part's videos, in order of index."""
        check_request(self, part, ())
        return [video.name for video in self._videos[part]]

    def groups(self, part: str) -> list[str]:
        """The group of each of a part's videos, in order of index; of "val" each has its own."""
        check_request(self, part, ())
        return [video.group for video in self._videos[part]]

    def videos(self, part: str) -> tuple[Labelled, ...]:
        """A part's videos, in order of index."""
        check_request(self, part, ())
        return tuple(Labelled(v.name, self.root / v.path, v.label, v.info, v.stamp) for v in self._videos[part])

    def at(self, clip: ClipLike) -> "FolderSource":
        """The same videos and split at another clip shape, without another scan; decoded videos are kept together."""
        other = copy.copy(self)
        other.clip = Clip.of(clip)
        return other

    def augmented(self, augmentation: Augmentation) -> "FolderSource":
        """The same videos with training clips varied in that way; flips only where no class names a side."""
        other = self.at(self.clip)
        other.augmentation = augmentation.for_classes(self.classes)
        return other

    def share(self, processes: int) -> None:
        """Keeps to a share of the cache's memory: called in each of several worker processes."""
        self.cache_bytes //= max(1, processes)

    def describe(self) -> dict[str, Any]:
        """Seed, options, classes, sizes, and a digest of every file's name, part and measured properties."""
        return {
            "kind": self.kind,
            "root": escaped(self.root.resolve()),
            "annotations": self.annotations,
            "seed": self.seed,
            "group": self.group,
            "classes": list(self.classes),
            "parts": dict(self.parts),
            "digest": self._digest,
            "decoder": DECODER,
        }

    @functools.cached_property
    def _digest(self) -> str:
        """Of every file; the list of files never changes, and checkpoints ask for it again and again."""
        listing = {
            part: [(video.name, video.label, _measured(video.info)) for video in videos]
            for part, videos in self._videos.items()
        }
        return hashlib.sha256(json.dumps(listing, sort_keys=True).encode()).hexdigest()

    def _frames(self, video: _Video, steps: NDArray[np.int64], length: int, side: int | None = None) -> Frames:
        """Decoded frames at grid steps, from memory where the video is, or can be, kept."""
        info, fps = video.info, self.clip.fps
        side = side or crop.decoded_side(info.height, info.width, self.clip)
        key, kept = (video.path, side, fps), self._kept
        if key in kept.videos:
            return kept.videos[key][steps]
        if length <= _WHOLE_AT_MOST and self.cache_bytes > 0:
            scale = min(1.0, side / min(info.height, info.width))
            size = round(length * info.height * info.width * 3 * scale**2)
            if size + kept.bytes <= self.cache_bytes:
                frames = self._read(video, sampling.grid_times(np.arange(length), fps), side)
                kept.videos[key] = frames
                kept.bytes += frames.nbytes
                return frames[steps]
        return self._read(video, sampling.grid_times(steps, fps), side)

    def _read(self, video: _Video, times: NDArray[np.float64], side: int) -> Frames:
        """Frames of a file that is what it was when it was scanned."""
        path = self.root / video.path
        if video.path not in self._opened:
            check_unchanged(path, video.stamp)
            self._opened.add(video.path)
        return read_frames(path, times.tolist(), side, info=video.info)


def _measured(info: VideoInfo) -> dict[str, Any]:
    """What makes a video another one: not how its time stamps came to be right."""
    measured = dataclasses.asdict(info)
    del measured["repairs"], measured["seekable"]
    if not info.mirrored:
        del measured["mirrored"]
    return measured


def _notes(source: FolderSource, found: Listing, train_groups: Sequence[str], val: Sequence[str]) -> list[str]:
    lines = list(found.notes)
    if source.skipped:
        lines.append(f"{len(source.skipped)} files do not decode and are skipped")
    if source.damaged:
        lines.append(f"{len(source.damaged)} files are damaged and used without the damaged frames")
    if source.repaired:
        lines.append(
            f"{len(source.repaired)} files have time stamps that were repaired (such as {source.repaired[0][0]!r})"
        )
    lines += copy_notes(source.copies, found)
    if source.group is not None and val:
        shared = sorted(set(train_groups) & set(groups_of(val, source.group)))
        if shared:
            lines.append(f"{len(shared)} groups are in both train and val (such as {shared[0]!r})")
    return lines
