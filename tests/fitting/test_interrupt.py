from __future__ import annotations

import os
import signal
import threading

import pytest

from matgen.fitting.interrupt import interruptible


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_sets_the_event_and_the_second_ends_at_once(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), interruptible() as event:
        assert not event.is_set()
        os.kill(os.getpid(), number)
        assert event.is_set()
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


def test_other_threads_leave_signals_alone() -> None:
    before, during = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        with interruptible() as event:
            during.append((event.is_set(), signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert during == [(False, before)]
