"""What is said of a kiosk, from facts alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.adapters.gate.no_gate import NoGate
from edge.modes.health import Facts, notes, notice
from firmware_bridge.gate import GateFault, LinkStatus
from wire.fleet import CacheAge
from wire.ids import ReasonCode

WELL = NoGate().state()
FRESH = CacheAge("gallery", 1, 1, 5_000, ReasonCode("fresh"))
STALE = CacheAge("standing", 1, 1, 90_000, ReasonCode("stale"))
ABSENT = CacheAge("gallery", 0, 0, None, ReasonCode("absent"))
CALM = Facts(
    mode="turnstile",
    camera="ok",
    central_seen=True,
    clock_sure=True,
    standing=CacheAge("standing", 1, 1, 7_000, ReasonCode("fresh")),
    gallery=FRESH,
    non_commercial=False,
    gate=WELL,
    challenge="always",
)


def test_of_a_kiosk_that_is_well_nothing_is_noted_and_its_notice_tells_the_age_of_its_standings():
    told = notice(CALM)
    assert notes(CALM) == ()
    assert (told.degraded, told.standing_age_s, told.photo_risk, told.photo_risk_first_use) == (
        (), 7, False, False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "note", "word"),
    [
        ({"camera": "black"}, "camera_black", "camera"),
        ({"gate": replace(WELL, link=LinkStatus.NO_PORT)}, "gate_no_port", "gate"),
        ({"gate": replace(WELL, fault=GateFault.RELAY)}, "gate_relay", "gate"),
        ({"central_seen": False}, None, "broker"),
        ({"clock_sure": False}, None, "clock"),
        ({"standing": STALE}, None, "standing"),
        ({"gallery": ABSENT}, None, "gallery"),
        ({"outbox_stands": True}, None, "outbox"),
        ({"search_offered": False}, None, "search"),
        ({"search_refused": True}, "search_over_bound", None),
        ({"search_faulty": True}, "search_fault", None),
        ({"lane_closed": True}, "lane_closed", None),
        ({"non_commercial": True}, "non_commercial", "non_commercial"),
        ({"consent_example": True}, "consent_example", "consent_example"),
        ({"enrolment_in_doubt": True}, "enrolment_in_doubt", None),
    ],
)
def test_each_fact_has_its_note_in_state_and_its_word_on_the_screen(change, note, word):
    facts = replace(CALM, **change)
    assert notes(facts) == (() if note is None else (note,))
    assert notice(facts).degraded == (() if word is None else (word,))


@pytest.mark.parametrize(
    ("challenge", "note", "always", "first_use"),
    [
        ("never", ("photo_risk",), True, False),
        ("on_claim_reuse", ("photo_risk_first_use",), False, True),
        ("always", (), False, False),
    ],
)
def test_the_risk_of_a_photograph_is_told_as_far_as_it_goes(challenge, note, always, first_use):
    facts = replace(CALM, challenge=challenge)
    told = notice(facts)
    assert (notes(facts), told.photo_risk, told.photo_risk_first_use) == (note, always, first_use)


def test_a_desk_without_standings_tells_the_age_of_its_gallery():
    use_cases = replace(CALM, mode="enrol", standing=None, gate=None, challenge=None)
    assert (notes(use_cases), notice(use_cases).standing_age_s, notice(use_cases).mode) == ((), 5, "enrol")
