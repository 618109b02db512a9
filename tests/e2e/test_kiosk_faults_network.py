"""Broker and central come and go, and the clock is wrong: the kiosk decides alone, and no record is lost."""

from __future__ import annotations

import asyncio

import pytest

from central.trial import lift_restriction
from edge.decide.standing import StandingConfig
from edge.enact.display import Prompt
from firmware_bridge.gate import LinkStatus
from tests.doubles.lane import Lane
from tests.doubles.waiting import eventually
from wire.environment import utc_ms
from wire.records import GateOutcome

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOUR_MS = 3_600_000
PAST_FRESH_MS = StandingConfig().fresh_s * 1000 + 1_000


async def alone(lane: Lane) -> None:
    await eventually(lambda: not lane.uplink.link.connected, "the kiosk misses the broker")
    await eventually(lambda: "broker" in lane.degraded, "the screen says it")


async def test_members_pass_without_a_broker_and_their_records_wait_for_it(lane: Lane):
    await asyncio.to_thread(lane.stage.central.embedded.stop)
    await alone(lane)
    fresh = await lane.passes("birch")
    assert (fresh.verdict, fresh.reasons) == ("grant", ("tier_standard",))
    assert fresh.gate_outcome is GateOutcome.PASSED
    assert (fresh.circumstances.age, fresh.circumstances.central_answers) == ("fresh", False)

    lane.hours.pass_everywhere(PAST_FRESH_MS)
    await eventually(lambda: "standing" in lane.degraded, "the screen says how old the standings are")
    await eventually(lambda: Prompt.GATE_FAULT in lane.prompts, "the gate was not heard for as long")
    await eventually(lambda: lane.gate_is(LinkStatus.UP) and lane.kiosk.is_waiting, "the gate is back")
    stale = await lane.passes("amber")
    assert (stale.verdict, stale.lane, stale.reasons) == ("grant", "standard", ("standing_stale",))
    assert stale.standing.age_ms > PAST_FRESH_MS - 1_000
    assert stale.gate_outcome is GateOutcome.PASSED

    unproven = await lane.passes_by_pin("birch")
    assert (unproven.verdict, unproven.refer_to) == ("refer", "staff")
    assert unproven.reasons == ("second_factor_unavailable",)

    assert lane.uplink.outbox.backlog.waiting == 3
    await asyncio.to_thread(lane.stage.central.embedded.start)
    at_central = await lane.records()
    assert [at_central[record.passage] for record in (fresh, stale, unproven)] == [fresh, stale, unproven]
    await eventually(lambda: "standing" not in lane.degraded, "the standings are fresh again")
    assert (await lane.passes("amber")).reasons == ("tier_priority",)


async def test_members_pass_while_central_is_stopped_and_it_gets_their_records_when_it_starts(lane: Lane):
    before = await lane.records()
    await lane.stage.stop_central()
    await alone(lane)
    records = [await lane.passes(name) for name in ("birch", "amber")]
    assert [record.verdict for record in records] == ["grant", "grant"]
    assert lane.uplink.outbox.backlog.waiting == 2
    await lane.stage.start_central()
    after = await lane.records()
    assert after == before | {record.passage: record for record in records}
    again = await lane.passes_by_pin("birch")
    assert (again.verdict, again.identified_by) == ("grant", "claim+pin")


async def test_a_broker_killed_again_and_again_while_people_pass_costs_nothing(lane: Lane):
    records = []
    for name in ("birch", "amber", "birch"):
        await asyncio.to_thread(lane.stage.central.embedded.kill)
        records.append(await lane.passes(name))
        await eventually(lambda: lane.uplink.link.connected, "central has brought its broker back")
    at_central = await lane.records()
    assert [at_central[record.passage] for record in records] == records
    assert {record.gate_outcome for record in records} == {GateOutcome.PASSED}


async def test_a_clock_set_back_an_hour_asks_for_the_pin_until_central_tells_the_time(lane: Lane):
    lane.hours.host_ms -= HOUR_MS
    await eventually(lambda: "clock" in lane.degraded, "the screen says it")
    assert "clock_stepped" in lane.notes
    assert not lane.uplink.reporter.state().clock_sure

    record = await lane.passes("amber", pin=True)
    assert (record.verdict, record.lane) == ("grant", "standard")
    assert record.reasons == ("clock_unsure", "second_factor_good")
    assert (record.circumstances.age, record.clock_sure) == ("clock_unsure", False)
    # Stamped with central's time as it went on, not with the hour of the wrong clock.
    assert abs(record.settled_at_ms - utc_ms() - lane.hours.monotonic_ms) < HOUR_MS / 2
    assert (await lane.records())[record.passage] == record

    await lane.hears_heads()
    await eventually(lambda: "clock" not in lane.degraded, "central has told the time")
    record = await lane.passes("amber")
    assert (record.verdict, record.reasons, record.clock_sure) == ("grant", ("tier_priority",), True)


async def test_a_restricted_member_is_neither_refused_nor_let_through_while_the_clock_is_unsure(lane: Lane):
    amber = lane.member("amber")
    restriction = await lane.stage._restrict(amber)
    try:
        lane.hours.host_ms -= HOUR_MS
        await eventually(lambda: "clock" in lane.degraded, "the screen says it")
        record = await lane.passes("amber")
        assert (record.verdict, record.refer_to) == ("refer", "staff")
        assert record.reasons == ("restriction_unconfirmed", "clock_unsure")
        assert (record.restriction, record.contest_code) == (None, None)
    finally:
        lift_restriction(lane.stage.central.use_cases, restriction, lane.stage._reviewers[0])
        lane.stage.central.publish_heads()
