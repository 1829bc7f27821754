"""What every searcher must do, on a small space with a known optimum and injected noise."""

import json

import numpy as np
import pytest

from controller.adam import Schedule
from controller.evolution import Evolution
from controller.random_search import RandomSearch
from controller.reinforce import Reinforce
from controller.rewards import Reward
from controller.searchers import SEARCHERS, create
from controller.start import largest_entropy
from controller.window import Window

TARGET, STEPS, COUNT = 20_000.0, 240, 8
REWARD = Reward(TARGET)


class Conformance:
    """A searcher passes by inheriting this and saying how it is made."""

    regret = 0.01
    noise = 0.02  # about a binomial draw of 512 images

    def make(self, toy, seed=0, **options):
        raise AssertionError("say how the searcher is made")

    def run(self, toy, searcher, steps, total=STEPS):
        for _ in range(steps):
            progress = searcher.step / total
            rng = np.random.default_rng([searcher.seed, 7, searcher.step])
            choices = searcher.ask(COUNT)
            quality = toy.quality(choices) + self.noise * rng.normal(size=COUNT)
            searcher.tell(choices, quality, REWARD(quality, toy.cost(choices)), progress=progress)
        return searcher

    def test_comes_near_the_optimum(self, toy):
        true = REWARD(toy.quality(toy.every), toy.cost(toy.every))
        regrets = []
        for seed in range(3):
            found = self.run(toy, self.make(toy, seed), STEPS).favourite()[None]
            regrets.append(true.max() - REWARD(toy.quality(found), toy.cost(found))[0])
        assert np.median(regrets) < self.regret < (true.max() - true.mean()) / 2

    def test_asks_for_canonical_choices(self, toy):
        searcher = self.make(toy)
        for _ in range(15):
            choices = searcher.ask(COUNT)
            assert choices.dtype == np.int8 and choices.shape == (COUNT, len(toy.decisions))
            assert (choices == toy.decisions.canonical(choices)).all()
            assert ((choices >= 0) & (choices < toy.decisions.sizes)).all()
            searcher.tell(choices, np.zeros(COUNT), np.arange(COUNT), progress=0.5)

    def test_seed_decides(self, toy):
        a, b, c = (self.run(toy, self.make(toy, seed), 30).ask(COUNT) for seed in (1, 1, 2))
        assert (a == b).all()
        assert (a != c).any()

    def test_order_of_calls(self, toy):
        searcher = self.make(toy)
        with pytest.raises(ValueError, match="tell before ask"):
            searcher.tell(np.zeros((1, len(toy.decisions)), np.int8), np.zeros(1), np.zeros(1), progress=0)
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
    def test_save_and_load_in_the_middle(self, toy, inside_a_step):
        whole = self.run(toy, self.make(toy, 3), 40)
        half = self.run(toy, self.make(toy, 3), 20)
        if inside_a_step:
            choices = half.ask(COUNT)
        saved = json.dumps(half.state(), allow_nan=False)
        again = self.make(toy, 3)
        again.restore(json.loads(saved))
        assert json.dumps(again.state()) == saved
        if inside_a_step:
            with pytest.raises(ValueError, match="ask after ask"):
                again.ask(COUNT)
            noise = self.noise * np.random.default_rng([3, 7, 20]).normal(size=COUNT)
            quality = toy.quality(choices) + noise
            again.tell(choices, quality, REWARD(quality, toy.cost(choices)), progress=20 / STEPS)
        self.run(toy, again, 40 - again.step)
        assert json.dumps(again.state()) == json.dumps(whole.state())
        assert (again.ask(COUNT) == whole.ask(COUNT)).all()

    def test_foreign_states_are_refused(self, toy):
        searcher = self.make(toy, 1)
        with pytest.raises(ValueError, match="seed 2 cannot continue seed 1"):
            searcher.restore(self.make(toy, 2).state())
        with pytest.raises(ValueError, match="searcher 'other'"):
            searcher.restore({**searcher.state(), "searcher": "other"})

    def test_stays_in_the_window(self, toy):
        window = Window.around("macs", toy.cost, TARGET, 0.02, 0.02)
        searcher = self.make(toy, window=window)
        for _ in range(40):
            choices = searcher.ask(COUNT)
            assert window.contains(choices).all()
            quality = toy.quality(choices)
            searcher.tell(choices, quality, quality, progress=0.5)

    def test_a_window_that_cannot_be_reached_is_an_error(self, toy):
        with pytest.raises(ValueError, match="widen the window"):
            self.make(toy, window=Window.around("macs", toy.cost, 1e6, 0.01, 0.01)).ask(1)

    def test_learns_nothing_when_told_not_to(self, toy):
        searcher, untouched = self.make(toy), self.make(toy)
        choices = searcher.ask(COUNT)
        searcher.tell(choices, np.arange(COUNT), np.arange(COUNT), progress=0.9, learn=False)
        assert {**searcher.state(), "step": 0} == untouched.state()
        assert searcher.step == 1

    def test_learns_nothing_from_what_it_did_not_choose(self, toy):
        searcher, untouched = self.make(toy), self.make(toy)
        choices = searcher.ask(COUNT)
        searcher.tell(
            choices, np.arange(COUNT), np.arange(COUNT), progress=0.9, replaced=np.ones(choices.shape, dtype=bool)
        )
        assert (searcher.favourite() == untouched.favourite()).all()
        for a, b in zip(searcher.policy.probabilities(), untouched.policy.probabilities(), strict=True):
            assert (a == b).all()

    def test_starts_where_told(self, toy):
        start = largest_entropy(toy.decisions, toy.costs, "macs", 8_000)
        searcher = self.make(toy, start=start.probabilities)
        cost = toy.cost(np.concatenate([searcher.ask(4000), searcher.samples(np.random.default_rng(0), 4000)]))
        assert cost.mean() == pytest.approx(8_000, rel=0.02)


