"""The controller on tables whose truth is known: what it must reach, and controls that must fail to reach it."""

import dataclasses
from collections import Counter

import numpy as np
import pytest

from benchmarks import tabnas as tabnas_toy
from controller import benchmark
from controller.benchmark import BATCH, Images, Setting, judge, run, search
from controller.halving import Rung
from controller.rewards import Reward
from controller.searchers import SEARCHERS

TARGETS = [50e6, 70e6]


def _regret(outcomes, pick="modelled"):
    return np.array([getattr(outcome, pick).regret for outcome in outcomes])


def _good(outcome, target):
    """Whether the bare argmax is within 5 % of the target and its reward within half a point of the best."""
    return abs(outcome.favourite.cost / target - 1) <= 0.05 and outcome.reward_regret <= 0.005


def test_settings_decide_everything(macro):
    setting = Setting(target=70e6, looks=300, seed=3)
    outcome = run(macro, setting)
    assert run(macro, setting) == outcome
    assert run(macro, dataclasses.replace(setting, seed=4)) != outcome


def test_every_look_is_counted(macro):
    for looks in (2, 37, 500, 3200):
        setting = Setting(target=70e6, looks=looks, searcher="random")
        assert len(search(macro, setting)[1]) == looks
    assert setting.per_step == 32 and Setting(target=70e6, looks=500).per_step == 5


def test_images_are_topped_up_and_unbiased(macro):
    row = macro.every[1234]
    images = Images(macro, 0)
    first = images(row, Rung(1, 1000))
    assert first.samples == images.taken == 2 * BATCH and first.loss == 1 - first.accuracy
    more = images(row, Rung(1, 10 * BATCH))
    assert more.samples == images.taken == 10 * BATCH
    right = more.accuracy * more.samples - first.accuracy * first.samples
    assert 0 <= right <= 8 * BATCH and right == pytest.approx(round(right))
    assert images(row, Rung(1, 5)) == more and images.taken == 10 * BATCH
    # The mean of many batches of fresh copies is the truth: within five standard errors.
    truth = macro.truth[macro.index(row)]
    assert images(row, Rung(1, 2_000_000)).accuracy == pytest.approx(truth, abs=5 * (truth * (1 - truth) / 2e6) ** 0.5)


def test_encodings_of_one_network_share_their_images(macro):
    images = Images(macro, 0)
    one, other = macro.decisions.decode("22212220"), macro.decisions.decode("22212202")
    assert images(one, Rung(1, BATCH)) == images(other, Rung(1, BATCH)) and images.taken == BATCH


@pytest.mark.parametrize("target", TARGETS)
def test_the_winner_of_a_short_search_is_nearly_the_best(macro, target):
    outcomes = [run(macro, Setting(target=target, looks=2000, seed=seed)) for seed in range(5)]
    for outcome in outcomes:
        assert -0.05 <= outcome.modelled.cost / target - 1 <= 0.01
        assert outcome.images <= 2_000_000
    assert 0 <= _regret(outcomes).mean() <= 0.001


@pytest.mark.slow
@pytest.mark.parametrize(("target", "most"), [(50e6, 0.0005), (70e6, 0.0008)])
def test_the_argmax_and_the_winner_of_a_long_search(macro, target, most):
    """160,000 looks in 5,000 steps: the argmax by itself, and the winner after re-scoring."""
    setting = Setting(target=target, looks=160_000, parallel=32)
    outcomes = [run(macro, dataclasses.replace(setting, seed=seed)) for seed in range(5)]
    assert sum(_good(outcome, target) for outcome in outcomes) >= 4
    assert _regret(outcomes).mean() <= most


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_a_window_is_ahead_of_uniform_looks_without_the_model(macro, target):
    setting = Setting(target=target, looks=2000)
    window = [run(macro, dataclasses.replace(setting, seed=s, window=0.05)) for s in range(20)]
    uniform = [run(macro, dataclasses.replace(setting, seed=s, searcher="random", start="uniform")) for s in range(20)]
    gap = _regret(uniform, "seen") - _regret(window, "seen")
    assert gap.mean() > gap.std(ddof=1) / 20**0.5


@pytest.mark.parametrize("target", TARGETS)
def test_the_argmax_lands_at_the_target(macro, target):
    setting = Setting(target=target, looks=16_000, parallel=32)
    assert abs(_favourite(macro, setting).cost / target - 1) < 0.05


@pytest.mark.parametrize("start", ["uniform", "budget"])
@pytest.mark.parametrize("target", TARGETS)
def test_the_argmax_of_a_frozen_policy_does_not(macro, target, start):
    """Negative control: its argmax is that of the start, however long it looks."""
    setting = Setting(target=target, looks=320, start=start, controller_rate=0.0)
    assert not any(_good(run(macro, dataclasses.replace(setting, seed=seed)), target) for seed in range(2))


