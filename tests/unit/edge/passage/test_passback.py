"""A member who went in and is not known to have left enters again: the passage's side of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.config import parse_config
from edge.decide.verdict import Elsewhere, Grant, Passback, Reason, Refer, StepUp, decide
from edge.enact.record import circumstances_of
from edge.errors import ConfigError
from edge.passage.observations import ClaimSeen
from edge.passage.state import Phase
from tests.doubles.attempt import (
    CLAIM,
    FRESH,
    KNOWN,
    PASSED,
    Attempt,
    face,
    looked_up,
)


def entering(again: Passback) -> Attempt:
    resolved = replace(KNOWN, passback=again)
    attempt = Attempt().tell(ClaimSeen(CLAIM), resolved, looked_up(FRESH))
    for number in range(3):
        attempt.tell(face(at_ms=attempt.now_ms + number))
    return attempt


@pytest.mark.parametrize(
    ("again", "kind", "first"),
    [
        (Passback.CLEAR, Grant, Reason.TIER_STANDARD),
        (Passback.NOTED, Grant, Reason.TIER_STANDARD),
        (Passback.SECOND_FACTOR, StepUp, Reason.ENTERED_BEFORE),
        (Passback.STAFF, Refer, Reason.ENTERED_BEFORE),
    ],
)
def test_what_is_asked_of_who_went_in_before_is_as_configured_and_in_the_record(again, kind, first):
    attempt = entering(again)
    verdict = attempt.passage.verdict
    assert type(verdict) is kind
    assert verdict.reasons[0] is first
    assert (Reason.ENTERED_BEFORE in verdict.reasons) == (again is not Passback.CLEAR)
    if kind is Refer:
        assert verdict.to is Elsewhere.STAFF
    if kind is Grant:
        attempt.tell(PASSED)
    if kind is not StepUp:
        record = attempt.record
        assert record.circumstances.passback == again.value
        assert decide(circumstances_of(record)) == verdict
        assert attempt.passage.phase is Phase.SETTLED


CONFIG = """
[kiosk]
state_dir = "/var/lib/stile"
[gate]
id = "gate-1"
port = "/dev/null"
{gate}
[passback]
mode = "{mode}"
"""


def test_passback_needs_a_gate_that_sees_people_through():
    relay = 'driver = "lcus"\n[gate.lcus]\nport = "/dev/null"'
    text = CONFIG.replace('port = "/dev/null"\n{gate}', relay)
    assert parse_config(text.format(mode="off"), "kiosk.toml").passback.mode == "off"
    with pytest.raises(ConfigError, match="needs a gate that reports passages"):
        parse_config(text.format(mode="staff"), "kiosk.toml")
    own = CONFIG.format(gate='key_file = "/k"', mode="staff")
    assert parse_config(own, "kiosk.toml").passback.within_s == 300


def test_there_is_no_setting_that_denies():
    with pytest.raises(ConfigError, match=r"passback\.mode"):
        parse_config(CONFIG.format(gate='key_file = "/k"', mode="hard"), "kiosk.toml")
