"""Budgets with units, as people write them."""

from __future__ import annotations

import dataclasses
import math
import re

import numpy as np
import numpy.typing as npt

from searchspace.clip import Clip, ClipLike
from searchspace.cost_tables import CostModel
from searchspace.decisions import Choices
from searchspace.form import Form
from searchspace.quantities import MACS, QUANTITIES, Cost, Quantity
from searchspace.quantities import quantity as quantity_of
from searchspace.schema import show

_NUMBER = re.compile(r"(\d+(?:\.\d+)?(?:e\d+)?)\s*([a-z]*)(/frame)?", re.IGNORECASE)
_SCALE = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
_DIGITS = 4
FORMS = "600MFLOPs, 600M, 0.6G, 75MFLOPs/frame, 3Mparams, 64MB, 4MBstate"


@dataclasses.dataclass(frozen=True, slots=True)
class Budget:
    """What a network may cost.

    Attributes:
        quantity: name of a row of `searchspace.quantities`.
        amount: the number, in single units, per clip or per frame.
        per_frame: whether `amount` is for one frame of the clip.
        text: as it was written.
    """

    quantity: str
    amount: float
    per_frame: bool
    text: str

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Reads `600MFLOPs`, `600M`, `0.6G`, `75MFLOPs/frame`, `3Mparams`, `64MB` or `4MBstate` (1 MB = 10^6 bytes).

        Raises:
            ValueError: not of this form, zero, or a time (which needs a measured device).
        """
        match = _NUMBER.fullmatch(text.strip()) if isinstance(text, str) and len(text) <= 40 else None
        found = None if match is None else _unit(match.group(2).lower())
        if match is None or found is None:
            raise ValueError(f"budget {show(text)} cannot be read; write it like one of {_forms()}")
        (number, _, frame), (row, scale) = match.groups(), found
        if row.of is None and row.count is None:
            raise ValueError(
                f"budget {text!r} is a {row.words}, which needs a measured device; give MACs, such as 600MFLOPs"
            )
        if frame and _of_one_frame(row) is None:
            raise ValueError(f"budget {text!r}: only {MACS.words} are counted per frame; drop '/frame'")
        amount = float(number) * scale
        if not 0 < amount < 1e18:
            raise ValueError(f"budget {text!r} is {amount:g}; it must be above 0 and below 1e18, such as 600MFLOPs")
        return cls(row.name, amount, bool(frame), text.strip())

    @property
    def row(self) -> Quantity:
        """What is limited."""
        return quantity_of(self.quantity)

    def of_form(self, form: Form) -> Budget:
        """The same budget for networks of a form.

        Where they run frame by frame, what is per frame limits one more frame, its dense layers included, and not a
        frame's share of a clip.

        Raises:
            ValueError: a budget on what only networks have that run frame by frame, for others.
        """
        if form.causal:
            frame = _of_one_frame(self.row)
            if not self.per_frame or frame is None:
                return self
            return dataclasses.replace(self, quantity=frame.name, per_frame=False)
        if self.row.causal:
            raise ValueError(
                f"budget {self.text!r} limits the {self.row.words} of networks that run frame by frame, these take "
                "whole clips; search their causal form with --stream"
            )
        return self

    def limit(self, clip: ClipLike) -> float:
        """The budget for one clip, in MACs, parameters or bytes."""
        return self.amount * Clip.of(clip).frames if self.per_frame else self.amount

    def of(self, cost: Cost) -> int:
        """The quantity of a cost that this budget limits."""
        return self.row.amount(cost)

    def of_choices(self, model: CostModel, choices: Choices) -> npt.NDArray[np.int64]:
        """The quantity of each row of choices, int8 [N, D] -> int64 [N]."""
        return model.of(self.quantity, choices)

    def echo(self, clip: ClipLike) -> str:
        """The budget as it was understood, for people."""
        clip = Clip.of(clip)
        return f"{format_quantity(self.quantity, self.limit(clip))}" + f" per clip {clip}" * self.row.per_clip


def format_quantity(quantity: str, value: float) -> str:
    """Renders a cost with its unit, in four digits: `607.3 M multiply-accumulates`, `3.126 M parameters`, `64.0 MB`.

    A budget that is typed as a cost was printed stands for that cost; see `as_printed`.
    """
    row = quantity_of(quantity)
    if not row.prefixes:
        unit, scale = _largest(row, value)
        return f"{value / scale:.{_DIGITS}g} {unit}"
    number, prefix = _digits(value)
    return f"{number} {prefix}{row.unit}".replace("  ", " ")


def as_printed(value: float) -> float:
    """The largest number that is printed as `value` is, and a rounding more."""
    return value if value < 1e3 else value + 0.5 * 10.0 ** (math.floor(math.log10(value)) + 1 - _DIGITS) * (1 + 1e-9)


def budget_text(quantity: str, value: float) -> str:
    """A cost as `Budget.parse` reads it, in four digits: `607.3M`, `3.126Mparams`, `64.0MB`, `75.0M/frame`."""
    row = quantity_of(quantity)
    written = quantity_of(row.frame_of) if row.frame_of else row
    if not written.prefixes:
        unit, scale = _largest(written, value)
        return f"{value / scale:.{_DIGITS}g}{unit}"
    number, prefix = _digits(value)
    return f"{number}{prefix}{next(iter(written.spellings))}" + "/frame" * bool(row.frame_of)


def _unit(text: str) -> tuple[Quantity, float] | None:
    """The quantity of a unit, and what the number is multiplied by; None where no quantity is written so."""
    for row in QUANTITIES.values():
        for prefix, scale in (_SCALE if row.prefixes else {"": 1.0}).items():
            for spelling, unit in row.spellings.items():
                if text == prefix + spelling.lower():
                    return row, scale * unit
    return None


def _of_one_frame(row: Quantity) -> Quantity | None:
    return next((other for other in QUANTITIES.values() if other.frame_of == row.name), None)


def _largest(row: Quantity, value: float) -> tuple[str, float]:
    """The largest unit of which there is one at least, else the smallest."""
    units = sorted(row.spellings.items(), key=lambda item: -item[1])
    return next((unit for unit in units if value >= unit[1]), units[-1])


def _forms() -> str:
    """What budgets look like, with an example of each quantity that was registered."""
    more = [budget_text(row.name, 3e6) for row in QUANTITIES.values() if row.count is not None and row.spellings]
    return ", ".join([FORMS, *more])


def _digits(value: float) -> tuple[str, str]:
    """A number in four digits, zeros at its end left out but one, and the prefix of its unit."""
    prefixes = (("G", 1e9), ("M", 1e6), ("k", 1e3))
    prefix, scale = next(((p, s) for p, s in prefixes if value >= s * (1 - 0.5 * 10.0**-_DIGITS)), ("", 1.0))
    if not prefix:
        return f"{value:.0f}", ""
    whole = len(str(int(value / scale)))
    number = f"{value / scale:.{max(1, _DIGITS - whole)}f}"
    short = number.rstrip("0")
    return short + "0" * short.endswith("."), prefix
