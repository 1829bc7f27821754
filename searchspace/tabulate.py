"""The closed form of `cost.py` tabulated over a space, and the cheapest and dearest network that it holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from searchspace.architecture import Layer
from searchspace.clip import Clip, ClipLike
from searchspace.cost import halve, head_cost, layer_cost, stem_cost
from searchspace.decisions import Choices
from searchspace.form import Form
from searchspace.tables import QUANTITIES, CostModel, Term

if TYPE_CHECKING:
    from searchspace.space import BlockSpace, Space

Table = npt.NDArray[np.int64]
MAX_COST = 2**62  # sums of terms are int64


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
        terms = {name: list(_terms(space, q, tables, stem, head)) for q, name in enumerate(QUANTITIES)}
        super().__init__(space.decisions, terms)

    def extreme(self, quantity: str, dearest: bool) -> Choices:
        """The cheapest or dearest network, exactly, by dynamic programming over the blocks' widths.

        Args:
            quantity: one of `tables.QUANTITIES`.
            dearest: the most expensive instead of the cheapest.

        Returns:
            Its canonical choices, int8 [D].
        """
        q = QUANTITIES.index(quantity)
        combine = np.maximum if quantity == "activation_bytes" else np.add
        best = np.max if dearest else np.min
        arg = np.argmax if dearest else np.argmin
        # reached[w]: best cost up to a block that ends at width w, and the rows of choices that lead there.
        reached: Table = self._stem[q].reshape(1)
        rows: list[list[int]] = [[]]
        for block, (first, rest) in zip(self._space.blocks, self._tables, strict=True):
            flat_first = first[q].reshape(*first[q].shape[:2], -1)
            flat_rest = rest[q].reshape(len(block.widths), -1)
            inner = best(flat_rest, axis=1)
            sizes = first[q].shape[2:]
            cost = np.empty((len(reached), len(block.widths)), dtype=np.int64)
            depth_choice = np.empty_like(cost)
            for w in range(len(block.widths)):
                repeats = np.array(block.depths, dtype=np.int64) - 1
                more = inner[w] * (repeats > 0) if quantity == "activation_bytes" else inner[w] * repeats
                entry = combine(reached, best(flat_first[:, w], axis=1))
                options = combine(entry[:, None], more[None, :])
                depth_choice[:, w], cost[:, w] = arg(options, axis=1), best(options, axis=1)
            origin = arg(cost, axis=0)
            new_rows = []
            for w, p in enumerate(origin):
                depth = int(depth_choice[p, w])
                layers = [_unravel(int(arg(flat_first[p, w])), sizes)]
                layers += [_unravel(int(arg(flat_rest[w])), sizes)] * (block.depths[depth] - 1)
                layers += [[0, 0, 0]] * (block.depths[-1] - len(layers))
                new_rows.append([*rows[p], w, depth, *(c for layer in layers for c in layer)])
            reached, rows = best(cost, axis=0), new_rows
        final = combine(reached[:, None], self._head[q])
        last, chosen = _unravel(int(arg(final)), final.shape)
        return self.decisions.canonical(np.array([*rows[last], chosen], dtype=np.int8))

    def bounds(self, quantity: str) -> tuple[int, int]:
        """Least and greatest cost of the space."""
        rows = np.stack([self.extreme(quantity, dearest) for dearest in (False, True)])
        low, high = self.of(quantity, rows)
        return int(low), int(high)


def _unravel(flat: int, shape: tuple[int, ...]) -> list[int]:
    return [int(index) for index in np.unravel_index(flat, shape)]


def tabulate(space: Space, clip: ClipLike) -> SpaceCosts:
    """Costs of every layer that a space offers, at a clip shape.

    Tables have axes [quantity, width in, width out, kernel, expansion, se] for a block's first layer, and without
    the width in for the others, which are all alike.

    Raises:
        ValueError: the dearest network costs more than 64 bits can count.
    """
    clip = Clip.of(clip)
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
    head = np.array([[[getattr(one, q) for one in row] for row in heads] for q in QUANTITIES], dtype=np.int64)
    most = int(head[0].max())
    for block, (first, rest) in zip(space.blocks, tables, strict=True):
        most += int(first[0].max()) + (block.depths[-1] - 1) * int(rest[0].max())
    if most > MAX_COST:
        raise ValueError(f"space {space.name!r} at clip {clip} holds networks of {most:.1e} MACs; give a smaller clip")
    return SpaceCosts(space, clip, tables, np.array([getattr(stem, q) for q in QUANTITIES], dtype=np.int64), head)


def _layer_table(
    block: BlockSpace, before: Sequence[int], stride: int, clip: Clip, height: int, width: int, form: Form
) -> Table:
    shape = (len(before), len(block.widths), len(block.kernels), len(block.expansions), len(block.squeezes))
    table = np.empty((len(QUANTITIES), *shape), dtype=np.int64)
    for index in np.ndindex(*shape):
        i, o, k, e, s = index
        expand = block.expansions[e]
        layer = Layer(block.kernels[k], stride, expand, form.squeeze_width(expand) if block.squeezes[s] else 0)
        result = layer_cost(layer, before[i], block.widths[o], clip, height, width, form)
        table[(slice(None), *index)] = [getattr(result, quantity) for quantity in QUANTITIES]
    return table


def _terms(space: Space, q: int, tables: list[tuple[Table, Table]], stem: Table, head: Table) -> Iterator[Term]:
    index = space.decisions.index
    yield Term((), stem[q])
    previous: int | None = None
    for b, (block, (first, rest)) in enumerate(zip(space.blocks, tables, strict=True)):
        width = index(f"blocks/{b}/width")
        for layer in range(block.depths[-1]):
            kernel = index(f"blocks/{b}/layers/{layer}/kernel")
            inner = (width, kernel, kernel + 1, kernel + 2)
            if layer == 0:
                yield Term(inner, first[q][0]) if previous is None else Term((previous, *inner), first[q])
            else:
                condition = space.decisions.conditions[kernel]
                yield Term(inner, rest[q], condition)
        previous = width
    assert previous is not None
    yield Term((previous, index("head/width")), head[q])
