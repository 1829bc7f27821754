"""From the time stamps that a file carries to times that increase: every decoded frame gets one, none is dropped.

Decoders give frames in the order in which they are shown. Stamps are less reliable: containers without presentation
stamps (AVI), joined recordings whose clock starts anew, cameras whose clock is set while they record, damaged bytes.
"""

import dataclasses
import itertools
import math
import statistics
from collections import deque
from collections.abc import Iterable, Sequence

import numpy as np

GAP = 50.0
"""A step of more than this many usual distances between frames is a jump of the clock, not time (our choice)."""

GAP_SECONDS = 1.0
"""A step of up to this many seconds is always taken for time."""

_REMEMBERED = 31  # steps whose median is the usual distance
_REORDERED_AT_MOST = 64  # places between a packet's and its frame's; codecs need up to 16, joined recordings more
_NEAR = 4.0  # times the usual distance: what the stamps of the other kind may say in place of it
_DISORDERS = 3  # stamps out of order after which those of the other kind are used
_PRESENTATION = 0  # first of a frame's two stamps; the second is the decode stamp


@dataclasses.dataclass(frozen=True, slots=True)
class Repairs:
    """What had to be done to the time stamps of a file, in numbers of frames or places.

    Attributes:
        gaps: jumps of the clock ahead, by many times the usual distance; bridged.
        restarts: jumps of the clock back, as in joined recordings; continued.
        wild: frames whose stamp fits neither the frame before nor the one after.
        missing: frames without a stamp in a file where others have one.
        disordered: stamps do not follow the order of the frames; decode stamps, which do, were used for some or all.
    """

    gaps: int = 0
    restarts: int = 0
    wild: int = 0
    missing: int = 0
    disordered: bool = False

    def __bool__(self) -> bool:
        return self != Repairs()

    def words(self) -> list[str]:
        """One phrase for each kind of repair."""
        counted = (
            (self.gaps, "gap bridged", "gaps bridged"),
            (self.restarts, "restart of the clock continued", "restarts of the clock continued"),
            (self.wild, "wild time stamp replaced", "wild time stamps replaced"),
            (self.missing, "missing time stamp filled in", "missing time stamps filled in"),
        )
        phrases = [f"{count:,} {one if count == 1 else more}" for count, one, more in counted if count]
        return phrases + ["frames timed by decode stamps"] * self.disordered


