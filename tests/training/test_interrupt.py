"""Signals as a wish: heard once, passed on where nobody answers, and never lost or taken for another."""

import signal
import time
import weakref

import pytest

from training.machine.interrupt import SIGNALS, Interrupt, Interrupted, Stopped, exit_code, signals_raise


@pytest.fixture(autouse=True)
def dispositions():
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    assert {number: signal.getsignal(number) for number in SIGNALS} == before


@pytest.mark.parametrize("number", SIGNALS)
def test_a_wish_is_noted_and_passed_on_where_the_block_does_not_answer(number):
    with signals_raise(), pytest.raises(KeyboardInterrupt) as caught, Interrupt() as interrupt:
        signal.raise_signal(number)
        assert interrupt.exit_code == 128 + number
    assert exit_code(caught.value) == 128 + number
    assert isinstance(caught.value, Stopped) == (number != signal.SIGINT)


def test_a_wish_that_the_block_answers_is_not_passed_on():
    with signals_raise(), pytest.raises(Interrupted, match="saved"), Interrupt() as interrupt:
        signal.raise_signal(signal.SIGTERM)
        raise Interrupted(interrupt.exit_code, "saved")


@pytest.mark.parametrize(
    ("first", "second", "at_once"),
    [
        (signal.SIGINT, signal.SIGINT, True),
        (signal.SIGTERM, signal.SIGTERM, True),
        (signal.SIGHUP, signal.SIGINT, True),
        (signal.SIGHUP, signal.SIGHUP, False),  # a terminal that closes sends two
        (signal.SIGTERM, signal.SIGHUP, False),  # as systemd may
        (signal.SIGHUP, signal.SIGTERM, False),
    ],
)
def test_a_second_one(first, second, at_once):
    reached = False
    with signals_raise(), pytest.raises(KeyboardInterrupt) as caught, Interrupt():
        signal.raise_signal(first)
        signal.raise_signal(second)
        reached = True
    assert reached != at_once
    assert exit_code(caught.value) == 128 + (second if at_once else first)


def test_nohup_stays_in_force():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals_raise(), Interrupt() as interrupt:
            signal.raise_signal(signal.SIGHUP)
            assert interrupt.exit_code == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_in_a_callback_that_drops_exceptions_comes_again():
    class Noticed:
        pass

    with signals_raise(), pytest.raises(Stopped, match="SIGTERM"):
        noticed = Noticed()
        callback = weakref.ref(noticed, lambda _: signal.raise_signal(signal.SIGTERM))
        del noticed
        assert callback() is None
        time.sleep(10)
