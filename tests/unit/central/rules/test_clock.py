"""Central's clock may be slewed; when it leaps, it is not believed until that is undone."""

from __future__ import annotations

from central.rules.clock import LEAP_MS, ClockWatch


def test_a_clock_that_is_slewed_is_followed():
    watch = ClockWatch(1_000_000, 0)
    for second in range(1, 200):
        assert watch.look(1_000_000 + 1_000 * second + 500 * second, 1_000 * second)
    assert watch.leapt_ms == 0


def test_a_leap_is_not_believed_for_as_long_as_it_lasts_and_is_when_undone():
    watch = ClockWatch(1_000_000, 0)
    assert not watch.look(1_001_000 + LEAP_MS + 1, 1_000)
    assert not watch.look(1_100_000 + LEAP_MS + 1, 100_000)
    assert watch.leapt_ms == LEAP_MS + 1
    assert watch.look(1_200_000, 200_000)
    assert watch.leapt_ms == 0