class Clock:
    """Gives each frame of a file a time, in the order in which they are shown; times strictly increase.

    A stamp is taken as it is where it follows the time before by a step of up to `GAP` usual distances. One that does
    not is replaced by the usual distance, and tells how the clock may go on from there: if the next one follows the old
    clock, the stamp was wild; if it follows the new one, the clock has jumped. What is decided about a frame depends on
    the frames before it only, so reading and measuring a file agree.
    """

    def __init__(self, interval: float, *, decode_stamps: bool = False) -> None:
        """Starts before the first frame.

        Args:
            interval: seconds between frames, as far as known beforehand.
            decode_stamps: whether the order of frames is in their decode stamps rather than the presentation stamps.
        """
        self._source = int(decode_stamps)
        self._disordered = False
        self._shown: float | None = None  # the presentation stamp before, where decode stamps are used
        self._steps: deque[float] = deque([interval], _REMEMBERED)
        self._last: float | None = None
        self._offsets: list[float | None] = [None, None]  # added to (presentation, decode) stamps
        self._apart: float | None = None  # distance of the two offsets at the beginning
        self._jumped: float | None = None  # offset of the clock that the stamp before would begin
        self._anchor = -math.inf  # time of the last frame that was placed by its own stamp
        self._disorders = 0
        self._pending = 0  # frames since the last stamp that fitted
        self._gaps = self._restarts = self._wild = self._missing = 0

    @property
    def by_decoding(self) -> bool:
        """Whether decode stamps are used."""
        return self._source != _PRESENTATION

    @property
    def stamped(self) -> bool:
        """Whether any frame had a stamp."""
        return any(offset is not None for offset in self._offsets)

    @property
    def repairs(self) -> Repairs:
        """What was done up to here; missing stamps count only where some frame has one."""
        missing = self._missing if self.stamped else 0
        disordered = self._disordered or self._disorders > 0
        return Repairs(self._gaps, self._restarts, self._wild + self._pending, missing, disordered)

    def tick(self, presentation: float | None, decode: float | None) -> float:
        """The time of the next frame, in seconds of the file's own clock as it was at the first frame.

        Args:
            presentation: the frame's stamp in seconds, or None.
            decode: likewise, of the packet that completed it.
        """
        stamp, other = (presentation, decode) if self._source == _PRESENTATION else (decode, presentation)
        last, offset = self._last, self._offsets[self._source]
        if (
            last is not None
            and stamp is not None
            and offset is not None
            and self._jumped is None
            and 0 < stamp + offset - last <= GAP_SECONDS
        ):
            time = self._anchor = stamp + offset  # as nearly always
        else:
            time = self._time(stamp, other)
            stamp, other = (presentation, decode) if self._source == _PRESENTATION else (decode, presentation)
        if self.by_decoding and presentation is not None:
            self._disordered |= self._shown is not None and presentation < self._shown
            self._shown = presentation
        if last is not None:
            self._steps.append(time - last)
        self._last = time
        if other is not None:
            self._offsets[1 - self._source] = time - other
            if self._apart is None:
                self._apart = self._distance()
        return time

    def _time(self, stamp: float | None, other: float | None) -> float:
        if self._last is None:
            return self._first(stamp, other)
        usual = self._usual()
        bridged, others = self._last + usual, self._placed(other, 1 - self._source)
        if others is not None and not self.by_decoding and others - self._last <= _NEAR * usual:
            # Better than the usual distance. The other way round it is not: where stamps are out of order, the last
            # frames, which have no decode stamp, are no better.
            bridged = others
        if stamp is None:
            self._missing += self._source == _PRESENTATION or other is None
            return bridged
        offset = self._offsets[self._source]
        if offset is None:  # the first stamp of this kind
            self._offsets[self._source], self._anchor = bridged - stamp, bridged
            return bridged
        time = stamp + offset
        jumped = self._jumped is not None and self._follows(stamp + self._jumped)
        # A restart may by chance give stamps from before: then the new clock, which goes on, is believed.
        if self._follows(time) or (not jumped and self._anchor < time <= self._last):
            self._wild += self._pending
            self._jumped, self._pending, self._anchor = None, 0, time
            # Frames without a stamp that fits may have been given too much time.
            return time if time > self._last else self._last + usual / _NEAR
        if self._jumped is not None and jumped:
            self._gaps += self._jumped < offset
            self._restarts += self._jumped > offset
            self._wild += self._pending - 1  # the first stamp of the new clock was right
            time = self._anchor = stamp + self._jumped
            self._offsets[self._source], self._jumped, self._pending = self._jumped, None, 0
            return time
        if others is not None and time <= self._anchor and not self._other_jumped():
            # Stamps of this kind are not in the order of the frames, those of the other kind are.
            self._disorders += 1
            if self._disorders >= _DISORDERS:
                self._source, self._disordered = 1 - self._source, True
                self._jumped, self._pending, self._anchor, self._disorders = None, 0, others, 0
            return others
        self._jumped = bridged - stamp
        self._pending += 1
        return bridged

    def _first(self, stamp: float | None, other: float | None) -> float:
        if stamp is None and other is None:
            return 0.0
        if stamp is None:
            self._missing += self._source == _PRESENTATION
            assert other is not None
            return other
        self._offsets[self._source], self._anchor = 0.0, stamp
        return stamp

    def _placed(self, stamp: float | None, source: int) -> float | None:
        """The time that a stamp stands for, where it follows the frame before."""
        offset = self._offsets[source]
        if stamp is None or offset is None:
            return None
        return time if self._follows(time := stamp + offset) else None

    def _distance(self) -> float | None:
        shown, decoded = self._offsets
        return None if shown is None or decoded is None else abs(shown - decoded)

    def _other_jumped(self) -> bool:
        """Whether the stamps of the other kind have jumped just before: decoders look a few packets ahead."""
        now = self._distance()
        return self._apart is not None and now is not None and abs(now - self._apart) > GAP_SECONDS

    def _follows(self, time: float) -> bool:
        assert self._last is not None
        step = time - self._last
        return 0 < step <= GAP_SECONDS or 0 < step <= GAP * self._usual()

    def _usual(self) -> float:
        return statistics.median(self._steps)


def usual_distance(stamps: Iterable[float]) -> float | None:
    """Median distance between neighbouring time stamps, whatever their order; None where two are not to be had."""
    ordered = sorted(set(stamps))
    if len(ordered) < 2:
        return None
    return statistics.median(b - a for a, b in itertools.pairwise(ordered))


def is_steady(stamps: Sequence[float]) -> bool:
    """Whether packets' presentation stamps in seconds, in order of the file, are such that a `Clock` repairs none."""
    if len(stamps) < 2:
        return False
    values = np.asarray(stamps, np.float64)
    order = np.argsort(values, kind="stable")
    steps = np.diff(values[order])
    longest = max(GAP_SECONDS, GAP * float(np.median(steps)))
    displaced = int(np.abs(order - np.arange(len(order))).max())
    return bool((steps > 0).all() and (steps <= longest).all()) and displaced <= _REORDERED_AT_MOST
