"""Every searcher passes the conformance suite; what is special to one is tested here."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from controller.adam import Schedule
from controller.evolution import Evolution
from controller.random_search import RandomSearch
from controller.reinforce import Reinforce
from controller.searcher import Searcher
from controller.searchers import SEARCHERS, create, register
from controller.start import largest_entropy
from controller.testing import COUNT, STEPS, TARGET, TOY, SearcherConformance
from controller.window import Window


class TestReinforce(SearcherConformance):
    def make(self, seed: int = 0, **options: Any) -> Searcher:
        return Reinforce(TOY.decisions, seed=seed, schedule=Schedule(STEPS, delay=0.1), **options)


class TestReinforceInAWindow(SearcherConformance):
    def make(self, seed: int = 0, **options: Any) -> Searcher:
        options.setdefault("window", Window.around("macs", TOY.cost, TARGET, 0.05, 0.05))
        return Reinforce(TOY.decisions, seed=seed, schedule=Schedule(STEPS, delay=0.0), **options)

    def test_starts_where_told(self) -> None:
        start = largest_entropy(TOY.decisions, TOY.costs, "macs", 8_000)
        cost = TOY.cost(self.make(start=start.probabilities).samples(np.random.default_rng(0), 4000))
        assert cost.mean() == pytest.approx(8_000, rel=0.02)  # before rejection

    def test_comes_near_the_optimum(self) -> None:
        window = Window.around("macs", TOY.cost, TARGET, 0.02, 0.02)
        inside = TOY.every[window.contains(TOY.every)]
        for seed in range(3):
            searcher = self.run(self.make(seed, window=window), STEPS)
            likeliest = inside[searcher.policy.log_prob(inside).argmax()][None]
            assert TOY.quality(inside).max() - TOY.quality(likeliest)[0] < self.regret


class TestRandom(SearcherConformance):
    regret = 0.065  # one step below the optimum: three of 2,457 are better
    noise = 0.005  # a single look decides: it must say something

    def make(self, seed: int = 0, **options: Any) -> Searcher:
        return RandomSearch(TOY.decisions, seed=seed, **options)


class TestEvolution(SearcherConformance):
    regret = 0.02

    def make(self, seed: int = 0, **options: Any) -> Searcher:
        return Evolution(TOY.decisions, seed=seed, population=32, tournament=8, **options)

    def test_mutants_differ_in_one_active_decision(self) -> None:
        searcher = self.make()
        for parent in TOY.every[::400]:
            mutants = searcher._mutants(np.repeat(parent[None], 300, axis=0), np.random.default_rng(0))
            both = TOY.decisions.active(parent) & TOY.decisions.active(mutants)
            assert (((mutants != parent) & both).sum(axis=1) == 1).all()
            open_decisions = TOY.decisions.active(parent).sum()
            assert len(np.unique(mutants[:, TOY.decisions.active(parent)], axis=0)) == 2 * open_decisions

    def test_the_oldest_die(self) -> None:
        searcher = self.run(self.make(), 10)
        last = [searcher.ask(COUNT)]
        searcher.tell(last[0], np.zeros(COUNT), np.full(COUNT, -1.0), progress=0.5)
        assert (searcher._living[-COUNT:] == last[0]).all() and len(searcher._living) == 32

    def test_tournament_fits_population(self) -> None:
        with pytest.raises(ValueError, match="tournament 9"):
            Evolution(TOY.decisions, seed=0, population=8, tournament=9)


def test_a_name_is_given_once() -> None:
    with pytest.raises(ValueError, match="searcher 'random': there is one of this name"):
        register(RandomSearch)


def test_create() -> None:
    for name in SEARCHERS:
        assert create(name, TOY.decisions, seed=0, schedule=Schedule(10)).name == name
    with pytest.raises(ValueError, match="did you mean 'evolution'"):
        create("evolutoin", TOY.decisions, seed=0, schedule=Schedule(10))
    with pytest.raises(ValueError, match="seed -1"):
        create("random", TOY.decisions, seed=-1, schedule=Schedule(10))
