"""The optimiser by hand, and the schedule by its sum."""

import numpy as np
import pytest

from controller.adam import Adam, Schedule


def test_two_steps_by_hand():
    adam = Adam((1,))
    # Step 1: gradients 1 and 3: mean 2, mean of squares 5 (the square of the mean would be 4).
    first = adam.step(np.array([[1.0], [3.0]]), 0.1)
    assert first[0] == pytest.approx(-0.1 * 2 / (np.sqrt(5) + 1e-8), rel=1e-12)
    # Step 2: gradients -1 and -1: v = .999 * .001 * 5 + .001 * 1, corrected by 1 - .999^2 = .001999.
    second = adam.step(np.array([[-1.0], [-1.0]]), 0.1)
    corrected = (0.999 * 0.001 * 5 + 0.001 * 1) / (1 - 0.999**2)
    assert second[0] == pytest.approx(0.1 * 1 / (np.sqrt(corrected) + 1e-8), rel=1e-12)


def test_epsilon_stands_outside_the_root():
    assert Adam((1,)).step(np.array([[1e-8]]), 1.0)[0] == pytest.approx(-0.5, rel=1e-6)


def test_disagreeing_samples_make_small_steps():
    agree = Adam((1,)).step(np.array([[1.0], [1.0]]), 1.0)[0]
    disagree = Adam((1,)).step(np.array([[4.0], [-2.0]]), 1.0)[0]
    assert agree == pytest.approx(-1, rel=1e-6)
    assert disagree == pytest.approx(-1 / np.sqrt(10), rel=1e-6)


@pytest.mark.parametrize(("steps", "delay"), [(300, 0.25), (1000, 0.35), (27050, 0.25), (500, 0.0)])
def test_sum_of_rates_reaches_the_total(steps, delay):
    schedule = Schedule(steps, delay=delay, total=100)
    rates = [schedule.rate(step / steps) for step in range(steps)]
    assert sum(rates) == pytest.approx(100)
    assert schedule.sum() == pytest.approx(100)
    late = [r for r in rates if r]
    assert len(late) == steps - int(np.ceil(delay * steps))
    assert late[-1] / late[0] == pytest.approx(10, rel=0.02)


def test_the_known_sum_of_the_reference():
    """TuNAS: 0.0048 rising tenfold over 20,288 of 27,050 steps sums to 381."""
    assert Schedule(27050, total=381).initial == pytest.approx(0.0048, rel=2e-3)


def test_few_steps_are_bounded_and_zero_is_zero():
    few = Schedule(20)
    assert max(few.rate(step / 20) for step in range(20)) == pytest.approx(2)
    assert few.sum() < 100
    assert Schedule(20, total=0).rate(0.9) == 0
    with pytest.raises(ValueError, match=r"delay 1\.5"):
        Schedule(10, delay=1.5)
