"""What every searcher must do, for tests of one's own: inherit `SearcherConformance`, say `make`, and run pytest.

It is tried on a small space that has everything a large one has, with a known optimum and injected noise.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from controller.arrays import Choices, Floats
from controller.rewards import Reward
from controller.searcher import Searcher
from controller.start import largest_entropy
from controller.window import Window
from searchspace.cost_tables import CostModel, Term
from searchspace.decisions import Decision, Decisions

WIDTHS, DEPTHS, KERNELS, EXPANSIONS = (8, 12, 16), (1, 2, 3), ("3", "5", "7"), (2, 3, 4)


@dataclass(frozen=True)
class Toy:
    """Decisions, costs, and every distinct architecture of a small space."""

    decisions: Decisions
    costs: CostModel
    every: Choices

    def cost(self, choices: Choices) -> NDArray[np.int64]:
        """Of each row, int64 [N]."""
        return self.costs.of("macs", choices)

    def quality(self, choices: Choices) -> Floats:
        """Accuracy without noise: what costs more is better with falling gain, and 5x5 fits an expansion of 3."""
        cost: Floats = self.cost(choices) / self.cost(self.every).max()
        active, fits = self.decisions.active(choices), np.zeros(len(choices))
        for layer in range(3):
            kernel, expansion = (self.decisions.at(kind, 0, layer) for kind in ("kernel", "expansion"))
            fits += active[:, kernel] & (choices[:, kernel] == 1) & (choices[:, expansion] == 1)
        result: Floats = 0.4 + 0.3 * np.sqrt(cost) + 0.06 * fits
        return result


def _toy() -> Toy:
    items = [Decision("width", WIDTHS, 0), Decision("depth", DEPTHS, 0)]
    for layer in range(3):
        parent = None if layer == 0 else "blocks/0/depth"
        items.append(Decision("kernel", KERNELS, 0, layer, parent, layer))
        items.append(Decision("expansion", EXPANSIONS, 0, layer, parent, layer))
    decisions = Decisions.of(items)
    taps = np.array([9, 25, 49])
    terms = [Term((), np.array(1000))]
    for layer in range(3):
        k, e = 2 + 2 * layer, 3 + 2 * layer
        gate = None if layer == 0 else (1, layer)
        width, expansion = np.array(WIDTHS), np.array(EXPANSIONS)
        terms.append(Term((0, e), 2 * 100 * width[:, None] * expansion, gate))
        terms.append(Term((k, e), 10 * taps[:, None] * expansion, gate))
    grid = np.indices(tuple(decisions.sizes), dtype=np.int8).reshape(len(decisions), -1).T
    every = np.unique(decisions.canonical(grid), axis=0)
    return Toy(decisions, CostModel(decisions, {"macs": terms}), every)


TOY = _toy()
"""3 widths, 1 to 3 layers of 9 kinds: 2,457 architectures."""

TARGET, STEPS, COUNT = 20_000.0, 240, 8
REWARD = Reward(TARGET)


class SearcherConformance:
    """A searcher passes by inheriting this and saying how it is made.

    Attributes:
        regret: of the favourite after a search, below the optimum's reward; at most half of what chance has.
        noise: of an observed quality; about a binomial draw of 512 images.
    """

    regret = 0.01
    noise = 0.02

    def make(self, seed: int = 0, **options: Any) -> Searcher:
        """The searcher on `TOY.decisions`; `options` are `start` and `window`."""
        raise NotImplementedError

    def run(self, searcher: Searcher, steps: int, total: int = STEPS) -> Searcher:
        """Searches for so many of `total` steps."""
        for _ in range(steps):
            progress = searcher.step / total
            rng = np.random.default_rng([searcher.seed, 7, searcher.step])
            choices = searcher.ask(COUNT)
            quality = TOY.quality(choices) + self.noise * rng.normal(size=COUNT)
            searcher.tell(choices, quality, REWARD(quality, TOY.cost(choices)), progress=progress)
        return searcher

    def test_comes_near_the_optimum(self) -> None:
        true = REWARD(TOY.quality(TOY.every), TOY.cost(TOY.every))
        regrets = []
        for seed in range(3):
            found = self.run(self.make(seed), STEPS).favourite()[None]
            regrets.append(true.max() - REWARD(TOY.quality(found), TOY.cost(found))[0])
        assert np.median(regrets) < self.regret < (true.max() - true.mean()) / 2

    def test_asks_for_canonical_choices(self) -> None:
        searcher = self.make()
        for _ in range(15):
            choices = searcher.ask(COUNT)
            assert choices.dtype == np.int8 and choices.shape == (COUNT, len(TOY.decisions))
            assert (choices == TOY.decisions.canonical(choices)).all()
            assert ((choices >= 0) & (choices < TOY.decisions.sizes)).all()
            searcher.tell(choices, np.zeros(COUNT), np.arange(COUNT), progress=0.5)

    def test_seed_decides(self) -> None:
        a, b, c = (self.run(self.make(seed), 30).ask(COUNT) for seed in (1, 1, 2))
        assert (a == b).all()
        assert (a != c).any()

    def test_order_of_calls(self) -> None:
        searcher = self.make()
        with pytest.raises(ValueError, match="tell before ask"):
            searcher.tell(np.zeros((1, len(TOY.decisions)), np.int8), np.zeros(1), np.zeros(1), progress=0)
        choices = searcher.ask(2)
        with pytest.raises(ValueError, match="ask after ask"):
            searcher.ask(2)
        with pytest.raises(ValueError, match="asked for 2"):
            searcher.tell(choices[:1], np.zeros(1), np.zeros(1), progress=0)
        with pytest.raises(ValueError, match="not finite"):
            searcher.tell(choices, np.zeros(2), np.array([0, np.nan]), progress=0)
        searcher.tell(choices, np.zeros(2), np.zeros(2), progress=0)
        with pytest.raises(ValueError, match="at least one"):
            searcher.ask(0)

    @pytest.mark.parametrize("inside_a_step", [False, True])
    def test_save_and_load_in_the_middle(self, inside_a_step: bool) -> None:
        whole = self.run(self.make(3), 40)
        half = self.run(self.make(3), 20)
        if inside_a_step:
            choices = half.ask(COUNT)
        saved = json.dumps(half.state(), allow_nan=False)
        again = self.make(3)
        again.restore(json.loads(saved))
        assert json.dumps(again.state()) == saved
        if inside_a_step:
            with pytest.raises(ValueError, match="ask after ask"):
                again.ask(COUNT)
            noise = self.noise * np.random.default_rng([3, 7, 20]).normal(size=COUNT)
            quality = TOY.quality(choices) + noise
            again.tell(choices, quality, REWARD(quality, TOY.cost(choices)), progress=20 / STEPS)
        self.run(again, 40 - again.step)
        assert json.dumps(again.state()) == json.dumps(whole.state())
        assert (again.ask(COUNT) == whole.ask(COUNT)).all()

    def test_foreign_states_are_refused(self) -> None:
        searcher = self.make(1)
        with pytest.raises(ValueError, match="seed 2 cannot continue seed 1"):
            searcher.restore(self.make(2).state())
        with pytest.raises(ValueError, match="searcher 'other'"):
            searcher.restore({**searcher.state(), "searcher": "other"})

    def test_stays_in_the_window(self) -> None:
        window = Window.around("macs", TOY.cost, TARGET, 0.02, 0.02)
        searcher = self.make(window=window)
        for _ in range(40):
            choices = searcher.ask(COUNT)
            assert window.contains(choices).all()
            quality = TOY.quality(choices)
            searcher.tell(choices, quality, quality, progress=0.5)

    def test_a_window_that_cannot_be_reached_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="widen the window"):
            self.make(window=Window.around("macs", TOY.cost, 1e6, 0.01, 0.01)).ask(1)

    def test_learns_nothing_when_told_not_to(self) -> None:
        searcher, untouched = self.make(), self.make()
        choices = searcher.ask(COUNT)
        searcher.tell(choices, np.arange(COUNT), np.arange(COUNT), progress=0.9, learn=False)
        assert {**searcher.state(), "step": 0} == untouched.state()
        assert searcher.step == 1

    def test_learns_nothing_from_what_it_did_not_choose(self) -> None:
        searcher, untouched = self.make(), self.make()
        choices = searcher.ask(COUNT)
        searcher.tell(
            choices, np.arange(COUNT), np.arange(COUNT), progress=0.9, replaced=np.ones(choices.shape, dtype=bool)
        )
        assert (searcher.favourite() == untouched.favourite()).all()
        for a, b in zip(searcher.policy.probabilities(), untouched.policy.probabilities(), strict=True):
            assert (a == b).all()

    def test_starts_where_told(self) -> None:
        start = largest_entropy(TOY.decisions, TOY.costs, "macs", 8_000)
        searcher = self.make(start=start.probabilities)
        cost = TOY.cost(np.concatenate([searcher.ask(4000), searcher.samples(np.random.default_rng(0), 4000)]))
        assert cost.mean() == pytest.approx(8_000, rel=0.02)
