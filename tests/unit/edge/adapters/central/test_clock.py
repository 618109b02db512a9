"""The kiosk's clock is sure only with a reason, and says so when the reason has gone."""

from __future__ import annotations

import pytest

from tests.doubles.host_clocks import DAY, HOUR, NOON, Host


def test_without_ntp_or_central_the_clock_is_unsure():
    host = Host()
    assert host.boot().now_ms() is None


def test_ntp_makes_it_sure():
    host = Host(mark=1)
    assert host.boot().now_ms() == NOON


def test_a_live_head_makes_it_sure_however_wrong_the_host_is():
    host = Host(host=0)
    clock = host.boot()
    clock.witness(NOON, live=True)
    host.passes(1234)
    assert clock.now_ms() == NOON + 1234


def test_a_retained_head_proves_only_that_it_is_not_earlier():
    host = Host(host=0)
    clock = host.boot()
    clock.witness(NOON, live=False)
    host.passes(10)
    assert (clock.now_ms(), clock.estimate_ms(), host.highest) == (None, NOON + 10, NOON)


def test_an_older_message_never_moves_the_clock_back():
    host = Host()
    clock = host.boot()
    clock.witness(NOON, live=True)
    host.passes(1000)
    clock.witness(NOON - HOUR, live=True)
    assert (clock.now_ms(), host.highest) == (NOON + 1000, NOON)


def test_a_replayed_head_from_before_the_highest_seen_does_not_make_it_sure():
    host = Host(highest=NOON)
    clock = host.boot()
    clock.witness(NOON - DAY, live=True)
    assert clock.now_ms() is None
    clock.witness(NOON + 1, live=True)
    assert clock.now_ms() == NOON + 1


def test_setting_the_host_back_an_hour_makes_it_unsure_until_central_is_heard_again():
    host = Host(mark=1)
    clock = host.boot()
    assert clock.now_ms() == NOON
    host.host -= HOUR
    assert (clock.now_ms(), clock.stepped, clock.sure) == (None, True, False)
    host.passes(60_000)
    assert clock.now_ms() is None
    clock.witness(NOON + 60_000, live=True)
    assert (clock.now_ms(), clock.stepped) == (NOON + 60_000, False)


def test_after_a_step_an_old_ntp_mark_does_not_count_and_a_new_one_does():
    host = Host(mark=1)
    clock = host.boot()
    clock.now_ms()
    host.host += HOUR
    assert clock.now_ms() is None
    host.mark = 2
    assert clock.now_ms() == NOON + HOUR


def test_a_host_that_is_behind_the_highest_central_time_is_not_believed_even_with_ntp():
    host = Host(mark=1, highest=NOON + HOUR)
    assert host.boot().now_ms() is None


def test_a_clock_that_an_ntp_server_set_far_ahead_is_put_right_by_central():
    host = Host(mark=1, highest=NOON)
    host.host += 400 * DAY
    clock = host.boot()
    assert clock.now_ms() == NOON + 400 * DAY
    clock.witness(NOON + 60_000, live=True)
    host.passes(1000)
    assert clock.now_ms() == NOON + 61_000


def test_one_bad_instant_of_central_moves_nothing_and_is_noted_until_central_is_right_again():
    host = Host()
    clock = host.boot()
    clock.witness(NOON, live=True)
    host.passes(1000)
    for live in (False, True):
        clock.witness(NOON + 4_000 * DAY, live=live)
    assert (clock.now_ms(), host.highest, clock.far_from_host) == (NOON + 1000, NOON, True)
    host.passes(4_000)
    clock.witness(NOON + 5_000, live=True)
    assert (clock.now_ms(), host.highest, clock.far_from_host) == (NOON + 5_000, NOON + 5_000, False)


@pytest.mark.parametrize(("again_ms", "believed"), [(29_000, False), (31_000, True)])
def test_central_that_goes_on_saying_another_time_is_believed_after_half_a_minute(again_ms, believed):
    host = Host()
    clock = host.boot()
    clock.witness(NOON, live=True)
    clock.witness(NOON + HOUR, live=True)
    host.passes(again_ms)
    clock.witness(NOON + HOUR + again_ms, live=True)
    assert clock.now_ms() == NOON + again_ms + (HOUR if believed else 0)


def test_a_host_that_ntp_set_contradicts_a_central_that_leaps_however_long():
    host = Host(mark=1)
    clock = host.boot()
    clock.witness(NOON, live=True)
    for _ in range(5):
        host.passes(60_000)
        clock.witness(host.host + HOUR, live=True)
    assert (clock.now_ms(), clock.far_from_host) == (NOON + 300_000, True)


def test_central_below_the_highest_time_is_believed_again_with_a_new_epoch():
    host = Host(highest=NOON + 4_000 * DAY)
    clock = host.boot()
    clock.witness(NOON, live=True)
    assert clock.now_ms() is None
    clock.forget_highest()
    clock.witness(NOON, live=True)
    assert (clock.now_ms(), host.highest) == (NOON, NOON)


def test_drift_within_the_bound_does_not_matter_and_time_never_goes_back():
    host = Host()
    clock = host.boot()
    clock.witness(NOON, live=True)
    seen = []
    for drift in (-9_000, 20_000, -10_000):
        host.passes(1000)
        host.host += drift
        seen.append(clock.now_ms())
    assert seen == [NOON + 1000, NOON + 2000, NOON + 3000]


def test_the_highest_central_time_is_kept_once_for_each_rise():
    host = Host()
    clock = host.boot()
    for instant in (NOON, NOON, NOON - 5, NOON + 7):
        clock.witness(instant, live=True)
    assert host.kept == [NOON, NOON + 7]
