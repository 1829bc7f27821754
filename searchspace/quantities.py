"""What a network costs, a row each: its unit, how budgets write it, and whether parts add up or the largest counts.

Budgets, tables of costs, reports and pictures read the rows of `QUANTITIES`. A further quantity is a `Quantity` with a
`count`, given to `register` before anything is counted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from searchspace.clip import Clip
from searchspace.form import BASE, Form
from searchspace.plugins import brought
from searchspace.schema import nearest


@dataclasses.dataclass(frozen=True, slots=True)
class Cost:
    """Cost of one architecture, or of a part of one, on one clip.

    Attributes:
        macs: multiply-accumulates per clip.
        params: trainable parameters.
        activation_bytes: peak of live float32 activations for one clip.
        state_bytes: memory carried from frame to frame; 0 for a network that does not stream.
        frame_macs: multiply-accumulates of one more frame; 0 for a network that does not stream.
        clip: the clip that was counted.
        more: quantities that were registered, (name, amount) each.
    """

    macs: int
    params: int
    activation_bytes: int
    state_bytes: int
    frame_macs: int
    clip: Clip
    more: tuple[tuple[str, int], ...] = ()

    @property
    def macs_per_frame(self) -> float:
        """MACs of one more frame, or those of the clip divided by its frames where the network does not stream."""
        return self.frame_macs or self.macs / self.clip.frames

    def __add__(self, other: Cost) -> Cost:
        """Cost of two parts that run one after the other: sums, and the larger peak."""
        more = tuple((name, QUANTITIES[name].joined(dict(self.more)[name], amount)) for name, amount in other.more)
        return Cost(
            self.macs + other.macs,
            self.params + other.params,
            max(self.activation_bytes, other.activation_bytes),
            self.state_bytes + other.state_bytes,
            self.frame_macs + other.frame_macs,
            self.clip,
            more,
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """One part of a network where it is counted.

    Attributes:
        what: a stem, a layer or a head of a MoViNet; whatever another family is made of, which says itself as text.
        in_width, out_width: channels; of a head, what its pointwise convolution takes and gives.
        clip: that the network sees.
        height, width: of the map that comes in.
        form: how the network computes.
        classes: outputs of the classifier, of a head.
        name: where it stands, such as `stem` or `2.1`: block and layer, from one.
    """

    what: object
    in_width: int
    out_width: int
    clip: Clip
    height: int
    width: int
    form: Form = BASE
    classes: int = 0
    name: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quantity:
    """A row.

    Attributes:
        name: in files, such as `macs`.
        words: for people, such as `multiply-accumulates`.
        unit: behind a printed number and its prefix: `B`, or words with a blank before them.
        axis: label of an axis.
        spellings: units of budgets, in any case, to single units; the first one is printed.
        prefixes: whether budgets put k, M, G or T before the unit.
        maximum: the largest part counts; else parts add up.
        causal: only networks that run frame by frame have it.
        per_clip: it depends on the clip's shape, which messages then name.
        frame_of: name of the quantity that this one is for one more frame of a causal network.
        of: reads it off a cost; None where it takes a table of a device that was not given.
        count: of a registered quantity, from a part and what else that costs; whole numbers.
    """

    name: str
    words: str
    unit: str
    axis: str
    spellings: Mapping[str, float] = dataclasses.field(default_factory=dict)
    prefixes: bool = True
    maximum: bool = False
    causal: bool = False
    per_clip: bool = False
    frame_of: str | None = None
    of: Callable[[Cost], int] | None = None
    count: Callable[[Part, Cost], int] | None = None

    def joined(self, one: int, other: int) -> int:
        """The quantity of two parts together."""
        return max(one, other) if self.maximum else one + other

    def amount(self, cost: Cost) -> int:
        """The quantity of a cost, in single units."""
        if self.count is not None:
            return dict(cost.more)[self.name]
        assert self.of is not None, f"{self.name} is not counted"
        return self.of(cost)


MACS = Quantity(
    name="macs",
    words="multiply-accumulates",
    unit=" multiply-accumulates",
    axis="multiply-accumulates per clip",
    spellings={"": 1, "FLOPs": 1, "MACs": 1},  # FLOPs mean multiply-accumulates, as in the papers
    per_clip=True,
    of=lambda cost: cost.macs,
)
PARAMS = Quantity(
    name="params",
    words="parameters",
    unit=" parameters",
    axis="trainable parameters",
    spellings={"params": 1},
    of=lambda cost: cost.params,
)
ACTIVATIONS = Quantity(
    name="activation_bytes",
    words="activation memory",
    unit="B",
    axis="bytes of activations at their peak",
    spellings={"B": 1},
    maximum=True,
    of=lambda cost: cost.activation_bytes,
)
STATE = Quantity(
    name="state_bytes",
    words="state",
    unit="B of state",
    axis="bytes of state of a stream",
    spellings={"Bstate": 1},
    causal=True,
    of=lambda cost: cost.state_bytes,
)
FRAME_MACS = Quantity(
    name="frame_macs",
    words="multiply-accumulates per frame",
    unit=" multiply-accumulates per frame",
    axis="multiply-accumulates per frame",
    causal=True,
    frame_of="macs",
    of=lambda cost: cost.frame_macs,
)
LATENCY = Quantity(
    name="latency_ns",
    words="time",
    unit="s",
    axis="time on the device",
    spellings={"ms": 1e6, "s": 1e9, "us": 1e3},  # no prefix: 20ms are milliseconds, not millions of seconds
    prefixes=False,
)
QUANTITIES: dict[str, Quantity] = {row.name: row for row in (MACS, PARAMS, ACTIVATIONS, STATE, FRAME_MACS, LATENCY)}


def register(row: Quantity) -> Quantity:
    """Adds a quantity that is counted part by part.

    Raises:
        ValueError: the name or a spelling is taken, or there is no count.
    """
    if row.count is None or row.of is not None:
        raise ValueError(f"quantity {row.name!r}: give count, which counts one part, and not of")
    taken = {spelling.lower(): other.name for other in QUANTITIES.values() for spelling in other.spellings}
    again = [spelling.lower() for spelling in row.spellings if spelling.lower() in taken]
    if row.name in QUANTITIES or again:
        what = f"unit {again[0]!r} is that of {taken[again[0]]}" if again else "there is one of this name"
        raise ValueError(f"quantity {row.name!r}: {what}; give another")
    QUANTITIES[row.name] = row
    brought("quantity", row.name)
    return row


def quantity(name: str) -> Quantity:
    """A row by its name; raises `ValueError` for one that is not known, with the nearest."""
    if name not in QUANTITIES:
        raise ValueError(f"quantity {name!r} is not known{nearest(name, QUANTITIES)}; known: {', '.join(QUANTITIES)}")
    return QUANTITIES[name]


def counted_names() -> tuple[str, ...]:
    """Names of the quantities that every network has, in order: all but those that need a table that is not given."""
    return tuple(row.name for row in QUANTITIES.values() if row.of is not None or row.count is not None)


def count_more(part: Part, cost: Cost) -> Cost:
    """The cost of a part with the quantities that were registered."""
    rows = [row for row in QUANTITIES.values() if row.count is not None]
    if not rows:
        return cost
    return dataclasses.replace(cost, more=tuple((row.name, row.count(part, cost)) for row in rows if row.count))
