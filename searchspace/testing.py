"""What every quantity must do, for tests of one's own: inherit `QuantityConformance`, set `row`, and run pytest."""

from __future__ import annotations

import dataclasses

import numpy as np

import searchspace
from searchspace import Budget, Clip, Ensemble, Member, SpaceCosts, cost, format_quantity, published, tabulate
from searchspace.budget import budget_text
from searchspace.quantities import QUANTITIES, Quantity


class QuantityConformance:
    """A quantity is the same counted alone, by parts, in tables and in expectation, and budgets of it can be typed.

    Attributes:
        row: the quantity; registered, where it is not one of ours.
        space: name or path of the space that it is tried on, in the causal form where only that has it.
        samples: random networks.
    """

    row: Quantity
    space: str = "movinet"
    samples: int = 12

    def tried(self) -> tuple[searchspace.Space, SpaceCosts, searchspace.Choices]:
        """The space, its costs, and random networks [samples, D]."""
        space = searchspace.load(self.space)
        space = space.streaming() if self.row.causal else space
        return space, tabulate(space), space.decisions.sample(np.random.default_rng(0), self.samples)

    def test_it_is_listed(self) -> None:
        assert QUANTITIES[self.row.name] is self.row

    def test_tables_count_as_networks_alone(self) -> None:
        space, costs, choices = self.tried()
        alone = [self.row.amount(cost(space.architecture(row))) for row in choices]
        assert costs.of(self.row.name, choices).tolist() == alone
        assert max(alone) > 0 and all(isinstance(amount, int) and amount >= 0 for amount in alone)

    def test_parts_add_up(self) -> None:
        architecture = published("a0", stream=self.row.causal)
        amounts = [self.row.amount(counted) for _, counted in architecture.parts(architecture.clip)]
        whole = self.row.amount(cost(architecture))
        assert whole == (max(amounts) if self.row.maximum else sum(amounts))

    def test_the_expectation_is_that_of_samples_or_refused(self) -> None:
        space, costs, _ = self.tried()
        probabilities = space.decisions.uniform()
        if self.row.maximum:
            try:
                costs.expected(self.row.name, probabilities)
            except ValueError:
                return
            raise AssertionError("a maximum has no expectation in closed form")
        drawn = costs.of(self.row.name, space.decisions.sample(np.random.default_rng(1), 20_000))
        expected, _ = costs.expected(self.row.name, probabilities)
        assert abs(expected - drawn.mean()) < 5 * drawn.std() / np.sqrt(len(drawn)) + 1e-9 * expected

    def test_extremes_bound_all_samples(self) -> None:
        space, costs, _ = self.tried()
        low, high = costs.bounds(self.row.name)
        drawn = costs.of(self.row.name, space.decisions.sample(np.random.default_rng(2), 5_000))
        assert low <= drawn.min() <= drawn.max() <= high

    def test_an_ensemble_has_one(self) -> None:
        architecture = published("a0", stream=self.row.causal)
        clip = architecture.clip
        half = dataclasses.replace(architecture, clip=Clip(clip.frames // 2, clip.height, clip.width, clip.fps / 2))
        one, both = Ensemble("one", half.clip, (Member(half, 0),)), (Member(half, 0), Member(half, 1))
        pair = Ensemble("pair", Clip(2 * half.clip.frames, clip.height, clip.width, clip.fps), both)
        assert 0 < self.row.amount(cost(one)) <= self.row.amount(cost(pair))

    def test_a_printed_budget_is_read_as_what_it_says(self) -> None:
        if not self.row.spellings and self.row.frame_of is None:
            return
        for amount in (1.0, 999.0, 4_567.0, 607.3e6, 3.126e9):
            text = budget_text(self.row.name, amount)
            read = Budget.parse(text)
            assert read.quantity == (self.row.frame_of or self.row.name)
            assert read.per_frame == (self.row.frame_of is not None)
            assert abs(read.amount - amount) <= 0.5e-3 * amount, text

    def test_it_is_named_for_people(self) -> None:
        assert self.row.words and self.row.axis and "_" not in self.row.words
        assert format_quantity(self.row.name, 2e6).startswith("2")
        assert dataclasses.replace(self.row) == self.row, "a row is plain data"
