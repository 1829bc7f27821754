"""Budgets with units, as people write them."""

from __future__ import annotations

import dataclasses
import math
import re

import numpy as np
import numpy.typing as npt

from searchspace.clip import Clip, ClipLike
from searchspace.cost import Cost
from searchspace.cost_tables import CostModel
from searchspace.decisions import Choices
from searchspace.form import Form
from searchspace.schema import show

# A time takes no prefix: milliseconds are a unit of their own, and not a million seconds.
_BUDGET = re.compile(
    r"(\d+(?:\.\d+)?(?:e\d+)?)\s*(?:(ms|s)|([kmgt]?)(flops|macs|params|bstate|b)?)(/frame)?", re.IGNORECASE
)
_SCALE = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
_QUANTITY = {
    **dict.fromkeys(("", "flops", "macs"), "macs"),
    "params": "params",
    "b": "activation_bytes",
    "bstate": "state_bytes",
}
_DIGITS = 4
FORMS = "600MFLOPs, 600M, 0.6G, 75MFLOPs/frame, 3Mparams, 64MB, 4MBstate"


@dataclasses.dataclass(frozen=True, slots=True)
class Budget:
    """What a network may cost.

    Attributes:
        quantity: one of `tables.QUANTITIES`; FLOPs mean multiply-accumulates, as in the papers.
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
        match = _BUDGET.fullmatch(text.strip()) if isinstance(text, str) and len(text) <= 40 else None
        if match is None:
            raise ValueError(f"budget {show(text)} cannot be read; write it like one of {FORMS}")
        number, time, prefix, unit, frame = match.groups()
        if time is not None:
            raise ValueError(f"budget {text!r} is a time, which needs a measured device; give MACs, such as 600MFLOPs")
        quantity = _QUANTITY[(unit or "").lower()]
        if frame and quantity != "macs":
            raise ValueError(f"budget {text!r}: only multiply-accumulates are counted per frame; drop '/frame'")
        amount = float(number) * _SCALE[prefix.lower()]
        if not 0 < amount < 1e18:
            raise ValueError(f"budget {text!r} is {amount:g}; it must be above 0 and below 1e18, such as 600MFLOPs")
        return cls(quantity, amount, bool(frame), text.strip())

    def of_form(self, form: Form) -> Budget:
        """The same budget for networks of a form.

        Where they run frame by frame, what is per frame limits one more frame, its dense layers included, and not a
        frame's share of a clip.

        Raises:
            ValueError: a budget on the state of networks that have none.
        """
        if form.causal:
            return dataclasses.replace(self, quantity="frame_macs", per_frame=False) if self.per_frame else self
        if self.quantity == "state_bytes":
            raise ValueError(
                f"budget {self.text!r} limits the state of networks that run frame by frame, these take whole clips; "
                "search their causal form with --stream"
            )
        return self

    def limit(self, clip: ClipLike) -> float:
        """The budget for one clip, in MACs, parameters or bytes."""
        return self.amount * Clip.of(clip).frames if self.per_frame else self.amount

    def of(self, cost: Cost) -> int:
        """The quantity of a cost that this budget limits."""
        return int(getattr(cost, self.quantity))

    def of_choices(self, model: CostModel, choices: Choices) -> npt.NDArray[np.int64]:
        """The quantity of each row of choices, int8 [N, D] -> int64 [N]."""
        return model.of(self.quantity, choices)

    def echo(self, clip: ClipLike) -> str:
        """The budget as it was understood, for people."""
        clip = Clip.of(clip)
        return f"{format_quantity(self.quantity, self.limit(clip))}" + (f" per clip {clip}" * (self.quantity == "macs"))


def format_quantity(quantity: str, value: float) -> str:
    """Renders a cost with its unit, in four digits: `607.3 M multiply-accumulates`, `3.126 M parameters`, `64.0 MB`.

    A budget that is typed as a cost was printed stands for that cost; see `as_printed`.
    """
    number, prefix = _digits(value)
    unit = {
        "macs": "multiply-accumulates",
        "frame_macs": "multiply-accumulates per frame",
        "params": "parameters",
        "activation_bytes": "B",
        "state_bytes": "B of state",
    }[quantity]
    return f"{number} {prefix}{unit}" if quantity.endswith("bytes") else f"{number} {prefix} {unit}".replace("  ", " ")


def as_printed(value: float) -> float:
    """The largest number that is printed as `value` is, and a rounding more."""
    return value if value < 1e3 else value + 0.5 * 10.0 ** (math.floor(math.log10(value)) + 1 - _DIGITS) * (1 + 1e-9)


def budget_text(quantity: str, value: float) -> str:
    """A cost as `Budget.parse` reads it, in four digits: `607.3M`, `3.126Mparams`, `64.0MB`, `75.0M/frame`."""
    number, prefix = _digits(value)
    unit = {"macs": "", "frame_macs": "", "params": "params", "activation_bytes": "B", "state_bytes": "Bstate"}
    return f"{number}{prefix}{unit[quantity]}" + "/frame" * (quantity == "frame_macs")


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
