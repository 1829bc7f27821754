"""Ctrl-C, termination and a closed terminal as a wish: the job ends at its next safe point; a second one ends it."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
AGAIN_SECONDS = 0.05


class Interrupted(KeyboardInterrupt):
    """A job ended early because it was asked to, with everything saved.

    Attributes:
        exit_code: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP.
    """

    def __init__(self, exit_code: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Stopped(KeyboardInterrupt):
    """SIGTERM or SIGHUP where no `Interrupt` takes them; what Ctrl-C is as a plain KeyboardInterrupt.

    Attributes:
        exit_code: 128 and the signal's number.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.exit_code = 128 + number


def exit_code(stop: KeyboardInterrupt) -> int:
    """What a process ends with that is stopped so."""
    return stop.exit_code if isinstance(stop, Interrupted | Stopped) else 128 + signal.SIGINT


class Interrupt:
    """A context in which SIGINT, SIGTERM and SIGHUP set a flag.

    A second Ctrl-C, or the same signal again, raises KeyboardInterrupt at once; SIGHUP never does, since it comes twice
    when a terminal closes. A wish that the block did not answer by an exception is passed on at its end, to whoever
    took the signal before.

    Attributes:
        exit_code: 0, or what the process should exit with.
    """

    def __init__(self) -> None:
        self.exit_code = 0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupt:
        self._before = _install(SIGNALS, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        _restore(self._before)
        if self.exit_code and kind is None:
            signal.raise_signal(signal.Signals(self.exit_code - 128))

    def _note(self, number: int, _: FrameType | None) -> None:
        if not self.exit_code:
            self.exit_code = 128 + number
        elif number == signal.SIGINT or (number != signal.SIGHUP and self.exit_code == 128 + number):
            raise KeyboardInterrupt if number == signal.SIGINT else Stopped(number)


@contextlib.contextmanager
def signals_raise() -> Iterator[list[KeyboardInterrupt]]:
    """SIGTERM and SIGHUP raise `Stopped`, as Ctrl-C raises KeyboardInterrupt, so that blocks are left in order.

    Where Python drops an exception, as in a callback of a weak reference, the signal comes again a little later.

    Yields:
        What was raised so far: a library may end in an error of its own where it was called at that moment.
    """
    raised: list[KeyboardInterrupt] = []

    def stop(number: int, _: FrameType | None) -> NoReturn:
        raised.append(KeyboardInterrupt() if number == signal.SIGINT else Stopped(number))
        raise raised[-1]

    def dropped(what: sys.UnraisableHookArgs) -> None:
        if not isinstance(what.exc_value, KeyboardInterrupt):
            shown(what)
            return
        # To the main thread, whose waiting ends: raised in the timer's own, it would be noticed when that is over.
        main, number = threading.main_thread().ident, exit_code(what.exc_value) - 128
        again = threading.Timer(AGAIN_SECONDS, signal.pthread_kill, [main, number])
        again.daemon = True
        again.start()

    before, shown = _install((signal.SIGTERM, signal.SIGHUP), stop), sys.unraisablehook
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where a shell has it ignored
        before |= _install((signal.SIGINT,), stop)
    sys.unraisablehook = dropped
    try:
        yield raised
    finally:
        sys.unraisablehook = shown
        _restore(before)


@contextlib.contextmanager
def hang_up_ignored() -> Iterator[None]:
    """Around the answer to a signal: SIGHUP comes twice when a terminal closes."""
    before = _install((signal.SIGHUP,), signal.SIG_IGN)
    try:
        yield
    finally:
        _restore(before)


def _install(numbers: tuple[signal.Signals, ...], handler: Any) -> dict[signal.Signals, Any]:
    """Takes signals in the main thread, and says who had them; SIGHUP stays ignored where `nohup` says so."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    taken = [n for n in numbers if not (n == signal.SIGHUP and signal.getsignal(n) == signal.SIG_IGN)]
    return {number: signal.signal(number, handler) for number in taken}


def _restore(before: dict[signal.Signals, Any]) -> None:
    for number, handler in before.items():
        signal.signal(number, handler)