def test_the_soft_reward_does_not(macro):
    """Negative control: T0 only rescales it, so it ends far below whatever is asked for."""
    setting = Setting(target=70e6, looks=16_000, parallel=32, start="uniform", reward="soft", beta=-0.07)
    assert _favourite(macro, setting).cost < 45e6


def _favourite(macro, setting):
    return judge(macro, setting.target, search(macro, setting)[0].favourite())


def test_noise_teaches_nobody(macro):
    """Negative control: where no look says anything, no searcher's winner is better than that of uniform looks."""
    noise = dataclasses.replace(macro, accuracy=np.full_like(macro.accuracy, 0.9))
    setting = Setting(target=70e6, looks=200, candidates=16)

    def regrets(**options):
        outcomes = [run(noise, dataclasses.replace(setting, seed=seed, **options)) for seed in range(8)]
        rows = macro.index(np.array([macro.decisions.decode(o.modelled.architecture) for o in outcomes]))
        return macro.truth[macro.best(macro.cost <= 70e6)] - macro.truth[rows]

    uniform = regrets(searcher="random", start="uniform")
    assert uniform.mean() > 0.005  # far from what searches on real looks reach
    for name in ("reinforce", "evolution"):
        theirs = regrets(searcher=name)
        error = np.hypot(theirs.std(ddof=1), uniform.std(ddof=1)) / 8**0.5
        assert theirs.mean() > uniform.mean() - 2 * error


@pytest.mark.parametrize("name", SEARCHERS)
@pytest.mark.parametrize("target", [1e6, 2e8])
def test_a_budget_that_nothing_meets_is_refused_before_the_first_look(macro, monkeypatch, name, target):
    def look(*_):
        raise AssertionError("looked")

    monkeypatch.setattr(type(macro), "look", look)
    with pytest.raises(ValueError, match=r"no architecture .* the cheapest costs 7\.71328e\+06, the dearest"):
        run(macro, Setting(target=target, looks=1000, searcher=name))


def test_settings_are_checked(macro):
    with pytest.raises(ValueError, match="1 looks"):
        Setting(target=70e6, looks=1)
    with pytest.raises(ValueError, match="beta"):
        Setting(target=70e6, looks=10, beta=0.1)
    with pytest.raises(ValueError, match="did you mean 'evolution'"):
        search(macro, Setting(target=70e6, looks=10, searcher="evolutoin"))
    with pytest.raises(ValueError, match="too few for 64 candidates"):
        run(macro, Setting(target=70e6, looks=100, images=10_000))
    assert benchmark.window(macro, 70e6).contains(macro.every).sum() == 502


class TestTabNAS:
    """Where a factorised policy meets its limit, see `benchmarks.tabnas`."""

    SEEDS = 8

    def test_the_toy_has_the_parameters_of_its_networks(self, tabnas):
        first, second = np.array([tabnas_toy.units(tabnas, row) for row in tabnas.every]).T
        assert (tabnas.cost == (2 * first + first) + (first * second + second) + (second + 1)).all()
        best = tabnas.every[tabnas.best(tabnas.cost <= tabnas_toy.CAP)]
        assert tabnas_toy.units(tabnas, best) == (4, 2)

    def test_the_absolute_reward_prefers_the_wrong_network(self, tabnas):
        reward = Reward(tabnas_toy.CAP, beta=-2.0)(tabnas.truth, tabnas.cost)
        assert tabnas_toy.units(tabnas, tabnas.every[reward.argmax()]) == (4, 2)  # the reward itself is right
        ends = self._ends(tabnas, -2.0)
        assert ends.most_common(1)[0][0] == (3, 3) and ends[3, 3] > 2 * ends[4, 2]

    def test_a_small_penalty_ends_beyond_the_budget(self, tabnas):
        assert set(self._ends(tabnas, -0.5)) == {(4, 4)}

    def test_rejection_finds_it_though_not_by_the_argmax(self, tabnas):
        searchers = [tabnas_toy.search(tabnas, seed, 0.0, reject=True) for seed in range(self.SEEDS)]
        likeliest = Counter(tabnas_toy.units(tabnas, tabnas_toy.likeliest(tabnas, s)) for s in searchers)
        argmax = Counter(tabnas_toy.units(tabnas, searcher.favourite()) for searcher in searchers)
        assert likeliest[4, 2] >= 0.8 * self.SEEDS
        assert argmax[4, 4] > 0  # 37 parameters: why no bare argmax is a result

    def _ends(self, tabnas, beta):
        searchers = [tabnas_toy.search(tabnas, seed, beta) for seed in range(self.SEEDS)]
        return Counter(tabnas_toy.units(tabnas, searcher.favourite()) for searcher in searchers)
