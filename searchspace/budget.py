"""Budgets with units, as people write them."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import numpy.typing as npt

from searchspace.clip import Clip, ClipLike
from searchspace.cost import Cost
from searchspace.decisions import Choices
from searchspace.form import Form
from searchspace.schema import show
from searchspace.tables import CostModel

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
    """Renders a cost with its unit: `600.0 M multiply-accumulates`, `5.2 M parameters`, `64.0 MB`."""
    prefix, scale = next(((p, s) for p, s in (("G", 1e9), ("M", 1e6), ("k", 1e3)) if value >= s), ("", 1.0))
    number = f"{value / scale:.1f} {prefix}" if prefix else f"{value:.0f} "
    unit = {
        "macs": "multiply-accumulates",
        "frame_macs": "multiply-accumulates per frame",
        "params": "parameters",
        "activation_bytes": "B",
        "state_bytes": "B of state",
    }[quantity]
    return f"{number}{unit}" if quantity.endswith("bytes") else f"{number.strip()} {unit}"
