"""The members of a family: a scaled space each, what they may cost, and a network brought to that cost."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from controller.repair import Repaired
from controller.selection import ABOVE, BELOW
from controller.window import Window
from scaling.coefficients import BASE_MEMBER, PUBLISHED, Coefficients
from scaling.map_choices import bring_to, map_choices
from scaling.spaces import scale
from searchspace import Budget, Choices, Space, cost, format_quantity, published, tabulate
from searchspace.schema import show

_NAME = re.compile(r"[aA](\d)")


def name_of(exponent: int) -> str:
    """`A2` for exponent 0."""
    return f"A{exponent + BASE_MEMBER}"


def parse_members(text: str) -> tuple[int, ...]:
    """Exponents of `A0:A5`, or of `A0,A2,A3`; A2 is exponent 0.

    Raises:
        ValueError: not of this form, twice the same, or a range that runs backwards.
    """
    names = re.split(r"[:,]", text) if isinstance(text, str) else []
    found = [_NAME.fullmatch(name.strip()) for name in names]
    exponents = [int(match.group(1)) - BASE_MEMBER for match in found if match is not None]
    if len(exponents) == 2 and ":" in text:
        exponents = list(range(exponents[0], exponents[1] + 1))
    twice = len(set(exponents)) != len(exponents)
    if not exponents or None in found or (":" in text and len(names) != 2) or twice:
        raise ValueError(f"members {show(text)}: write a range such as A0:A5, or names such as A0,A2; A2 is the base")
    return tuple(sorted(exponents))


@dataclasses.dataclass(frozen=True)
class Member:
    """One member of a family.

    Attributes:
        name: `A0` and so on.
        exponent: phi.
        space: the base space at this exponent.
        target: multiply-accumulates at the space's clip.
    """

    name: str
    exponent: int
    space: Space
    target: float

    def window(self) -> Window:
        """Costs that count as the target: -3 % to +1 %, as in a search."""
        return Window.around("macs", tabulate(self.space).macs, self.target, BELOW, ABOVE)

    def check(self) -> None:
        """Raises `ValueError` where the target is outside of what the networks of the space cost."""
        low, high = tabulate(self.space).bounds("macs")
        if not low <= self.target * (1 + ABOVE) or not self.target * (1 - BELOW) <= high:
            side = "below the cheapest" if self.target < low else "above the dearest"
            raise ValueError(
                f"member {self.name}: its target of {_amount(self.target)} is {side} network of its space, which holds "
                f"{_amount(low)} to {_amount(high)} at clip {self.space.clip}; give other --targets or --members, or "
                "another base"
            )


def members(
    space: Space, coefficients: Coefficients, exponents: Sequence[int], targets: Sequence[float]
) -> tuple[Member, ...]:
    """Scales a space to each exponent; see `Member.check` for whether the targets can be met.

    Raises:
        ValueError: a scaled space leaves what a space can hold.
    """
    return tuple(
        Member(name_of(e), e, scale(space, coefficients, e, f"-{name_of(e)}"), float(target))
        for e, target in zip(exponents, targets, strict=True)
    )


def check_scaled_by(budget: Budget) -> Budget:
    """The budget, where it limits what families are scaled by; raises `ValueError` for parameters or memory."""
    if budget.quantity != "macs":
        raise ValueError(f"budget {budget.text!r}: families are scaled by multiply-accumulates, such as 600MFLOPs")
    return budget


def targets(text: str | None, exponents: Sequence[int], base_macs: float, ratio: float) -> list[float]:
    """What each member should cost, in multiply-accumulates at its own clip.

    Args:
        text: None for `base_macs * ratio^exponent`; `published` for the base's cost times the published member's over
            the published A2's, each at its own clip; or amounts such as `150M,300M`, one a member.
        exponents: of the members, ascending.
        base_macs: cost of the base network.
        ratio: a step's factor.

    Raises:
        ValueError: an unreadable or missing amount, or a published member that does not exist.
    """
    if text is None:
        return [base_macs * ratio**exponent for exponent in exponents]
    if text == "published":
        names = [name_of(exponent).lower() for exponent in exponents]
        unknown = [name for name in names if name not in PUBLISHED]
        if unknown:
            raise ValueError(f"targets published: there is no published {unknown[0].upper()}; members are A0 to A5")
        base = cost(published(PUBLISHED[BASE_MEMBER])).macs
        return [base_macs * cost(published(name)).macs / base for name in names]
    budgets = [Budget.parse(part) for part in text.split(",")]
    other = [budget.text for budget in budgets if budget.quantity != "macs" or budget.per_frame]
    if other:
        raise ValueError(f"target {other[0]!r}: targets are multiply-accumulates per clip, such as 150M")
    if len(budgets) != len(exponents):
        names = [name_of(exponent) for exponent in exponents]
        raise ValueError(f"targets {show(text)}: {len(budgets)} given for {len(names)} members ({', '.join(names)})")
    return [budget.amount for budget in budgets]


def bring(choices: Choices, source: Space, exponent: int, member: Member, coefficients: Coefficients) -> Repaired:
    """Maps networks of one scaling into a member's space and repairs them to its cost; see `map_choices.bring_to`.

    Args:
        choices: of `source`, int8 [N, D].
        source: a scaling of the member's space.
        exponent: of `source`.
        member: where to.
        coefficients: of both.

    Returns:
        Choices of the member's space; `inside` says which rows met the cost.
    """
    ratio = coefficients.depth ** (member.exponent - exponent)
    mapped = map_choices(choices, source, member.space, ratio)
    return bring_to(member.space, mapped, member.window())


def _amount(macs: float) -> str:
    return format_quantity("macs", macs)