class TestReinforce(Conformance):
    def make(self, toy, seed=0, **options):
        return Reinforce(toy.decisions, seed=seed, schedule=Schedule(STEPS, delay=0.1), **options)


class TestReinforceInAWindow(Conformance):
    def make(self, toy, seed=0, **options):
        options.setdefault("window", Window.around("macs", toy.cost, TARGET, 0.05, 0.05))
        return Reinforce(toy.decisions, seed=seed, schedule=Schedule(STEPS, delay=0.0), **options)

    def test_starts_where_told(self, toy):
        start = largest_entropy(toy.decisions, toy.costs, "macs", 8_000)
        cost = toy.cost(self.make(toy, start=start.probabilities).samples(np.random.default_rng(0), 4000))
        assert cost.mean() == pytest.approx(8_000, rel=0.02)  # before rejection

    def test_comes_near_the_optimum(self, toy):
        window = Window.around("macs", toy.cost, TARGET, 0.02, 0.02)
        inside = toy.every[window.contains(toy.every)]
        for seed in range(3):
            searcher = self.run(toy, self.make(toy, seed, window=window), STEPS)
            likeliest = inside[searcher.policy.log_prob(inside).argmax()][None]
            assert toy.quality(inside).max() - toy.quality(likeliest)[0] < self.regret


class TestRandom(Conformance):
    regret = 0.065  # one step below the optimum: three of 2,457 are better
    noise = 0.005  # a single look decides: it must say something

    def make(self, toy, seed=0, **options):
        return RandomSearch(toy.decisions, seed=seed, **options)


class TestEvolution(Conformance):
    regret = 0.02

    def make(self, toy, seed=0, **options):
        return Evolution(toy.decisions, seed=seed, population=32, tournament=8, **options)

    def test_mutants_differ_in_one_active_decision(self, toy):
        searcher = self.make(toy)
        for parent in toy.every[::400]:
            mutants = searcher._mutants(np.repeat(parent[None], 300, axis=0), np.random.default_rng(0))
            both = toy.decisions.active(parent) & toy.decisions.active(mutants)
            assert (((mutants != parent) & both).sum(axis=1) == 1).all()
            open_decisions = toy.decisions.active(parent).sum()
            assert len(np.unique(mutants[:, toy.decisions.active(parent)], axis=0)) == 2 * open_decisions

    def test_the_oldest_die(self, toy):
        searcher = self.run(toy, self.make(toy), 10)
        last = [searcher.ask(COUNT)]
        searcher.tell(last[0], np.zeros(COUNT), np.full(COUNT, -1.0), progress=0.5)
        assert (searcher._living[-COUNT:] == last[0]).all() and len(searcher._living) == 32

    def test_tournament_fits_population(self, toy):
        with pytest.raises(ValueError, match="tournament 9"):
            Evolution(toy.decisions, seed=0, population=8, tournament=9)


def test_create(toy):
    for name in SEARCHERS:
        assert create(name, toy.decisions, seed=0, schedule=Schedule(10)).name == name
    with pytest.raises(ValueError, match="did you mean 'evolution'"):
        create("evolutoin", toy.decisions, seed=0, schedule=Schedule(10))
    with pytest.raises(ValueError, match="seed -1"):
        create("random", toy.decisions, seed=-1, schedule=Schedule(10))
