"""Cost of many architectures at once: the closed form, tabulated over the choices that each term depends on.

A cost is a sum (MACs, parameters) or a maximum (peak memory) of terms, each of which depends on a few decisions and
may act only from some depth on. The same structure gives the exact expectation under independent categoricals.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from searchspace.decisions import Choices, Decisions, Probabilities

QUANTITIES = ("macs", "params", "activation_bytes", "state_bytes", "frame_macs")


@dataclasses.dataclass(frozen=True)
class Term:
    """One table of costs.

    Attributes:
        decisions: indices of the decisions that the table's axes stand for, in order.
        table: int64, one axis a decision.
        gate: None, or (index of a decision, least choice): the term is 0 below it.
    """

    decisions: tuple[int, ...]
    table: npt.NDArray[np.int64]
    gate: tuple[int, int] | None = None

    @functools.cached_property
    def fronted(self) -> tuple[npt.NDArray[np.float64], ...]:
        """The table as float64, once for each axis, which comes first; expectations are asked for by the thousand."""
        table = self.table.astype(np.float64)
        return tuple(np.moveaxis(table, axis, 0) for axis in range(table.ndim))


class CostModel:
    """Exact costs of rows of choices, in one pass.

    Args:
        decisions: the space's decisions.
        terms: for each quantity its terms; `activation_bytes` is their maximum, the others are sums.
    """

    def __init__(self, decisions: Decisions, terms: Mapping[str, Sequence[Term]]) -> None:
        self.decisions = decisions
        self.terms = terms

    def macs(self, choices: Choices) -> npt.NDArray[np.int64]:
        """Multiply-accumulates per clip of each row, int8 [N, D] -> int64 [N]."""
        return self.of("macs", choices)

    def params(self, choices: Choices) -> npt.NDArray[np.int64]:
        """Trainable parameters of each row, int8 [N, D] -> int64 [N]."""
        return self.of("params", choices)

    def activation_bytes(self, choices: Choices) -> npt.NDArray[np.int64]:
        """Peak activation bytes of each row, int8 [N, D] -> int64 [N]."""
        return self.of("activation_bytes", choices)

    def of(self, quantity: str, choices: Choices) -> npt.NDArray[np.int64]:
        """Any quantity of each row, int8 [N, D] -> int64 [N]."""
        if choices.ndim != 2 or choices.shape[1] != len(self.decisions):
            raise ValueError(f"choices have shape {choices.shape}; they must be [N, {len(self.decisions)}]")
        columns = np.ascontiguousarray(choices.T).astype(np.int32)
        total = np.zeros(len(choices), dtype=np.int64)
        combine = np.maximum if quantity == "activation_bytes" else np.add
        for term in self.terms[quantity]:
            flat = np.zeros(len(choices), dtype=np.int32)
            for axis, decision in enumerate(term.decisions):
                flat *= term.table.shape[axis]
                flat += columns[decision]
            value = term.table.ravel()[flat]
            if term.gate is not None:
                value *= columns[term.gate[0]] >= term.gate[1]
            combine(total, value, out=total)
        return total

    def expected(self, quantity: str, probabilities: Probabilities) -> tuple[float, list[npt.NDArray[np.float64]]]:
        """Expectation under independent categoricals, exactly.

        Args:
            quantity: any of `QUANTITIES` but `"activation_bytes"`; a maximum has no such closed form.
            probabilities: one vector a decision.

        Returns:
            The expected cost, and for each decision the expected cost given each of its values.

        Raises:
            ValueError: the quantity is a maximum.
        """
        if quantity == "activation_bytes":
            raise ValueError("peak memory is a maximum over layers: its expectation has no closed form; use MACs")
        total = 0.0
        conditional = [np.zeros(len(vector)) for vector in probabilities]
        for term in self.terms[quantity]:
            partial = [(d, _marginal(term, axis, probabilities)) for axis, d in enumerate(term.decisions)]
            value = float(partial[0][1] @ probabilities[partial[0][0]]) if partial else float(term.table)
            open_gate = 1.0
            if term.gate is not None:
                gate, least = term.gate
                open_gate = float(np.sum(probabilities[gate][least:]))
                from_depth = np.where(np.arange(len(probabilities[gate])) >= least, value, 0.0)
                partial = [(d, vector * open_gate) for d, vector in partial] + [(gate, from_depth)]
            value *= open_gate
            total += value
            for d, vector in partial:
                conditional[d] += vector - value
        return total, [vector + total for vector in conditional]


def _marginal(term: Term, axis: int, probabilities: Probabilities) -> npt.NDArray[np.float64]:
    """The table averaged over all axes but one."""
    result = term.fronted[axis]
    for d in reversed([d for i, d in enumerate(term.decisions) if i != axis]):
        result = result @ probabilities[d]
    return result
