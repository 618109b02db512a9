"""Anti-passback and scheduled opening: the whole tables, and what none of them may ever do."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.decide import passback
from edge.decide.passback import LastPassed, Passback, PassbackConfig, Whereabouts, judge
from edge.enact.schedule import DAY_MINUTES, DAYS, TimesError, held_free, parse_times
from wire.ids import SubjectId
from wire.records import GateOutcome

MODES = {
    "off": Passback.CLEAR,
    "note": Passback.NOTED,
    "second_factor": Passback.SECOND_FACTOR,
    "staff": Passback.STAFF,
}
NOW_MS = 1_000_000
ALICE, BOB = SubjectId("a" * 32), SubjectId("b" * 32)


def config(mode="staff", within_s=300):
    return PassbackConfig(mode=mode, within_s=within_s)


# --- anti-passback ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("last_way", [None, "entry", "exit"])
@pytest.mark.parametrize("way", ["entry", "exit"])
@pytest.mark.parametrize("ago_ms", [0, 1, 299_999, 300_000, 300_001])
def test_only_a_second_entry_within_the_time_is_asked_about_and_as_configured(mode, last_way, way, ago_ms):
    last = None if last_way is None else LastPassed(last_way, NOW_MS - ago_ms)
    again = (last_way, way) == ("entry", "entry") and ago_ms < 300_000
    assert judge(last, way, NOW_MS, config(mode)) is (MODES[mode] if again else Passback.CLEAR)


@pytest.mark.parametrize(("mode", "outcome"), list(itertools.product(MODES, GateOutcome)))
def test_what_the_gate_did_not_see_go_through_is_held_against_nobody(mode, outcome):
    where = Whereabouts(config(mode))
    where.note(ALICE, "entry", outcome, NOW_MS)
    went = outcome in {GateOutcome.PASSED, GateOutcome.TAILGATED}
    assert where.judge(ALICE, "entry", NOW_MS) is (MODES[mode] if went else Passback.CLEAR)
    assert where.judge(ALICE, "exit", NOW_MS) is Passback.CLEAR
    assert where.judge(BOB, "entry", NOW_MS) is Passback.CLEAR


def test_leaving_makes_entering_free_again():
    where = Whereabouts(config())
    where.note(ALICE, "entry", GateOutcome.PASSED, NOW_MS)
    where.note(ALICE, "exit", GateOutcome.PASSED, NOW_MS + 1)
    assert where.judge(ALICE, "entry", NOW_MS + 2) is Passback.CLEAR


def test_whereabouts_are_forgotten_after_their_time_and_kept_for_a_bounded_number(monkeypatch):
    where = Whereabouts(config(within_s=10))
    where.note(ALICE, "entry", GateOutcome.PASSED, 0)
    where.note(BOB, "entry", GateOutcome.PASSED, 10_000)
    assert len(where) == 1
    monkeypatch.setattr(passback, "SUBJECTS_MAX", 3)
    for number in range(10):
        where.note(SubjectId(f"{number:032}"), "entry", GateOutcome.PASSED, 10_001 + number)
    assert len(where) == 3
    assert where.judge(SubjectId(f"{9:032}"), "entry", 10_020) is Passback.STAFF


def test_nothing_is_kept_where_nobody_asked_for_it():
    where = Whereabouts(PassbackConfig())
    where.note(ALICE, "entry", GateOutcome.PASSED, NOW_MS)
    assert len(where) == 0


@pytest.mark.parametrize("bad", [{"mode": "deny"}, {"mode": "hard"}, {"within_s": 0}, {"minutes": 3}])
def test_there_is_no_setting_that_denies(bad):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(bad, PassbackConfig)


# --- scheduled opening ------------------------------------------------------------------------------------


def minutes_held(*texts):
    spans = parse_times(texts)
    return {
        (day, minute) for day in range(7) for minute in range(DAY_MINUTES) if held_free(spans, (day, minute))
    }


def test_weekday_mornings_are_those_minutes_and_no_others():
    wanted = {(day, minute) for day in range(5) for minute in range(7 * 60, 9 * 60 + 30)}
    assert minutes_held("mon-fri 07:00-09:30") == wanted


def test_a_night_runs_over_into_the_next_day_and_over_sunday_into_monday():
    assert minutes_held("sun 22:00-02:00") == {
        *((6, minute) for minute in range(22 * 60, DAY_MINUTES)),
        *((0, minute) for minute in range(2 * 60)),
    }


def test_days_may_run_over_the_end_of_the_week_and_be_left_out():
    assert {day for day, _ in minutes_held("fri-mon 08:00-08:01")} == {4, 5, 6, 0}
    assert {day for day, _ in minutes_held("08:00-08:01")} == set(range(7))
    assert minutes_held("wed 00:00-24:00") == {(2, minute) for minute in range(DAY_MINUTES)}


def test_no_times_and_an_unsure_clock_never_hold_it_free():
    assert minutes_held() == set()
    assert not held_free(parse_times(["00:00-24:00"]), None)


@pytest.mark.parametrize(
    "text",
    ["", "always", "mon", "07:00", "7:00-9:00", "07:00-07:00", "24:00-01:00", "07:60-08:00", "25:00-26:00",
     "mon-xyz 07:00-08:00", "mon,tue 07:00-08:00", "mon-tue-wed 07:00-08:00", "07:00-09:00 mon"],
)  # fmt: skip
def test_a_time_that_cannot_be_read_is_told_how_one_is_written(text):
    with pytest.raises(TimesError, match="mon-fri 07:00-09:30"):
        parse_times([text])


@given(
    day=st.sampled_from(DAYS),
    begin=st.integers(0, DAY_MINUTES - 1),
    end=st.integers(0, DAY_MINUTES),
)
def test_a_span_holds_from_its_first_minute_up_to_and_without_its_last(day, begin, end):
    if begin == end:
        return
    text = f"{day} {begin // 60:02}:{begin % 60:02}-{end // 60:02}:{end % 60:02}"
    spans, at = parse_times([text]), DAYS.index(day) * DAY_MINUTES
    last = at + (end if end > begin else end + DAY_MINUTES)

    def held(week_min):
        week_min %= 7 * DAY_MINUTES
        return held_free(spans, divmod(week_min, DAY_MINUTES))

    assert [held(at + begin - 1), held(at + begin), held(last - 1), held(last)] == [False, True, True, False]
