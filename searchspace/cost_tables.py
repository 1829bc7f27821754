"""Cost of many architectures at once: the closed form of `cost.py`, tabulated over the choices of each term.

A cost is a sum (MACs, parameters) or a maximum (peak memory) of terms, each of which depends on a few decisions and
may act only from some depth on. The same structure gives the exact expectation under independent categoricals, and
the cheapest and the most expensive network of a space.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from searchspace.clip import Clip, ClipLike
from searchspace.cost import halve, head_cost, layer_cost, stem_cost
from searchspace.decisions import Choices, Decisions, Probabilities
from searchspace.form import Form
from searchspace.layer_choices import LAYER_CHOICES, layer_of
from searchspace.quantities import QUANTITIES, Cost, counted_names, quantity
from searchspace.space import HEAD, BlockSpace, Space

Table = npt.NDArray[np.int64]
MAX_COST = 2**62  # sums of terms are int64


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
        terms: for each quantity, by name, its terms; their sum or their maximum, as the quantity's row says.
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

    def of(self, name: str, choices: Choices) -> npt.NDArray[np.int64]:
        """Any quantity of each row, by name, int8 [N, D] -> int64 [N]."""
        if choices.ndim != 2 or choices.shape[1] != len(self.decisions):
            raise ValueError(f"choices have shape {choices.shape}; they must be [N, {len(self.decisions)}]")
        columns = np.ascontiguousarray(choices.T).astype(np.int32)
        total = np.zeros(len(choices), dtype=np.int64)
        combine = np.maximum if quantity(name).maximum else np.add
        for term in self.terms[name]:
            flat = np.zeros(len(choices), dtype=np.int32)
            for axis, decision in enumerate(term.decisions):
                flat *= term.table.shape[axis]
                flat += columns[decision]
            value = term.table.ravel()[flat]
            if term.gate is not None:
                value *= columns[term.gate[0]] >= term.gate[1]
            combine(total, value, out=total)
        return total

    def expected(self, name: str, probabilities: Probabilities) -> tuple[float, list[npt.NDArray[np.float64]]]:
        """Expectation under independent categoricals, exactly.

        Args:
            name: of a quantity that is a sum; a maximum has no such closed form.
            probabilities: one vector a decision.

        Returns:
            The expected cost, and for each decision the expected cost given each of its values.

        Raises:
            ValueError: the quantity is a maximum.
        """
        if quantity(name).maximum:
            raise ValueError(
                f"{quantity(name).words} is a maximum over layers: its expectation has no closed form; use MACs"
            )
        total = 0.0
        conditional = [np.zeros(len(vector)) for vector in probabilities]
        for term in self.terms[name]:
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


class SpaceCosts(CostModel):
    """A space's cost model, which also knows the extremes.

    Attributes:
        clip: the shape that is counted.
    """

    def __init__(
        self, space: Space, clip: ClipLike, tables: list[tuple[Table, Table]], stem: Table, head: Table
    ) -> None:
        self.clip = Clip.of(clip)
        self._space, self._tables, self._stem, self._head = space, tables, stem, head
        self._names = counted_names()
        terms = {name: list(_terms(space, q, tables, stem, head)) for q, name in enumerate(self._names)}
        super().__init__(space.decisions, terms)

    def extreme(self, name: str, most: bool) -> Choices:
        """The cheapest or the most expensive network, exactly, by dynamic programming over the blocks' widths.

        Args:
            name: of a quantity.
            most: the most expensive instead of the cheapest.

        Returns:
            Its canonical choices, int8 [D].
        """
        q, maximum = self._names.index(name), quantity(name).maximum
        combine = np.maximum if maximum else np.add
        best = np.max if most else np.min
        arg = np.argmax if most else np.argmin
        # reached[w]: best cost up to a block that ends at width w, and the rows of choices that lead there.
        reached: Table = self._stem[q].reshape(1)
        rows: list[dict[int, int]] = [{}]  # choices by the position of their decision
        at = self.decisions.at
        for b, (block, (first, rest)) in enumerate(zip(self._space.blocks, self._tables, strict=True)):
            flat_first = first[q].reshape(*first[q].shape[:2], -1)
            flat_rest = rest[q].reshape(len(block.widths), -1)
            inner = best(flat_rest, axis=1)
            sizes = first[q].shape[2:]
            cost = np.empty((len(reached), len(block.widths)), dtype=np.int64)
            depth_choice = np.empty_like(cost)
            for w in range(len(block.widths)):
                repeats = np.array(block.depths, dtype=np.int64) - 1
                more = inner[w] * (repeats > 0) if maximum else inner[w] * repeats
                entry = combine(reached, best(flat_first[:, w], axis=1))
                options = combine(entry[:, None], more[None, :])
                depth_choice[:, w], cost[:, w] = arg(options, axis=1), best(options, axis=1)
            origin = arg(cost, axis=0)
            new_rows = []
            for w, p in enumerate(origin):
                depth = int(depth_choice[p, w])
                row = {**rows[p], at("width", b): w, at("depth", b): depth}
                layers = [_unravel(int(arg(flat_first[p, w])), sizes)]
                layers += [_unravel(int(arg(flat_rest[w])), sizes)] * (block.depths[depth] - 1)
                for index, chosen in enumerate(layers):
                    row |= {at(choice.kind, b, index): c for choice, c in zip(LAYER_CHOICES, chosen, strict=True)}
                new_rows.append(row)
            reached, rows = best(cost, axis=0), new_rows
        final = combine(reached[:, None], self._head[q])
        last, head = _unravel(int(arg(final)), final.shape)
        result = np.zeros(len(self.decisions), dtype=np.int8)
        for position, c in {**rows[last], at(HEAD): head}.items():
            result[position] = c
        return self.decisions.canonical(result)

    def bounds(self, name: str) -> tuple[int, int]:
        """Least and greatest amount of a quantity in the space."""
        rows = np.stack([self.extreme(name, most) for most in (False, True)])
        low, high = self.of(name, rows)
        return int(low), int(high)


def _unravel(flat: int, shape: tuple[int, ...]) -> list[int]:
    return [int(index) for index in np.unravel_index(flat, shape)]


def tabulate(space: Space, clip: ClipLike | None = None) -> SpaceCosts:
    """Costs of all networks of a space at a clip shape, by default the space's own; built once per shape.

    Raises:
        ValueError: the most expensive network costs more than 64 bits can count.
    """
    return _tabulate(space, space.clip if clip is None else Clip.of(clip), counted_names())


@functools.lru_cache(maxsize=64)
def _tabulate(space: Space, clip: Clip, names: tuple[str, ...]) -> SpaceCosts:
    """Tables have axes [quantity, width in, width out, one of each layer choice] for a block's first layer, and without
    the width in for the others, which are all alike."""
    height, width = halve(clip.height, 2), halve(clip.width, 2)
    before: Sequence[int] = (space.stem.width,)
    tables = []
    for block in space.blocks:
        first = _layer_table(block, before, block.stride, clip, height, width, space.form)
        height, width = halve(height, block.stride), halve(width, block.stride)
        square = _layer_table(block, block.widths, 1, clip, height, width, space.form)
        rest = np.stack([square[:, w, w] for w in range(len(block.widths))], axis=1)
        tables.append((first, rest))
        before = block.widths
    stem = stem_cost(space.stem.width, space.stem.kernel, clip, space.form)
    heads = [
        [head_cost(w, h, space.hidden, space.classes, clip, height, width, space.form) for h in space.heads]
        for w in before
    ]
    head = np.moveaxis(np.array([[_amounts(one) for one in row] for row in heads], dtype=np.int64), -1, 0)
    for q, name in enumerate(names):
        most = int(head[q].max())
        for block, (first, rest) in zip(space.blocks, tables, strict=True):
            most += int(first[q].max()) + (block.depths[-1] - 1) * int(rest[q].max())
        if most > MAX_COST:
            words = quantity(name).words
            raise ValueError(f"space {space.name!r} at clip {clip} holds {most:.1e} {words}; give a smaller clip")
    return SpaceCosts(space, clip, tables, np.array(_amounts(stem), dtype=np.int64), head)


def _amounts(cost: Cost) -> list[int]:
    return [QUANTITIES[name].amount(cost) for name in counted_names()]


def _layer_table(
    block: BlockSpace, before: Sequence[int], stride: int, clip: Clip, height: int, width: int, form: Form
) -> Table:
    sizes = [len(values) for values in block.layer]
    table = np.empty((len(counted_names()), len(before), len(block.widths), *sizes), dtype=np.int64)
    for chosen in np.ndindex(*sizes):
        layer = layer_of([values[c] for values, c in zip(block.layer, chosen, strict=True)], stride, form)
        for i, o in np.ndindex(len(before), len(block.widths)):
            result = layer_cost(layer, before[i], block.widths[o], clip, height, width, form)
            table[(slice(None), i, o, *chosen)] = _amounts(result)
    return table


def _terms(space: Space, q: int, tables: list[tuple[Table, Table]], stem: Table, head: Table) -> Iterator[Term]:
    at = space.decisions.at
    yield Term((), stem[q])
    previous: int | None = None
    for b, (block, (first, rest)) in enumerate(zip(space.blocks, tables, strict=True)):
        width = at("width", b)
        for layer in range(block.depths[-1]):
            own = [at(choice.kind, b, layer) for choice in LAYER_CHOICES]
            inner = (width, *own)
            if layer == 0:
                yield Term(inner, first[q][0]) if previous is None else Term((previous, *inner), first[q])
            else:
                yield Term(inner, rest[q], space.decisions.conditions[own[0]])
        previous = width
    assert previous is not None
    yield Term((previous, at(HEAD)), head[q])
